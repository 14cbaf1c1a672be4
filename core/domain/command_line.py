"""A command as people type it. Pure."""

import re
from dataclasses import dataclass

_COMMAND = re.compile(r"/([A-Za-z_]+)(?:@\w+)?(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command's name, in lower case, and the text after it."""

    name: str
    argument: str


def parse_command(text: str) -> CommandLine | None:
    """The command that a text is ("/Temp@bot 0.5": "temp", "0.5"); None for what is no command, such as a path.

    Whose name stands behind the @ is the adapter's to judge: it hands on what is addressed to its bot.
    """
    match = _COMMAND.fullmatch(text.strip())
    return CommandLine(match[1].lower(), (match[2] or "").strip()) if match else None
