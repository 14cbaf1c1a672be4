"""One answer, top to bottom: check the question, build the prompt, generate, conclude."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from core.answering.postprocess import PostProcessor
from core.answering.prompt import ANONYMOUS_NAME, QuestionPrompt, Risk, fit_prompt, speaker_label
from core.answering.window import max_turns
from core.domain.conversation import ChatId, Reply, Turn
from core.domain.errors import Refused, Unanswered
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from core.domain.sampling import Sampling
from core.domain.settings import Rules, Settings
from core.domain.store import Store, Transaction
from core.filters import SEVERITY_SEVERE, Danger, Filter, Policy, Verdict
from core.i18n import t
from core.llm.guard_model import GuardModel
from core.llm.model import Model
from core.runtime.cancellation import interrupted_by

SUPPORT_MAX_TEMPERATURE, SUPPORT_MAX_TOKENS = 0.3, 120
"""Of an answer to a person who may be in danger: it must be neither bold nor long."""

HELP_LINES_ALONE = frozenset({"sexual_minors", "violence", "weapons", "drugs", "illegal"})
"""Categories whose questions the model never sees, though a person in danger wrote them: they get the help lines."""

RETRY_MIN_TEMPERATURE = 0.5
"""Of the second try after an empty answer: with greedy sampling it would be empty again."""

NEXT_QUESTION_ID = sys.maxsize
"""Stands for the id of the next question, which nobody has asked yet. It is newer than every stored one."""


class AnswerWriter(Protocol):
    """Where an answer is shown while it grows."""

    def write(self, piece: str) -> None:
        """Append a piece. Never waits."""

    def restart(self) -> None:
        """Begin again with an empty text."""


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What an answer is made from besides its question: the settings in force, and the turns before it, oldest first.

    In a private chat the turns have no names: nobody but one person asks there.
    """

    settings: Settings
    turns: Sequence[Turn] = ()
    verdict: Verdict | None = None
    """On the question, where it is judged already."""


async def read_answer_context(tx: Transaction, rules: Rules, reply: Reply, before: int) -> AnswerContext:
    """The context of a reply's conversation, with the turns older than the question `before`."""
    settings = rules.settings(await tx.preferences.settings(reply.chat))
    turns = await tx.turns.recent(reply.chat, before, max_turns(settings.memory))
    return AnswerContext(settings, [replace(turn, author="") for turn in turns] if reply.private else turns)


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """How an answer ended. `text` is the model's, prefix included; `notice` is a key of core/i18n for a text that
    stands after it, or in its place. History keeps `text` unless it is empty."""

    outcome: State
    text: str = ""
    shown: str = ""
    """The text as people read it: with marks where something was left out, and with every copy that a loop made."""
    notice: str = ""
    truncated: bool = False
    """Whether the token limit ended it."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What one generation needs."""

    owner: str
    prompt: Prompt
    sampling: Sampling
    echoes: tuple[str, ...]
    """The labels that an answer may echo: the bot's, and in a group the asker's."""
    people: tuple[str, ...]
    """The labels of all people in the prompt."""
    prefix: str
    policy: Policy
    language: str
    """Of marks: "en" or "vi"."""


@dataclass(slots=True)
class _Generated:
    """What one generation gave. `text`, for the history, and `shown` do not include the prefix."""

    text: str = ""
    shown: str = ""
    blocked: bool = False
    severe: bool = False
    """Whether the whole answer must be withdrawn."""
    notice: str = ""
    """Why the text was ended, as a key of core/i18n."""
    truncated: bool = False


class Assistant:
    """Answers questions with the model. Knows no platform. `name`: the bot's, which an answer may echo."""

    guard_model: GuardModel | None = None
    """The second reader of questions, where the owner wants one (core/answering/guarded_assistant.py)."""

    def __init__(self, store: Store, model: Model, rules: Rules, content_filter: Filter, name: str = "Qwentin") -> None:
        self.model, self.rules, self.filter = model, rules, content_filter
        self._store, self._label = store, speaker_label(name)
        self._forgotten = 0
        """How many times a conversation has been forgotten."""

    async def answer(
        self, reply: Reply, context: AnswerContext, live: AnswerWriter, stop: asyncio.Event, language: str
    ) -> AnswerResult:
        """Generate an answer and show it on `live` while it grows. `stop` ends it within one token; `language` is that
        of marks in it. Reads no store.

        Raises Refused for a question that is too long (who may be in danger gets the help lines), Unanswered where the
        model gave nothing twice, and EngineDied.
        """
        settings = context.settings
        verdict = context.verdict or self.filter.judge_question(reply.text, settings.policy)
        if verdict.category and (decided := self._answer_without_model(verdict)):
            return decided
        turns = await self._visible_turns(context.turns, settings.policy)
        try:
            request = self._build_request(reply, settings, turns, verdict.danger, language)
        except Refused:  # too long for the model
            if verdict.danger is None:
                raise
            return self.help_lines_alone(verdict.danger)
        generated = await self._generate(request, live, stop)
        if not (generated.text or generated.blocked or stop.is_set() or request.prefix):
            live.restart()
            generated = await self._generate(_bolder(request), live, stop)
        text, shown = request.prefix + generated.text, request.prefix + generated.shown
        if generated.blocked:
            return AnswerResult(State.DONE, *("", "") if generated.severe else (text, shown), "refused.answer")
        if stop.is_set():
            return AnswerResult(State.STOPPED, text, shown, "mark.stopped")
        if not shown:
            raise Unanswered("error.empty")
        return AnswerResult(State.DONE, text, shown, generated.notice, truncated=generated.truncated)

    async def warm(self, reply: Reply) -> None:
        """Let the model read the conversation's next prompt but for its question, once this reply is shown.

        Raises Unavailable without trying again, because nothing waits for this, and Refused where the system prompt
        alone is too long.
        """
        forgotten = self._forgotten
        async with self._store.begin() as tx:
            context = await read_answer_context(tx, self.rules, reply, NEXT_QUESTION_ID)
        turns = await self._visible_turns(context.turns, context.settings.policy)
        budget = self.model.context - context.settings.max_tokens
        prompt = fit_prompt(context.settings, turns, QuestionPrompt(""), budget, self.model.count)
        if forgotten == self._forgotten:  # otherwise these turns may be deleted by now
            self.model.warm(prompt[:-1], str(reply.chat))

    def forget(self, chat: ChatId) -> None:
        """Make the model forget a conversation whose history was deleted."""
        self._forgotten += 1
        self.model.drop(str(chat))

    # The question

    def _answer_without_model(self, verdict: Verdict) -> AnswerResult | None:
        """Count what was found in a question. Returns the whole answer where the model must not see it, else None."""
        self.filter.count("question", verdict)
        if verdict.danger is not None:
            return self.help_lines_alone(verdict.danger) if verdict.category in HELP_LINES_ALONE else None
        return AnswerResult(State.REFUSED, notice=f"blocked.{verdict.category}") if verdict.blocked else None

    async def _visible_turns(self, turns: Sequence[Turn], policy: Policy) -> list[Turn]:
        """The turns that the policy lets through now; it may have become stricter since they were stored.

        Judging a long turn takes milliseconds, so the event loop runs after each.
        """
        visible = []
        for turn in turns:
            asked, answered = self.filter.judge_question(turn.question, policy), self.filter.check(turn.answer, policy)
            if not (asked.blocked or answered.blocked):
                visible.append(replace(turn, author=turn.author and self._visible_name(turn.author, policy)))
            await asyncio.sleep(0)
        return visible

    def _visible_name(self, name: str, policy: Policy) -> str:
        """Names are judged too, because a model would repeat them."""
        return ANONYMOUS_NAME if self.filter.check(name, policy).blocked else name

    # The prompt

    def help_lines_alone(self, danger: Danger) -> AnswerResult:
        """The help lines as the whole answer."""
        text = self._support_prefix(danger).rstrip()
        return AnswerResult(State.DONE, text, text)

    def _support_prefix(self, danger: Danger) -> str:
        """The beginning of the answer to a person who may be in danger, or fears for another, with help lines."""
        lines = self.rules.help_lines or t(danger.language, "support.lines")
        key = "support.another" if danger.for_another else "support.text"
        return f"{t(danger.language, key, lines=lines)}\n\n"

    def _build_request(
        self, reply: Reply, settings: Settings, turns: list[Turn], danger: Danger | None, language: str
    ) -> _Request:
        support_prefix = self._support_prefix(danger) if danger else ""
        asker = "" if reply.private else self._visible_name((reply.asker or reply.author).name, settings.policy)
        prefix = reply.prefix or support_prefix
        risk = Risk.NONE if danger is None else Risk.ANOTHER if danger.for_another else Risk.ASKER
        question = QuestionPrompt(reply.text, asker, prefix, risk)
        temperature, max_tokens = settings.temperature, settings.max_tokens
        prompt = fit_prompt(settings, turns, question, self.model.context - max_tokens, self.model.count)
        people = tuple(speaker_label(name) for name in dict.fromkeys((asker, *(turn.author for turn in turns))) if name)
        if question.risk is not Risk.NONE:
            temperature, max_tokens = min(temperature, SUPPORT_MAX_TEMPERATURE), min(max_tokens, SUPPORT_MAX_TOKENS)
        sampling = replace(self.model.sampling, temperature=temperature, max_tokens=max_tokens)
        echoes = (self._label, people[0]) if asker else (self._label,)
        return _Request(str(reply.chat), prompt, sampling, echoes, people, prefix, settings.policy, language)

    # The answer

    async def _generate(self, request: _Request, live: AnswerWriter, stop: asyncio.Event) -> _Generated:
        live.write(request.prefix)
        mark, role = t(request.language, "mark.tool_call"), self.model.user_role
        output = PostProcessor(request.echoes, request.people, user_role=role, prefix=request.prefix, mark=mark)
        guard = self.filter.guard(request.policy)
        generated, released = _Generated(), list[str]()
        async with AsyncExitStack() as stack, interrupted_by(stop):
            entering = self.model.stream(request.prompt, request.sampling, request.owner)
            stream = await stack.enter_async_context(entering)
            async for piece in stream:
                if stop.is_set():
                    break
                released.append(guard.feed(output.feed(piece)))
                live.write(released[-1])
                if output.ended or guard.blocked:
                    break
            generated.truncated = stream.reason == "length"
        released += guard.feed(output.feed("", final=True)), guard.finish()
        text = "".join(released)
        generated.text = generated.shown = text.rstrip()
        if not output.is_history:
            generated.text = output.for_history(text).rstrip()
        generated.blocked, generated.notice = guard.blocked, output.notice
        generated.severe = guard.verdict.severity >= SEVERITY_SEVERE
        if guard.verdict.category:
            self.filter.count("answer", guard.verdict)
        return generated


def _bolder(request: _Request) -> _Request:
    """The same request at RETRY_MIN_TEMPERATURE or more."""
    temperature = max(request.sampling.temperature, RETRY_MIN_TEMPERATURE)
    return replace(request, sampling=replace(request.sampling, temperature=temperature))
