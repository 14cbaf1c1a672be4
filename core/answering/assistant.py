"""One answer, top to bottom: check, remember, trim, generate, screen, show."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from core.answering.context_window import fit
from core.answering.postprocess import Output
from core.answering.prompt import NOBODY, Asked
from core.domain.conversation import ChatId, Reply, Turn
from core.domain.errors import Unanswered
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from core.domain.sampling import Sampling
from core.domain.settings import Rules, Settings
from core.domain.store import Store
from core.filters import SEVERITY_SEVERE, Filter, FilterAction, Policy, Verdict
from core.i18n import t
from core.llm.model import Model
from core.runtime.cancellation import unless, until
from core.runtime.retry import DATABASE_BACKOFF, Backoff, while_unavailable

T = TypeVar("T")

CALM_TEMPERATURE, CALM_TOKENS = 0.3, 120
"""To somebody who may be in danger, at most."""

RETRY_TEMPERATURE = 0.5
"""At least this much for the second try after an empty answer: greedy would only be empty again."""

TO_COME = sys.maxsize
"""In place of the id of a question that nobody has asked yet: it will be the newest."""


class Live(Protocol):
    """What the assistant needs of a live message."""

    def write(self, piece: str) -> None: ...
    def restart(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended. `text` is what the model said; `notice` is a key of core/i18n for what is said after it, or
    in its place. History keeps the text where there is one."""

    outcome: State
    text: str = ""
    notice: str = ""
    cut: bool = False
    """Whether the token limit ended it."""

    @property
    def kept(self) -> bool:
        """Whether history has something new of it."""
        return bool(self.text) and self.outcome in (State.DONE, State.STOPPED)


@dataclass(frozen=True, slots=True)
class _Work:
    owner: str
    prompt: Prompt
    sampling: Sampling
    names: tuple[str, ...]
    """Whose names an answer may echo."""
    begun: str
    policy: Policy


@dataclass(slots=True)
class _Draft:
    text: str = ""
    """What is new of it."""
    blocked: bool = False
    severe: bool = False
    """So that nothing of it may stay."""
    looped: bool = False
    cut: bool = False


class Assistant:
    """Answers one question from what the store remembers. Knows no platform."""

    def __init__(
        self,
        store: Store,
        model: Model,
        rules: Rules,
        content_filter: Filter,
        database_backoff: Backoff = DATABASE_BACKOFF,
    ) -> None:
        self.model, self.rules, self.filter = model, rules, content_filter
        self._store, self._backoff = store, database_backoff
        self._forgotten = 0
        """So many conversations."""

    async def answer(self, reply: Reply, live: Live, stop: asyncio.Event) -> Ending:
        """Generate an answer, showing it on `live` while it grows. `stop` ends it within one token.

        Raises Refused for a question that is too long, Unanswered, EngineDied.
        """
        settings, turns = await self._remember(reply)
        asked = self._screened("question", self.filter.check(reply.text, settings.policy))
        if asked.blocked and not (asked.support and asked.action is FilterAction.MASK):
            return Ending(State.REFUSED, notice=f"blocked.{asked.category}")
        turns = await self._past(turns, settings.policy)
        work = self._prepare(reply, settings, turns, self._comfort(asked) if asked.support else "")
        draft = await self._generate(work, live, stop)
        if not (draft.text or draft.blocked or stop.is_set() or work.begun):
            draft = await self._generate(self._warmer(work), live, stop)
        return self._ending(work, draft, stop)

    async def warm(self, reply: Reply) -> None:
        """Have the model read what of the conversation's next prompt is known once this reply is shown: all but the
        question. Raises what the store raises: it is not waited for."""
        forgotten = self._forgotten
        settings, turns = await self._read(reply, TO_COME)
        turns = await self._past(turns, settings.policy)
        prompt = self._fitted(settings, turns, Asked(""))
        if forgotten == self._forgotten:  # else what was read may be gone
            self.model.warm(prompt[:-1], str(reply.chat))

    def forget(self, chat: ChatId) -> None:
        """A conversation's history is gone: the model keeps nothing of it either."""
        self._forgotten += 1
        self.model.drop(str(chat))

    def _screened(self, where: str, verdict: Verdict) -> Verdict:
        if verdict.category:
            self.filter.count(where, verdict)
        return verdict

    def _comfort(self, verdict: Verdict) -> str:
        """What an answer begins with to somebody who may be in danger: the model goes on from there, in its mood."""
        language = "vi" if verdict.rule.startswith("vi:") else "en"
        lines = self.rules.help_lines or t(language, "support.lines")
        return f"{t(language, 'support.text', lines=lines)}\n\n"

    async def _remember(self, reply: Reply) -> tuple[Settings, list[Turn]]:
        assert reply.question is not None, "an answer without a question"
        question = reply.question
        return await while_unavailable(f"reply {reply.id}", lambda: self._read(reply, question), self._backoff)

    async def _read(self, reply: Reply, before: int) -> tuple[Settings, list[Turn]]:
        async with self._store.begin() as tx:
            settings = self.rules.settings(await tx.preferences.settings(reply.chat))
            turns = await tx.turns.recent(reply.chat, before, settings.memory)
        return settings, [replace(turn, author="") for turn in turns] if reply.private else list(turns)

    async def _past(self, turns: Sequence[Turn], policy: Policy) -> list[Turn]:
        """The turns as the model may see them. Judging a long one takes milliseconds: others get theirs in between."""
        past = []
        for turn in turns:
            if self._kept(turn, policy):
                past.append(replace(turn, author=self._name(turn.author, policy)))
            await asyncio.sleep(0)
        return past

    def _prepare(self, reply: Reply, settings: Settings, turns: list[Turn], comfort: str) -> _Work:
        policy, begun = settings.policy, reply.prefix or comfort
        asker = "" if reply.private else self._name((reply.asker or reply.author).name, policy)
        question = Asked(reply.text, asker, begun, careful=bool(comfort))
        prompt = self._fitted(settings, turns, question)
        sampling = replace(self.model.sampling, temperature=settings.temperature, max_tokens=settings.max_tokens)
        if comfort:  # no place for bold or long answers
            calm = min(settings.temperature, CALM_TEMPERATURE), min(settings.max_tokens, CALM_TOKENS)
            sampling = replace(sampling, temperature=calm[0], max_tokens=calm[1])
        names = dict.fromkeys(filter(None, (question.author, *(turn.author for turn in turns))))
        return _Work(str(reply.chat), prompt, sampling, tuple(names), begun, policy)

    def _fitted(self, settings: Settings, turns: list[Turn], question: Asked) -> Prompt:
        return fit(settings, turns, question, self.model.context - settings.max_tokens, self.model.count)

    def _kept(self, turn: Turn, policy: Policy) -> bool:
        """The policy may have become stricter since: what it blocks now does not reach the model any more."""
        return not any(self.filter.check(text, policy).blocked for text in (turn.question, turn.answer))

    def _name(self, name: str, policy: Policy) -> str:
        """Names are input too: a model would repeat them."""
        return NOBODY if name and self.filter.check(name, policy).blocked else name

    def _warmer(self, work: _Work) -> _Work:
        temperature = max(work.sampling.temperature, RETRY_TEMPERATURE)
        return replace(work, sampling=replace(work.sampling, temperature=temperature))

    async def _generate(self, work: _Work, live: Live, stop: asyncio.Event) -> _Draft:
        live.restart()
        live.write(work.begun)
        output, guard, draft = Output(work.names, begun=bool(work.begun)), self.filter.guard(work.policy), _Draft()
        async with AsyncExitStack() as stack:
            entering = stack.enter_async_context(self.model.stream(work.prompt, work.sampling, work.owner))
            if (stream := await unless(stop, entering)) is None:
                return draft  # stopped while the engine was loading
            async for piece in until(stop, stream):
                draft.text += (released := guard.feed(output.feed(piece)))
                live.write(released)
                if output.ended or guard.blocked:
                    break
            draft.cut = stream.reason == "length"
        draft.text += guard.feed(output.finish()) + guard.finish()
        draft.text = draft.text[: len(draft.text) - output.surplus].rstrip()
        draft.blocked, draft.looped = guard.blocked, bool(output.surplus)
        draft.severe = self._screened("answer", guard.verdict).severity >= SEVERITY_SEVERE
        return draft

    def _ending(self, work: _Work, draft: _Draft, stop: asyncio.Event) -> Ending:
        text = work.begun + draft.text
        if draft.blocked:
            return Ending(State.DONE, "" if draft.severe else text, "refused.answer")
        if stop.is_set():
            return Ending(State.STOPPED, text, "mark.stopped")
        if not text:
            raise Unanswered("error.empty")
        return Ending(State.DONE, text, "mark.loop" if draft.looped else "", cut=draft.cut)
