"""The commands in one table: name, handler, arguments, aliases, who may. Adapters map it, never extend it."""

from core.commands import filter_handlers, handlers
from core.commands.context import Command
from core.commands.options import Kind, Option
from core.commands.setting_handlers import RESET, setting_handler
from core.domain.command_line import parse_command
from core.domain.settings import MAX_MEMORY_TURNS, MAX_SYSTEM_CHARACTERS, MAX_TOKENS_CHOICES, REPLY_LANGUAGES
from core.filters import MAX_WORD_CHARACTERS, Level
from core.i18n import LANGUAGES

_RESET = Option(RESET, Kind.FLAG)

COMMANDS = (
    Command("start", handlers.start, only_looks=True),
    Command(
        "help", handlers.show_help, "[command]", (Option("command", Kind.COMMAND),), only_looks=True, ephemeral=True
    ),
    Command(
        "ask",
        handlers.refuse_empty_question,
        "question",
        (Option("question", required=True, most=6000),),
        only_looks=True,  # with a question it is none of the commands
    ),
    Command("clear", handlers.clear, aliases=("new", "reset"), admins_only=True),
    Command(
        "temp",
        setting_handler("temperature"),
        "[0-1]",
        (Option("value", Kind.NUMBER, 0, 1), _RESET),
        changes_settings=True,
    ),
    Command(
        "maxtokens",
        setting_handler("max_tokens"),
        "[256|512|1024]",
        (Option("value", Kind.INTEGER, choices=tuple(map(str, MAX_TOKENS_CHOICES))), _RESET),
        changes_settings=True,
    ),
    Command(
        "memory",
        setting_handler("memory"),
        "[1-10]",
        (Option("value", Kind.INTEGER, 1, MAX_MEMORY_TURNS), _RESET),
        changes_settings=True,
    ),
    Command(
        "system",
        setting_handler("system"),
        "[text]",
        (Option("text", most=MAX_SYSTEM_CHARACTERS), _RESET),
        changes_settings=True,
    ),
    Command(
        "lang",
        handlers.set_languages,
        "[en|vi|auto]",
        (
            Option("language", choices=(*LANGUAGES, "auto")),
            Option("reply", choices=(*REPLY_LANGUAGES, RESET), word="reply"),
        ),
        looks_with=("",),
        depends_on_role=True,
        ephemeral=True,
    ),
    Command(
        "filter",
        filter_handlers.change_filter,
        "[off|standard|strict|add|remove|allow|list|test]",
        (
            Option("level", choices=(*Level, RESET)),
            *(Option(verb, most=MAX_WORD_CHARACTERS, word=verb) for verb in ("add", "remove", "allow")),
            Option("list", Kind.FLAG, word="list"),
            Option("test", most=1000, word="test"),
        ),
        looks_with=("", "list", "test"),
        depends_on_role=True,
        ephemeral=True,
    ),
    Command("settings", handlers.show_settings, only_looks=True, ephemeral=True),
    Command("stop", handlers.stop, depends_on_role=True),
    Command("retry", handlers.retry, stops_answer=True, ephemeral=True),
    Command("continue", handlers.continue_answer, depends_on_role=True, ephemeral=True),
    Command("undo", handlers.undo, stops_answer=True),
    Command("status", handlers.show_status, only_looks=True, ephemeral=True),
    Command("whoami", handlers.show_identity, only_looks=True, depends_on_role=True, ephemeral=True),
)

UNKNOWN = Command("", handlers.refuse_unknown, "anything", only_looks=True)
"""In place of a command that is not in the table."""


_BY_NAME = {name: command for command in COMMANDS for name in command.names}


def find(name: str) -> Command | None:
    """The command of a name or an alias, in lower case; None for any other name."""
    return _BY_NAME.get(name)


def command_name(text: str) -> str:
    """The name of the command that a text is, whichever alias it uses; "" for any other text."""
    line = parse_command(text)
    command = find(line.name) if line else None
    return command.name if command else ""
