"""The GuardModel protocol, and the guard model that runs in an engine of its own: a question in, an assessment out.

It is asked by scored tokens: its answer is begun for it ("Safety:"), and the engine says which of the words that may
follow is the likeliest. So nothing is generated, nothing has to be parsed, and no question can talk the model into
another answer than one of these words.
"""

import asyncio
import itertools
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from core.checkpoints import Checkpoint
from core.domain.errors import ChatError, SetupError
from core.domain.filter_policy import Level
from core.domain.prompt import Message
from core.domain.sampling import Sampling
from core.engine.engine import Engine
from core.filters.assessment import Assessment, needs_category
from core.llm.guard_families import GuardFamily, family_of
from core.llm.tokenizer import Tokenizer

log = logging.getLogger(__name__)

_SIGNS = "<>:\uff1c\uff1e\uff1a"
"""Those that make words a delimiter or a speaker of a template, the full-width ones too."""
_PROBE = (Message("user", "probe"),)
_TEMPLATE_OWNER = ""
"""Whose the beginning of every prompt is in the cache, so that no conversation takes it along."""


class GuardUnavailable(Exception):
    """The guard model gave no assessment, or none in time."""


class GuardModel(Protocol):
    """A second reader of questions: a model on this machine, or a server's."""

    name: str

    async def assess(self, question: str, level: Level, owner: str) -> Assessment:
        """Judge one question for a conversation of this level. `owner` names the conversation.

        The category is asked for where it matters at this level. Raises GuardUnavailable after the time limit at the
        latest. May be cancelled at any moment.
        """

    def drop(self, owner: str) -> None:
        """Forget what was computed for this owner alone. Never waits."""

    def status(self) -> str:
        """Where the model runs, in a few words for people."""


class LocalGuardModel:
    """A guard model of this machine. Raises SetupError for one of no known family, or with an unusable tokenizer.

    Questions are judged from `load` on; until then `assess` waits, as answers wait for a model that loads. `limit_s`:
    the seconds that an assessment may take after that.
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine, limit_s: float) -> None:
        self.name = checkpoint.name
        self._engine, self._limit_s = engine, limit_s
        self._family = family_of(checkpoint.chat_template, checkpoint.name)
        self._tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template, _PROBE)
        self._answers = AnswerIds(self._family, self._tokenizer, checkpoint.name)
        self._forgeries = forgeries_of(self._family)
        self._loaded = asyncio.Event()
        self._late: asyncio.Task[Assessment] | None = None
        """An assessment that was not in time and is still waited for: so the engine sees that something waits, and
        notices that its worker hangs."""

    async def load(self) -> None:
        """Wait until the engine is ready. Raises SetupError where the model can't be loaded."""
        await self._engine.ready()
        self._engine.warm(self._tokenizer.encode_before_question(()), _TEMPLATE_OWNER)
        self._loaded.set()

    async def watch(self) -> None:
        """Wait until the engine has ended for good, and log why: nobody else would say so."""
        try:
            await self._engine.failed()
        except SetupError as reason:
            log.error("the guard model judges no question until the bot is started again: %s", reason)

    async def assess(self, question: str, level: Level, owner: str) -> Assessment:
        """See GuardModel."""
        await self._loaded.wait()
        assessing = asyncio.create_task(self._assess(question, level, owner))
        assessing.add_done_callback(_retrieve)
        try:
            await asyncio.wait({assessing}, timeout=self._limit_s)
            if assessing.done():
                return assessing.result()
            if self._late is None or self._late.done():
                self._late = assessing
            raise GuardUnavailable("it takes too long")
        except ChatError as error:
            raise GuardUnavailable("its engine was lost, or has too much to do") from error
        finally:
            if assessing is not self._late:
                assessing.cancel()

    def drop(self, owner: str) -> None:
        """See GuardModel."""
        self._engine.drop(owner)

    def status(self) -> str:
        """See GuardModel."""
        info = self._engine.info
        return f"{info.device}, {info.weights}" if info else "not loaded"

    async def _assess(self, question: str, level: Level, owner: str) -> Assessment:
        ids = self._tokenizer.encode((Message("user", without_forgeries(question, self._forgeries)),))
        word = await self._likeliest(ids, self._answers.labels, owner)
        label = self._family.labels[word]
        if not needs_category(label, level):
            return Assessment(label)
        category = await self._likeliest(ids, self._answers.categories[word], owner)
        return Assessment(label, self._family.categories[category])

    async def _likeliest(self, prompt: list[int], answers: Mapping[str, list[int]], owner: str) -> str:
        """Which of the answers to a prompt, by name, the model finds the likeliest, token by token.

        One scored token decides between answers that differ in their first token. What all have in common is no
        question, and costs no step of its own.
        """
        left, known = dict(answers), 0
        while len(left) > 1:
            known = common_length(left)
            choices = tuple(dict.fromkeys(ids[known] for ids in left.values()))
            begun = next(iter(left.values()))[:known]
            token = await self._score([*prompt, *begun], choices, owner)
            left = {name: ids for name, ids in left.items() if ids[known] == token}
        return next(iter(left))

    async def _score(self, ids: list[int], choices: tuple[int, ...], owner: str) -> int:
        """The likeliest of these tokens after the ids. Raises GuardUnavailable where they do not fit."""
        sampling = Sampling(temperature=0, max_tokens=1, choices=choices)
        async with self._engine.stream(ids, sampling, owner) as stream:
            async for token in stream:
                return token
        raise GuardUnavailable("the question does not fit into its context")


class AnswerIds:
    """The token ids of all answers of a family, in one model's tokenizer.

    Raises SetupError where the tokenizer can't tell two answers apart.
    """

    def __init__(self, family: GuardFamily, tokenizer: Tokenizer, name: str) -> None:
        def ids_of(texts: dict[str, str]) -> Mapping[str, list[int]]:
            found = {word: tokenizer.encode_after_line(text) for word, text in texts.items()}
            if not are_distinct(found):
                raise SetupError(f"GUARD_MODEL: the tokenizer of {name} can't tell its answers apart")
            return found

        starts = {word: f"{family.label_start}{word}{family.category_start}" for word in family.labels}
        self.labels = ids_of(starts)
        """By label."""
        self.categories = {
            word: ids_of({category: start + category for category in family.categories})
            for word, start in starts.items()
        }
        """By label, then by category."""


def forgeries_of(family: GuardFamily) -> re.Pattern[str]:
    """What in a question looks like a part of the family's template, as a reader takes it: in any case, with spaces
    and signs between, with full-width signs. They are no control tokens, which the tokenizer takes care of."""
    delimiters = "|".join(r"[\W_]{1,8}".join(re.findall(r"\w+", delimiter)) for delimiter in family.delimiters)
    bracketed = rf"(?<![<\uFF1C])[<\uFF1C]++[\W_]{{0,8}}(?:{delimiters})[\W_]{{0,8}}[>\uFF1E]+"
    named = rf"\b(?:{'|'.join(family.speakers)})\s{{0,8}}[:\uFF1A]"
    return re.compile(f"{bracketed}|{named}", re.IGNORECASE)


def without_forgeries(question: str, forgeries: re.Pattern[str]) -> str:
    """The question with the words of each forgery in round brackets instead of the signs that make it one."""
    return forgeries.sub(lambda found: f"({found[0].strip(_SIGNS)})", question)


def common_length(answers: Mapping[str, list[int]]) -> int:
    """How many ids at the beginning all the answers have in common."""
    return next(place for place, ids in enumerate(zip(*answers.values(), strict=False)) if len(set(ids)) > 1)


def are_distinct(answers: Mapping[str, list[int]]) -> bool:
    """Whether no answer is the beginning of another, so that they can be told apart token by token."""
    every = sorted(answers.values())
    return all(other[: len(ids)] != ids for ids, other in itertools.pairwise(every))


def _retrieve(task: asyncio.Task[Assessment]) -> None:
    """Look at how a task has ended, though nobody may wait for it any more; asyncio would log its error."""
    with suppress(asyncio.CancelledError):
        task.exception()
