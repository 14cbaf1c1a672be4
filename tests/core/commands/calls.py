"""Calls of commands, made by hand."""

from collections.abc import Mapping

from core.commands.context import Call, check_call
from core.commands.registry import COMMANDS, UNKNOWN, find
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Author, ChatId, OptionValue, Reply, Role
from core.domain.reply_states import Lane, State
from tests.conftest import RULES
from tests.fakes import ANN, CHAT, FakeModel, OpenFilter

NO_OPTIONS: Mapping[str, OptionValue] = {}


def command_reply(text: str, author: Author = ANN, chat: ChatId = CHAT, *, private: bool = True) -> Reply:
    """The reply that is owed for a command."""
    return Reply(9, chat, private, 1, Lane.NOTICE, State.GENERATING, 1, author, text, "bot", "m:9", 9)


def command_call(
    text: str,
    *,
    author: Author = ANN,
    chat: ChatId = CHAT,
    private: bool = True,
    role: Role = Role.ADMIN,
    options: Mapping[str, OptionValue] = NO_OPTIONS,
) -> Call:
    """The call that the executor makes of a command."""
    line = parse_command(text) or CommandLine("")
    command = find(line.name) or UNKNOWN
    return Call(
        command_reply(text, author, chat, private=private),
        command,
        line,
        command.arguments(line.argument, options),
        role,
        FakeModel(),
        RULES,
        OpenFilter(),
        now=5,
        bot_name="Qwentin",
        language="en",
        commands=COMMANDS,
    )


def check_made(call: Call) -> None:
    """As the executor checks a command before its transaction."""
    check_call(call.command, call.line.argument, may_change=call.may_change)
