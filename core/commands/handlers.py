"""What the commands do. A handler runs within one transaction, see core.commands.context.Handler."""

import difflib
from dataclasses import replace

from core.commands import settings_view as panel
from core.commands.context import Call, Command, Handler, find_command
from core.commands.filter_handlers import counted
from core.commands.setting_handlers import change
from core.domain.conversation import Question, Reply, Role
from core.domain.errors import Refused
from core.domain.reply_states import Event, State
from core.domain.store import Transaction
from core.i18n import LANGUAGES, choose_language
from core.i18n.markdown import escape

_QUOTED = 80
"""Characters of a question that /undo names."""


async def refuse_unknown(call: Call, tx: Transaction) -> str:
    """Refuse a command that does not exist, and a message without a text."""
    if not call.line.name:
        raise Refused("media.only_text")
    raise _unknown(call, call.line.name)


def _unknown(call: Call, name: str) -> Refused:
    """The refusal of a command's name, with the nearest name that there is."""
    names = [each for command in call.commands for each in command.names]
    nearest = difflib.get_close_matches(name, names, 1)
    return Refused("bad.command", command=f"/{name}", nearest=f"/{nearest[0] if nearest else 'help'}")


async def start(call: Call, tx: Transaction) -> str:
    return call.t("start.hello", name=call.bot_name, model=call.model.name)


async def show_help(call: Call, tx: Transaction) -> str:
    if not call.line.argument:
        lines = [_help_line(call, "help.line", command) for command in call.commands]
        return "\n".join([call.t("help.intro"), "", *(f"- {line}" for line in lines), "", call.t("help.outro")])
    name = call.line.argument.removeprefix("/").lower()
    if (command := find_command(call.commands, name)) is None:
        raise _unknown(call, name)
    return _help_line(call, "help.one", command, more=call.t(f"more.{command.name}"))


def _help_line(call: Call, key: str, command: Command, /, **values: object) -> str:
    return call.t(key, usage=f"`{command.usage}`", about=call.t(f"about.{command.name}"), **values)


async def refuse_empty_question(call: Call, tx: Transaction) -> str:
    raise Refused("bad.question")  # with an argument it is a question and never comes here


async def clear(call: Call, tx: Transaction) -> str:
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


async def stop(call: Call, tx: Transaction) -> str:
    replies = [reply for reply in await _before(call, tx) if reply.state is not State.SENDING]
    running = [reply for reply in replies if reply.state is State.GENERATING]
    mine = [reply for reply in replies if call.owns(reply) or (call.setter and reply in running)]
    if not mine:
        raise Refused("stop.others" if running else "stop.nothing")
    dropped = sum([await _halt(call, tx, reply, Event.STOP) for reply in mine])
    return call.t("stop.queued", count=dropped) if dropped else call.t("stop.done")


async def retry(call: Call, tx: Transaction) -> None:
    question = _allowed(call, await tx.turns.last_question(call.reply.chat), "retry")
    if any(reply.question == question.id for reply in await tx.replies.open_answers(call.reply.chat)):
        raise Refused("retry.waiting")
    await tx.replies.become_answer(call.reply, question)


async def continue_answer(call: Call, tx: Transaction) -> None:
    question = _allowed(call, await tx.turns.last_question(call.reply.chat), "continue")
    if await tx.replies.open_answers(call.reply.chat) or not await tx.turns.is_truncated(question.id):
        raise Refused("continue.nothing")
    await tx.replies.become_answer(call.reply, question, goes_on=True)


async def undo(call: Call, tx: Transaction) -> str:
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


def setting_handler(name: str) -> Handler:
    """The function of a command that shows, sets or resets one setting of the conversation."""

    async def setter(call: Call, tx: Transaction) -> str:
        return await change(call, tx, name, call.line.argument)

    return setter


async def set_languages(call: Call, tx: Transaction) -> str:
    word, *after = call.line.argument.lower().split(None, 1)[:2] or [""]
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
    return f"{said}\n{await set_languages(replace(call, line=replace(call.line, argument=rest)), tx)}"  # both at once


async def _speak(call: Call, tx: Transaction, language: str) -> str:
    await tx.preferences.set_language(call.reply.chat.platform, call.reply.author.id, language, call.now)
    call.language = choose_language(language, call.reply.author.locale)
    return call.t("set.language", language=call.t(f"language.{call.language}"))


async def _spoken(call: Call, tx: Transaction) -> str:
    wanted = await tx.preferences.language(call.reply.chat.platform, call.reply.author.id)
    reply = call.rules.value("reply_language", (await tx.preferences.settings(call.reply.chat)).get("reply_language"))
    words = {"wanted": wanted, "language": call.language, "reply": reply.value}
    return call.t("set.language_shown", **{key: call.t(f"language.{value}") for key, value in words.items()})


async def show_settings(call: Call, tx: Transaction) -> str:
    return panel.described(call.rules.settings(await tx.preferences.settings(call.reply.chat)), call.language)


async def show_status(call: Call, tx: Transaction) -> str:
    model, running, waiting = call.model, *await tx.replies.count_active()
    sampling = {name: getattr(model.sampling, name) for name in ("top_p", "top_k", "repetition_penalty")}
    lines = [
        call.t("status.model", model=model.name, runs=model.status()),
        call.t("status.sampling", **sampling),
        call.t("status.context", context=model.context),
        call.t("status.busy", running=running, waiting=waiting) if running + waiting else call.t("status.idle"),
    ]
    if call.role is Role.OWNER and (found := counted(call)):
        lines.append(call.t("status.filter", found=found))
    return "\n".join([*(f"- {line}" for line in lines), "", str(await show_settings(call, tx))])


async def show_identity(call: Call, tx: Transaction) -> str:
    reply = call.reply
    return call.t(
        "whoami.text",
        platform=reply.chat.platform,
        user=f"{reply.chat.platform}:{reply.author.id}",
        role=call.t(f"role.{call.role.name.lower()}"),
        chat=f"{reply.chat.platform}:{reply.chat.chat}",
        conversation=reply.chat,
    )
