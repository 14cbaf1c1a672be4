"""The commands, in one table: name, help, arguments, who may, ephemeral, function. Adapters map it, never extend it.

A function runs inside one transaction and returns what to say, or None where its own row became an answer. It may raise
a ChatError: then nothing of the transaction is kept and the error's words are said.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from core.commands import filter_handlers as filter_command
from core.commands import settings_view as panel
from core.commands.options import Kind, Option
from core.commands.setting_handlers import change
from core.domain.conversation import Question, Reply, Role
from core.domain.errors import Refused
from core.domain.reply_states import Event, State
from core.domain.settings import MAX_MEMORY_TURNS, MAX_SYSTEM_CHARACTERS, MAX_TOKENS_CHOICES, REPLY_LANGUAGES, Rules
from core.domain.store import Transaction
from core.filters import WORD_LONGEST, Filter, Level
from core.i18n import LANGUAGES, choose_language, t
from core.i18n.markdown import escape
from core.llm.model import Model

_COMMAND = re.compile(r"/([A-Za-z_]+)(?:@\w+)?(?:\s+(.*))?", re.DOTALL)
_QUOTED = 80
"""Characters of a question that /undo names."""


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table. `changes`: an argument changes the conversation, only setters may give it. `admins`: only
    setters may use it at all. `settles`: a running answer is stopped and waited for first. `ephemeral`: only the asker
    need see what it says. `personal`: what it does depends on who asks."""

    name: str
    run: "Function"
    argument: str = ""
    """How the argument is written in usage; "" takes none."""
    options: tuple[Option, ...] = ()
    """The same, field by field."""
    aliases: tuple[str, ...] = ()
    changes: bool = False
    admins: bool = False
    settles: bool = False
    personal: bool = False
    ephemeral: bool = False

    def asks_role(self, argument: str) -> bool:
        """Whether the asker's role decides anything; if not, a platform that can't tell it is no obstacle."""
        return self.admins or self.settles or self.personal or (self.changes and bool(argument))

    @property
    def usage(self) -> str:
        """`/name argument`"""
        return f"/{self.name} {self.argument}".strip()

    def written(self, values: Mapping[str, object]) -> str:
        """The command as a person would write it, from what was put into its options."""
        parts = [option.written(values[option.name]) for option in self.options if option.name in values]
        return " ".join([f"/{self.name}", *filter(None, parts)])


@dataclass(slots=True)
class Call:
    """One use of a command, with all that its function may need."""

    reply: Reply
    command: Command
    argument: str
    role: Role
    """At this moment, asked of the platform."""
    model: Model
    rules: Rules
    filter: Filter
    now: int
    name: str
    """The bot's own."""
    language: str
    stopped: list[int] = field(default_factory=list)
    """Running replies to be stopped once the transaction is committed."""
    cancelled: list[Reply] = field(default_factory=list)
    """Replies that waited, and will not be answered."""
    forgets: bool = False
    """Whether the history goes with the transaction."""

    def t(self, key: str, /, **values: object) -> str:
        """A text in the asker's language."""
        return t(self.language, key, **values)

    @property
    def setter(self) -> bool:
        """Whether the asker may change the conversation: in private everyone, else admins."""
        return self.reply.private or self.role >= Role.ADMIN

    def owns(self, reply: Reply) -> bool:
        """Whether the asker asked that question, or had it answered again."""
        return self.reply.author.id in (reply.author.id, reply.asker.id if reply.asker else "")


Function = Callable[[Call, Transaction], Awaitable[str | None]]


def parse(text: str) -> tuple[str, str] | None:
    """A command's name and argument ("/Temp@bot 0.5": "temp", "0.5"); None for what is no command, such as a path.

    Whose name stands behind the @ is the adapter's to judge: it hands on what is addressed to its bot.
    """
    match = _COMMAND.fullmatch(text.strip())
    return (match[1].lower(), (match[2] or "").strip()) if match else None


def named(text: str) -> str:
    """The name of the command that a text is, whichever alias it was called by; "" where it is none."""
    name, _ = parse(text) or ("", "")
    command = find(name)
    return command.name if command else ""


def find(name: str) -> Command | None:
    """The command of a name or an alias."""
    return _BY_NAME.get(name)


async def run(call: Call, tx: Transaction) -> str | None:
    """Check who may and what may be given, then do it. Raises Refused."""
    command = call.command
    if command.admins and not call.setter:
        raise Refused("refused.admins")
    if command.changes and call.argument and not call.setter:
        raise Refused("refused.may", usage=f"/{command.name}")
    if call.argument and not command.argument:
        raise Refused("bad.argument", usage=f"`{command.usage}`")
    return await command.run(call, tx)


async def unknown(call: Call, tx: Transaction) -> str:
    """What is said to a command that does not exist, and to what is no text."""
    name = (parse(call.reply.text) or ("", ""))[0]
    if not name:
        raise Refused("media.only_text")
    nearest = difflib.get_close_matches(name, _BY_NAME, 1)
    raise Refused("bad.command", command=f"/{name}", nearest=f"/{nearest[0] if nearest else 'help'}")


async def _start(call: Call, tx: Transaction) -> str:
    return call.t("start.hello", name=call.name, model=call.model.name)


async def _help(call: Call, tx: Transaction) -> str:
    if not call.argument:
        lines = [_help_line(call, "help.line", command) for command in COMMANDS]
        return "\n".join([call.t("help.intro"), "", *(f"- {line}" for line in lines), "", call.t("help.outro")])
    name = call.argument.removeprefix("/").lower()
    if (command := find(name)) is None:
        return await unknown(replace(call, reply=replace(call.reply, text=f"/{name}")), tx)
    return _help_line(call, "help.one", command, more=call.t(f"more.{command.name}"))


def _help_line(call: Call, key: str, command: Command, /, **values: object) -> str:
    return call.t(key, usage=f"`{command.usage}`", about=call.t(f"about.{command.name}"), **values)


async def _ask(call: Call, tx: Transaction) -> str:
    raise Refused("bad.question")  # with an argument it is a question and never comes here


async def _clear(call: Call, tx: Transaction) -> str:
    dropped = sum([await _halt(call, tx, reply, Event.CLEAR) for reply in await _before(call, tx)])
    await tx.turns.clear(call.reply)
    call.forgets = True
    return call.t("clear.queued", count=dropped) if dropped else call.t("clear.done")


async def _before(call: Call, tx: Transaction) -> list[Reply]:
    """The answers that are owed for what was asked before this command: what came after it is none of its business."""
    return [reply for reply in await tx.replies.open_answers(call.reply.chat) if reply.id < call.reply.id]


async def _halt(call: Call, tx: Transaction, reply: Reply, event: Event) -> int:
    """Cancel what is queued (1 is returned), stop what runs, leave what is being sent."""
    if reply.state is State.SENDING:
        return 0
    moved = await tx.replies.move(reply, event)
    if moved.state is State.CANCELLED:
        call.cancelled.append(replace(moved, reply_token=reply.reply_token))
        return 1
    call.stopped.append(reply.id)
    return 0


async def _stop(call: Call, tx: Transaction) -> str:
    replies = [reply for reply in await _before(call, tx) if reply.state is not State.SENDING]
    running = [reply for reply in replies if reply.state is State.GENERATING]
    mine = [reply for reply in replies if call.owns(reply) or (call.setter and reply in running)]
    if not mine:
        raise Refused("stop.others" if running else "stop.nothing")
    dropped = sum([await _halt(call, tx, reply, Event.STOP) for reply in mine])
    return call.t("stop.queued", count=dropped) if dropped else call.t("stop.done")


async def _retry(call: Call, tx: Transaction) -> None:
    question = _allowed(call, await tx.turns.last_question(call.reply.chat), "retry")
    if any(reply.question == question.id for reply in await tx.replies.open_answers(call.reply.chat)):
        raise Refused("retry.waiting")
    await tx.replies.become_answer(call.reply, question)


async def _continue(call: Call, tx: Transaction) -> None:
    question = _allowed(call, await tx.turns.last_question(call.reply.chat), "continue")
    if await tx.replies.open_answers(call.reply.chat) or not await tx.turns.is_truncated(question.id):
        raise Refused("continue.nothing")
    await tx.replies.become_answer(call.reply, question, goes_on=True)


async def _undo(call: Call, tx: Transaction) -> str:
    question = _allowed(call, await tx.turns.last_question(call.reply.chat), "undo")
    await tx.turns.delete_pair(question.id)
    return call.t("undo.done", question=escape(_shortened(question.text)))


def _allowed(call: Call, question: Question | None, group: str) -> Question:
    if question is None:
        raise Refused(f"{group}.nothing")
    if question.author.id != call.reply.author.id and not call.setter:
        raise Refused(f"{group}.others")
    return question


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 1]}…"


def _set(name: str) -> Function:
    """The function of a command that shows, sets or resets one setting of the conversation."""

    async def setter(call: Call, tx: Transaction) -> str:
        return await change(call, tx, name, call.argument)

    return setter


async def _lang(call: Call, tx: Transaction) -> str:
    word, *after = call.argument.lower().split(None, 1)[:2] or [""]
    rest = after[0].strip() if after else ""
    if word == "reply":
        if rest and not call.setter:
            raise Refused("refused.may", usage="/lang reply")
        return await change(call, tx, "reply_language", rest)
    if word and word not in (*LANGUAGES, "auto"):
        raise Refused("bad.language")
    said = await (_speak(call, tx, word) if word else _spoken(call, tx))
    if not rest.startswith("reply"):
        return said
    return f"{said}\n{await _lang(replace(call, argument=rest), tx)}"  # both at once


async def _speak(call: Call, tx: Transaction, language: str) -> str:
    await tx.preferences.set_language(call.reply.chat.platform, call.reply.author.id, language, call.now)
    call.language = choose_language(language, call.reply.author.locale)
    return call.t("set.language", language=call.t(f"language.{call.language}"))


async def _spoken(call: Call, tx: Transaction) -> str:
    wanted = await tx.preferences.language(call.reply.chat.platform, call.reply.author.id)
    reply = call.rules.value("reply_language", (await tx.preferences.settings(call.reply.chat)).get("reply_language"))
    words = {"wanted": wanted, "language": call.language, "reply": reply.value}
    return call.t("set.language_shown", **{key: call.t(f"language.{value}") for key, value in words.items()})


async def _settings(call: Call, tx: Transaction) -> str:
    return panel.described(call.rules.settings(await tx.preferences.settings(call.reply.chat)), call.language)


async def _status(call: Call, tx: Transaction) -> str:
    model, running, waiting = call.model, *await tx.replies.count_active()
    sampling = {name: getattr(model.sampling, name) for name in ("top_p", "top_k", "repetition_penalty")}
    lines = [
        call.t("status.model", model=model.name, runs=model.status()),
        call.t("status.sampling", **sampling),
        call.t("status.context", context=model.context),
        call.t("status.busy", running=running, waiting=waiting) if running + waiting else call.t("status.idle"),
    ]
    if call.role is Role.OWNER and (found := filter_command.counted(call)):
        lines.append(call.t("status.filter", found=found))
    return "\n".join([*(f"- {line}" for line in lines), "", str(await _settings(call, tx))])


async def _whoami(call: Call, tx: Transaction) -> str:
    reply = call.reply
    return call.t(
        "whoami.text",
        platform=reply.chat.platform,
        user=f"{reply.chat.platform}:{reply.author.id}",
        role=call.t(f"role.{call.role.name.lower()}"),
        chat=f"{reply.chat.platform}:{reply.chat.chat}",
        conversation=reply.chat,
    )


_RESET = Option("reset", Kind.FLAG)

COMMANDS = (
    Command("start", _start),
    Command("help", _help, "[command]", (Option("command", Kind.COMMAND),), ephemeral=True),
    Command("ask", _ask, "question", (Option("question", required=True, most=6000),)),
    Command("clear", _clear, aliases=("new", "reset"), admins=True),
    Command("temp", _set("temperature"), "[0-1]", (Option("value", Kind.NUMBER, 0, 1), _RESET), changes=True),
    Command(
        "maxtokens",
        _set("max_tokens"),
        "[256|512|1024]",
        (Option("value", Kind.INTEGER, choices=tuple(map(str, MAX_TOKENS_CHOICES))), _RESET),
        changes=True,
    ),
    Command(
        "memory", _set("memory"), "[1-10]", (Option("value", Kind.INTEGER, 1, MAX_MEMORY_TURNS), _RESET), changes=True
    ),
    Command("system", _set("system"), "[text]", (Option("text", most=MAX_SYSTEM_CHARACTERS), _RESET), changes=True),
    Command(
        "lang",
        _lang,
        "[en|vi|auto]",
        (
            Option("language", choices=(*LANGUAGES, "auto")),
            Option("reply", choices=(*REPLY_LANGUAGES, "reset"), word="reply"),
        ),
        personal=True,
        ephemeral=True,
    ),
    Command(
        "filter",
        filter_command.run,
        "[off|standard|strict|add|remove|allow|list|test]",
        (
            Option("level", choices=(*Level, "reset")),
            *(Option(verb, most=WORD_LONGEST, word=verb) for verb in ("add", "remove", "allow")),
            Option("list", Kind.FLAG),
            Option("test", most=1000, word="test"),
        ),
        personal=True,
        ephemeral=True,
    ),
    Command("settings", _settings, ephemeral=True),
    Command("stop", _stop, personal=True),
    Command("retry", _retry, settles=True, ephemeral=True),
    Command("continue", _continue, personal=True, ephemeral=True),
    Command("undo", _undo, settles=True),
    Command("status", _status, ephemeral=True),
    Command("whoami", _whoami, personal=True, ephemeral=True),
)

UNKNOWN = Command("", unknown, "anything")

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
