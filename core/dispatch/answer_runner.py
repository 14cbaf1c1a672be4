"""A claimed answer to its end: generated, checked, stored (C6)."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from enum import Enum, auto

from core.answering.assistant import AnswerContext, Assistant
from core.delivery.long_text import in_thread_if_long
from core.delivery.partial_markdown import close_fence, close_open_markup
from core.delivery.streaming_message import StreamingMessage
from core.delivery.withdrawal import as_it_was_shown, closed_at_once
from core.dispatch.engine_deaths import Probation
from core.dispatch.environment import Environment
from core.domain.conversation import Reply, StoredAnswer
from core.domain.errors import EngineDied, outcome_of
from core.domain.reply_states import ReplyEvent, State
from core.domain.store import Transaction
from core.i18n import t
from core.i18n.error_texts import describe_error
from core.inbound.admission import ThroughputEstimate
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored

log = logging.getLogger(__name__)

MAX_ENGINE_DEATHS = 3
"""Deaths of the engine under a question that runs with no other beside it, after which the question is given up."""


class EngineLoss(Enum):
    """What becomes of an answer whose engine died."""

    REQUEUED = auto()
    """It is queued, and will run again: begin by itself, or run with no other beside it."""
    STOPPED = auto()
    """It was stopped meanwhile."""
    GIVEN_UP = auto()
    """The engine died too often under it."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The end of an answer: `text` for the history, `shown`, that text as people read it, and `notice`, which is shown
    after it, in the asker's language.

    `truncated`: the token limit ended the text.
    """

    outcome: State
    text: str = ""
    shown: str = ""
    notice: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Generated:
    """A reply that has run: SENDING with its final text, or QUEUED where it will run again."""

    reply: Reply
    extends_history: bool = False
    """Whether the history has a new answer now."""
    checked_text: str = ""
    """The text that has passed the final check."""
    truncated: bool = False
    """Whether the history has an answer now that the token limit ended."""
    repeatable: bool = True
    """Whether its question is the conversation's last one."""


class AnswerRunner:
    """Runs answers. Knows no platform."""

    def __init__(self, environment: Environment, assistant: Assistant, throughput: ThroughputEstimate) -> None:
        self._env, self.assistant, self._throughput = environment, assistant, throughput

    async def run(self, reply: Reply, message: StreamingMessage, language: str, context: AnswerContext) -> Generated:
        """Generate an answer, showing it on `message` while it grows, and store its end. `language`: the asker's.

        Raises Stale where that means nothing any more.
        """
        if reply.outcome is not None:  # stopped or discarded, and then a crash: nothing is generated any more
            self._env.engine_deaths.ended(reply.id)
            return await self._conclude(reply, message, _stopped(reply, language), language)
        stop, began, deaths = self._env.control.stop_flags[reply.id], time.monotonic(), self._env.engine_deaths
        live = Probation(message, deaths, reply.id) if deaths.on_probation == reply.id else message
        try:
            ending = await self.assistant.answer(reply, context, live, stop, language)
        except EngineDied:
            await message.stop_previews()  # the next run must read from the store what was sent
            loss = await self._lose(reply, stop, shown=message.shown_characters)
            if loss is EngineLoss.REQUEUED:
                log.debug("reply %s: the engine died; it will run again", reply.id)
                return Generated(replace(reply, state=State.QUEUED))
            conclusion = _after_loss(loss, reply, language)
        except Exception as error:
            notice = describe_error(error, language, f"reply {reply.id}")
            conclusion = _failed(outcome_of(error), reply, notice)
        else:
            self._throughput.record_answer(time.monotonic() - began)
            notice = t(language, ending.notice) if ending.notice else ""
            conclusion = Conclusion(ending.outcome, ending.text, ending.shown, notice, truncated=ending.truncated)
        finally:
            if deaths.on_probation is not None:  # a platform may take long to show what there is: nobody waits for that
                deaths.ended(reply.id)
        if deaths.shown:
            deaths.forget(reply.id)
        return await self._conclude(reply, message, conclusion, language)

    async def _lose(self, reply: Reply, stop: asyncio.Event, shown: int) -> EngineLoss:
        isolated = self._env.engine_deaths.died(reply.id, shown) or reply.isolated
        if stop.is_set():
            return EngineLoss.STOPPED
        if reply.isolated and reply.engine_deaths + 1 >= MAX_ENGINE_DEATHS:
            log.error("reply %s: the engine died %d times while it ran alone; given up", reply.id, MAX_ENGINE_DEATHS)
            return EngineLoss.GIVEN_UP
        requeued = await until_stored(
            self._env.store,
            f"reply {reply.id}",
            lambda tx: tx.replies.requeue(reply, isolated=isolated),
            self._env.timing.database_backoff,
        )
        return EngineLoss.STOPPED if requeued.state is State.GENERATING else EngineLoss.REQUEUED

    async def _conclude(
        self, reply: Reply, message: StreamingMessage, conclusion: Conclusion, language: str
    ) -> Generated:
        text = conclusion.shown
        if conclusion.outcome is not State.DONE or conclusion.truncated:
            text = await in_thread_if_long(close_open_markup, text)
        elif conclusion.notice:  # it must not stand in code
            text = await in_thread_if_long(close_fence, text)
        if text and (allowed := await message.permitted(text)) != text:
            notice = conclusion.notice if allowed else t(language, "refused.answer")
            conclusion, text = replace(conclusion, text=allowed, notice=notice), allowed
        failpoint("concluding")
        stop = self._env.control.stop_flags[reply.id]
        generated = await until_stored(
            self._env.store,
            f"reply {reply.id}",
            lambda tx: (_store_stopped if stop.is_set() else _store_end)(tx, reply, conclusion, text, language),
            self._env.timing.database_backoff,
        )
        failpoint("concluded")
        return generated


async def is_last_question(tx: Transaction, reply: Reply) -> bool:
    """Whether no later question of its conversation has an answer than the one that `reply` answers. One that waited
    when it was asked to be answered again is answered before."""
    last = await tx.turns.last_question(reply.chat)
    return last is None or reply.question is None or last.id <= reply.question


async def _store_stopped(tx: Transaction, reply: Reply, conclusion: Conclusion, text: str, language: str) -> Generated:
    """C6 of a reply whose stop is asked for: the flag alone may come from a stop that was not stored."""
    if conclusion.outcome is State.DONE and (await tx.replies.get(reply.id)).outcome is State.STOPPED:
        conclusion, text = _stopped_late(conclusion, text, language)
    return await _store_end(tx, reply, conclusion, text, language)


async def _store_end(tx: Transaction, reply: Reply, conclusion: Conclusion, text: str, language: str) -> Generated:
    """C6. `text`: what is shown of the conclusion, which has the text for the history."""
    question, truncated = reply.question, False
    if reply.is_repeat and not text and conclusion.outcome in (State.STOPPED, State.FAILED) and question:
        earlier = await tx.turns.answer_to(question)
        if earlier is not None:
            return await _keep_earlier(tx, reply, conclusion, earlier, language)
    if conclusion.outcome is State.REFUSED and question:
        await tx.turns.delete_unanswered(question)
    else:
        await tx.turns.save_answer(reply, conclusion.text, cut=conclusion.truncated)
    if conclusion.truncated and question:  # nothing is kept where the history was cleared meanwhile
        truncated = await tx.turns.is_truncated(question)
    final = "\n\n".join(filter(None, (text, conclusion.notice)))
    stored = await tx.replies.move(reply, ReplyEvent.FINISH, outcome=conclusion.outcome, final=final)
    extends_history = bool(conclusion.text) and stored.outcome in (State.DONE, State.STOPPED)
    repeatable = not reply.is_repeat or await is_last_question(tx, reply)
    return Generated(stored, extends_history, text, truncated, repeatable)


async def _keep_earlier(
    tx: Transaction, reply: Reply, conclusion: Conclusion, earlier: StoredAnswer, language: str
) -> Generated:
    """The end of a repeat that has nothing to show in place of the earlier answer: that stays, also in the history."""
    shown, outcome = as_it_was_shown(earlier, t(language, "mark.stopped")), conclusion.outcome
    if outcome is State.FAILED:
        shown = f"{shown}\n\n{conclusion.notice}"
    elif not earlier.stopped:  # the outcome says whether the answer in the history was stopped
        outcome = State.DONE
    stored = await tx.replies.move(reply, ReplyEvent.FINISH, outcome=outcome, final=shown)
    return Generated(stored, truncated=earlier.truncated, repeatable=await is_last_question(tx, reply))


def _stopped(reply: Reply, language: str) -> Conclusion:
    """The end of an answer that was stopped and of which nothing is left but what it was to continue."""
    return Conclusion(State.STOPPED, reply.prefix, reply.prefix, t(language, "mark.stopped"))


def _stopped_late(conclusion: Conclusion, text: str, language: str) -> tuple[Conclusion, str]:
    """The end of an answer that was stopped after its last word and before that was stored, with the text that is
    shown: the person was told that it is stopped. What the filter ended keeps its notice."""
    if not text or conclusion.notice == t(language, "refused.answer"):
        return conclusion, text
    stopped = replace(conclusion, outcome=State.STOPPED, notice=t(language, "mark.stopped"), truncated=False)
    return stopped, closed_at_once(text)


def _after_loss(loss: EngineLoss, reply: Reply, language: str) -> Conclusion:
    if loss is EngineLoss.STOPPED:
        return _stopped(reply, language)
    return _failed(State.FAILED, reply, t(language, "error.lost"))


def _failed(outcome: State, reply: Reply, notice: str) -> Conclusion:
    """What the last answer had is still there to go on with."""
    return Conclusion(outcome, reply.prefix, reply.prefix, notice, truncated=bool(reply.prefix))
