"""What the commands do, but for settings and the filter. See core.commands.context.Handler."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

from core.commands.context import Call, Command, Outcome, find_command
from core.commands.filter_handlers import describe_counts
from core.commands.setting_handlers import change_setting
from core.commands.settings_view import describe_settings
from core.delivery.withdrawal import end_reply
from core.domain.conversation import OptionValue, Question, Reply, Role
from core.domain.errors import Refused
from core.domain.permissions import has_asked, is_asker
from core.domain.reply_states import ReplyEvent, State
from core.domain.store import Transaction
from core.i18n import LANGUAGES
from core.i18n.markdown import escape
from core.i18n.person_language import choose_language

MAX_QUOTE_CHARACTERS = 80
"""Characters of a question that /undo names."""


async def refuse_unknown(call: Call, tx: Transaction) -> Outcome:
    """Refuse a command that does not exist, and a message without a text."""
    if not call.line.name:
        raise Refused("media.only_text")
    raise _unknown(call, call.line.name)


def _unknown(call: Call, name: str) -> Refused:
    """The refusal of a command's name, with the nearest name that there is."""
    names = [each for command in call.commands for each in command.names]
    nearest = difflib.get_close_matches(name, names, 1)
    return Refused("bad.command", command=f"/{name}", nearest=f"/{nearest[0] if nearest else 'help'}")


async def start(call: Call, tx: Transaction) -> Outcome:
    """/start: the greeting."""
    return Outcome(call.t("start.hello", name=call.bot_name, model=call.model.name))


async def show_help(call: Call, tx: Transaction) -> Outcome:
    """/help: every command, or one with more about it."""
    if "command" not in call.arguments:
        lines = [_help_line(call, "help.line", command) for command in call.commands]
        parts = [call.t("help.intro"), "", *(f"- {line}" for line in lines), "", call.t("help.outro")]
        return Outcome("\n".join(parts))
    name = str(call.arguments["command"]).removeprefix("/").lower()
    if (command := find_command(call.commands, name)) is None:
        raise _unknown(call, name)
    return Outcome(_help_line(call, "help.one", command, more=call.t(f"more.{command.name}")))


def _help_line(call: Call, key: str, command: Command, /, **values: object) -> str:
    return call.t(key, usage=f"`{command.usage}`", about=call.t(f"about.{command.name}"), **values)


async def refuse_empty_question(call: Call, tx: Transaction) -> Outcome:
    """/ask without a question. With one it is stored as a question and never comes here."""
    raise Refused("bad.question")


async def clear(call: Call, tx: Transaction) -> Outcome:
    """/clear: delete the history, and end the answers to earlier questions."""
    earlier = await _earlier_answers(call, tx)
    ended = await _end_answers(tx, earlier, ReplyEvent.CLEAR)
    await tx.turns.clear(call.reply)
    count = _count_queued(earlier)
    text = call.t("clear.queued", count=count) if count else call.t("clear.done")
    return replace(ended, text=text, forget=True)


async def stop(call: Call, tx: Transaction) -> Outcome:
    """/stop: end the person's own answers, and for admins whatever runs."""
    replies = [reply for reply in await _earlier_answers(call, tx) if reply.state is not State.SENDING]
    running = [reply for reply in replies if reply.state is State.GENERATING]
    author = call.reply.author
    stoppable = [
        reply for reply in replies if is_asker(reply, author) or (reply in running and call.may_control(False))
    ]
    if not stoppable:
        raise Refused("stop.others" if running else "stop.nothing")
    ended = await _end_answers(tx, stoppable, ReplyEvent.STOP)
    count = _count_queued(stoppable)
    return replace(ended, text=call.t("stop.queued", count=count) if count else call.t("stop.done"))


async def _earlier_answers(call: Call, tx: Transaction) -> list[Reply]:
    """The open answers to what was asked before this command. Later questions are not its business."""
    return [reply for reply in await tx.replies.open_answers(call.reply.chat) if reply.id < call.reply.id]


async def _end_answers(tx: Transaction, replies: Sequence[Reply], event: ReplyEvent) -> Outcome:
    """Cancel those that are queued and stop those that run; those that are being sent stay."""
    ended = [await end_reply(tx, reply, event) for reply in replies if reply.state is not State.SENDING]
    return Outcome(
        stopped=tuple(reply.id for reply in ended if reply.state is State.GENERATING),
        withdrawn=tuple(reply for reply in ended if reply.state is State.SENDING),
    )


def _count_queued(replies: Sequence[Reply]) -> int:
    return sum(reply.state is State.QUEUED for reply in replies)


async def retry(call: Call, tx: Transaction) -> Outcome:
    """/retry: answer the last question again."""
    question = await _last_question(call, tx)
    if any(reply.question == question.id for reply in await tx.replies.open_answers(call.reply.chat)):
        raise Refused("retry.waiting")
    await tx.replies.become_answer(call.reply, question)
    return Outcome(became_answer=True)


async def continue_answer(call: Call, tx: Transaction) -> Outcome:
    """/continue: go on with the last answer, if the token limit ended it."""
    question = await _last_question(call, tx)
    if await tx.replies.open_answers(call.reply.chat) or not await tx.turns.is_truncated(question.id):
        raise Refused("continue.nothing")
    await tx.replies.become_answer(call.reply, question, goes_on=True)
    return Outcome(became_answer=True)


async def undo(call: Call, tx: Transaction) -> Outcome:
    """/undo: delete the last question and its answer, and end another answer to it that waits or has just begun."""
    question = await _last_question(call, tx)
    repeats = [reply for reply in await tx.replies.open_answers(call.reply.chat) if reply.question == question.id]
    ended = await _end_answers(tx, repeats, ReplyEvent.STOP)
    await tx.turns.delete_pair(question.id)
    text = call.t("undo.done", question=escape(_shorten(question.text)))
    return replace(ended, text=text, deleted_question=question.id)


async def _last_question(call: Call, tx: Transaction) -> Question:
    """The last question. Raises Refused where there is none, or the person may do nothing about it."""
    question = await tx.turns.last_question(call.reply.chat)
    if question is None:
        raise Refused(f"{call.command.name}.nothing")
    if not call.may_control(has_asked(question, call.reply.author)):
        raise Refused(f"{call.command.name}.others")
    return question


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTE_CHARACTERS else f"{line[: MAX_QUOTE_CHARACTERS - 1]}…"


async def set_languages(call: Call, tx: Transaction) -> Outcome:
    """/lang: show or set the person's own language, the conversation's reply language, or both.

    The person's own comes first, so that the rest is said in it.
    """
    language, reply_language = call.arguments.get("language"), call.arguments.get("reply")
    if language is None and reply_language is None:
        return Outcome(await _describe_languages(call, tx))
    if language is None:
        return Outcome(await _change_reply_language(call, tx, reply_language or ""))
    outcome = await _set_person_language(call, tx, language)
    if reply_language is None:
        return outcome
    speaking = replace(call, language=choose_language(outcome.chosen_language, call.reply.author.locale))
    text = await _change_reply_language(speaking, tx, reply_language)
    return replace(outcome, text=f"{outcome.text}\n{text}")


async def _change_reply_language(call: Call, tx: Transaction, value: OptionValue) -> str:
    if value and not call.may_change:
        raise Refused("refused.may", usage="/lang reply")
    return await change_setting(call, tx, "reply_language", value)


async def _set_person_language(call: Call, tx: Transaction, value: OptionValue) -> Outcome:
    chosen = str(value).lower().split()[0]
    if chosen not in (*LANGUAGES, "auto"):
        raise Refused("bad.language")
    await tx.preferences.set_language(call.reply.chat.platform, call.reply.author.id, chosen, call.now)
    language = choose_language(chosen, call.reply.author.locale)
    speaking = replace(call, language=language)
    text = speaking.t("set.language", language=speaking.t(f"language.{language}"))
    return Outcome(text, chosen_language=chosen)


async def _describe_languages(call: Call, tx: Transaction) -> str:
    chosen = await tx.preferences.language(call.reply.chat.platform, call.reply.author.id)
    reply = call.rules.value("reply_language", (await tx.preferences.settings(call.reply.chat)).get("reply_language"))
    languages = {"wanted": chosen, "language": call.language, "reply": reply.value}
    names = {key: call.t(f"language.{language}") for key, language in languages.items()}
    return call.t("set.language_shown", **names)


async def show_settings(call: Call, tx: Transaction) -> Outcome:
    """/settings: all of them. Platforms with a panel show it below."""
    return Outcome(await _describe_settings(call, tx))


async def _describe_settings(call: Call, tx: Transaction) -> str:
    return describe_settings(call.rules.settings(await tx.preferences.settings(call.reply.chat)), call.language)


async def show_status(call: Call, tx: Transaction) -> Outcome:
    """/status: the model, the guard model, the queue, for the owner the filter's counts, and the settings."""
    model, guard, running, waiting = call.model, call.guard_model, *await tx.replies.count_active()
    sampling = {name: getattr(model.sampling, name) for name in ("top_p", "top_k", "repetition_penalty")}
    lines = [
        call.t("status.model", model=model.name, runs=model.status()),
        *([call.t("status.guard", model=guard.name, runs=guard.status())] if guard else []),
        call.t("status.sampling", **sampling),
        call.t("status.context", context=model.context),
        call.t("status.busy", running=running, waiting=waiting) if running + waiting else call.t("status.idle"),
    ]
    if call.role is Role.OWNER and (found := describe_counts(call)):
        lines.append(call.t("status.filter", found=found))
    return Outcome("\n".join([*(f"- {line}" for line in lines), "", await _describe_settings(call, tx)]))


async def show_identity(call: Call, tx: Transaction) -> Outcome:
    """/whoami: the ids of person and chat, and the person's role."""
    reply = call.reply
    text = call.t(
        "whoami.text",
        platform=reply.chat.platform,
        user=f"{reply.chat.platform}:{reply.author.id}",
        role=call.t(f"role.{call.role.name.lower()}"),
        chat=f"{reply.chat.platform}:{reply.chat.chat}",
        conversation=reply.chat,
    )
    return Outcome(text)
