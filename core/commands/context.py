"""What a command is, what its handler is given, and what it returns."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from core.commands.options import Option, has_value, read_options
from core.domain.command_line import CommandLine
from core.domain.conversation import OptionValue, Reply, Role
from core.domain.errors import Refused
from core.domain.permissions import may_change, may_control
from core.domain.settings import Rules
from core.domain.store import Transaction
from core.filters import Filter
from core.i18n import t
from core.llm.guard_model import GuardModel
from core.llm.model import Model


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is called, what it takes, who may give it, and its handler."""

    name: str
    handler: "Handler"
    argument: str = ""
    """The argument as usage shows it; "" takes none."""
    options: tuple[Option, ...] = ()
    """The parts of the argument."""
    aliases: tuple[str, ...] = ()
    changes_settings: bool = False
    """With an argument it changes a setting of the conversation, which only those may who may change them."""
    admins_only: bool = False
    """Only those who may change settings may give it at all."""
    stops_answer: bool = False
    """A running answer is stopped, and its end waited for, before the handler runs."""
    only_looks: bool = False
    """It changes nothing, whatever its argument is."""
    looks_with: tuple[str, ...] = ()
    """First words of an argument with which it changes nothing; "" is no argument."""
    depends_on_role: bool = False
    """What the handler does depends on the role of the person who asks."""
    ephemeral: bool = False
    """Only the person who asks needs to see the reply."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases."""
        return (self.name, *self.aliases)

    @property
    def usage(self) -> str:
        """`/name argument`"""
        return f"/{self.name} {self.argument}".strip()

    def asks_role(self, argument: str) -> bool:
        """Whether the role of the person decides anything; if not, the platform need not be asked for it."""
        changes = self.changes_settings and bool(argument)
        return self.admins_only or self.stops_answer or self.depends_on_role or changes

    def changes_nothing(self, argument: str) -> bool:
        """Whether it only looks, so that nothing needs to wait for it: no setting, history or answer is changed."""
        word, *_ = argument.lower().split(None, 1) or [""]
        return self.only_looks or word in self.looks_with or (self.changes_settings and not argument)

    def written(self, values: Mapping[str, object]) -> str:
        """The command as a person would write it, from the values of its options by name."""
        parts = [option.written(values[option.name]) for option in self.options if option.name in values]
        return " ".join([f"/{self.name}", *filter(None, parts)])

    def arguments(self, text: str, values: Mapping[str, OptionValue]) -> Mapping[str, OptionValue]:
        """The values of the options by name: the typed one of a slash command, else as they are read from `text`.

        `text` is the argument as it is written. Several typed values are read from the text too, so that those which
        exclude one another are refused in the same way.
        """
        typed = {option.name: values[option.name] for option in self.options if has_value(values.get(option.name))}
        return typed if len(typed) == 1 else read_options(self.options, text)


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command, with all that its handler may need."""

    reply: Reply
    command: Command
    line: CommandLine
    """The command as it was written."""
    arguments: Mapping[str, OptionValue]
    """The values of its options by name."""
    role: Role
    """The role of the person who asks, as the platform told it a moment ago."""
    model: Model
    rules: Rules
    filter: Filter
    now: int
    """Milliseconds UTC."""
    bot_name: str
    language: str
    """In which the person is answered: "en" or "vi"."""
    commands: Sequence[Command]
    """All commands, for /help."""
    guard_model: GuardModel | None = None
    """The second reader of questions, where the owner wants one."""

    def t(self, key: str, /, **values: object) -> str:
        """A text in the language of the person who asks."""
        return t(self.language, key, **values)

    @property
    def may_change(self) -> bool:
        """Whether the person who asks may change the conversation's settings and history."""
        return may_change(self.reply.private, self.role)

    def may_control(self, asked: bool) -> bool:
        """Whether the person may stop, repeat or undo an answer. `asked`: it answers their own question."""
        return may_control(asked, self.reply.private, self.role)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler did. The executor does the rest once the transaction is committed."""

    text: str = ""
    """The text of the reply; "" only where `became_answer`."""
    stopped: tuple[int, ...] = ()
    """Ids of replies that are being generated and are to stop."""
    withdrawn: tuple[Reply, ...] = ()
    """Replies that waited and are cancelled, of which something is still to be shown: they are SENDING it."""
    forget: bool = False
    """Whether the conversation's history is deleted."""
    chosen_language: str = ""
    """What the person has chosen with /lang ("en", "vi" or "auto"), where they have; else ""."""
    deleted_question: int | None = None
    """The id of the question that /undo has deleted with its answer."""
    became_answer: bool = False
    """Whether the command's own reply is queued as an answer now, and has no text yet."""


Handler = Callable[[Call, Transaction], Awaitable[Outcome]]
"""Carries out a command within one transaction. Raises ChatError: then nothing of the transaction is kept, and the
error's text is the reply's."""


def find_command(commands: Sequence[Command], name: str) -> Command | None:
    """The command of a name or an alias, in lower case; None for any other name."""
    return next((command for command in commands if name in command.names), None)


def check_call(command: Command, argument: str, *, may_change: bool) -> None:
    """Raise Refused where the person may not give the command, or it takes no argument.

    `may_change`: whether they may change the conversation's settings and history.
    """
    if command.admins_only and not may_change:
        raise Refused("refused.admins")
    if command.changes_settings and argument and not may_change:
        raise Refused("refused.may", usage=f"/{command.name}")
    if argument and not command.argument:
        raise Refused("bad.argument", usage=f"`{command.usage}`")
