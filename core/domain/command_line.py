"""Command lines: "/name argument". Pure."""

import re
from dataclasses import dataclass

_COMMAND_LINE = re.compile(r"/([A-Za-z_]+)(?:@\w+)?(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command as it was written. `name` is in lower case, without "/" and "@bot"; it may be no command's name."""

    name: str
    argument: str = ""


def parse_command(text: str) -> CommandLine | None:
    """The command line that a text is ("/Temp@bot 0.5": "temp", "0.5"); None for any other text, such as a path.

    The name behind the @ is not checked: adapters pass on only what is addressed to their bot.
    """
    match = _COMMAND_LINE.fullmatch(text.strip())
    return CommandLine(match[1].lower(), (match[2] or "").strip()) if match else None
