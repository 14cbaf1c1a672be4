"""The engine dies under answers: each runs again by itself, one that kills it is given up, neighbours never suffer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.dispatch.answer_runner import MAX_ENGINE_DEATHS
from core.domain.conversation import ChatId, Reply
from core.domain.errors import EngineDied
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from core.domain.sampling import Sampling
from core.engine.protocol import FinishReason
from core.i18n import t
from core.llm.model import Stream
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, BOB, FakeModel
from tests.watching import history, outcome, reached, running, shown

pytestmark = pytest.mark.databases("sqlite", "postgresql")

POISON = "poison"


class MortalModel(FakeModel):
    """An engine in which everything dies at once, whenever a question has a word in it and has said its first word."""

    def __init__(self, slots: int = 4) -> None:
        super().__init__(slots=slots)
        self.deaths = 0
        self.beside: list[int] = []
        """How many others ran beside a question when it began after the first death."""
        self._died = asyncio.Event()

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        if self.deaths:
            self.beside.append(self.running)
        async with super().stream(prompt, sampling, owner) as stream:
            yield Mortal(stream, self, POISON in prompt[-1].content, self._died)

    def die(self) -> None:
        self.deaths += 1
        died, self._died = self._died, asyncio.Event()
        died.set()
        self.changed()


class Mortal:
    """A stream that ends with its engine."""

    def __init__(self, stream: Stream, model: MortalModel, deadly: bool, died: asyncio.Event) -> None:
        self._stream, self._model, self._deadly, self._died = stream, model, deadly, died

    @property
    def reason(self) -> FinishReason | None:
        return self._stream.reason

    async def __aiter__(self) -> AsyncIterator[str]:
        pieces = aiter(self._stream)
        while True:
            step = asyncio.ensure_future(anext(pieces, None))
            death = asyncio.ensure_future(self._died.wait())
            try:
                await asyncio.wait({step, death}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                death.cancel()
                if not step.done():
                    step.cancel()
                    await asyncio.gather(step, return_exceptions=True)
            if self._died.is_set():
                raise EngineDied
            if (piece := step.result()) is None:
                return
            if self._deadly:
                self._model.die()
                raise EngineDied
            yield piece


def chat(number: int) -> ChatId:
    return ChatId("fake", str(number))


async def test_a_question_that_kills_the_engine_is_given_up_and_its_neighbours_are_answered(make_bot: MakeBot) -> None:
    model = MortalModel(slots=8)
    model.gate = asyncio.Semaphore(0)
    async with make_bot(model) as bot:
        replies = [await bot.accept(f"question {number} of them", ANN, chat(number)) for number in range(7)]
        deadly = await bot.accept(f"{POISON} it is", ANN, chat(7))
        await running(bot, 8)
        for _ in range(1000):
            model.gate.release()
        assert await outcome(bot, deadly) is State.FAILED
        assert bot.platform.text(deadly) == t("en", "error.lost")
        for number, reply in enumerate(replies):
            assert await outcome(bot, reply) is State.DONE
            assert bot.platform.text(reply) == f"question {number} of them"
        assert model.deaths == 1 + MAX_ENGINE_DEATHS and model.beside and not any(model.beside), "each by itself"
        assert await history(bot, chat(7)) == []
        assert await bot.say("and now?", BOB, chat(7)) == "and now?"


async def test_an_engine_that_dies_once_costs_nobody_anything(make_bot: MakeBot) -> None:
    model = MortalModel()
    model.gate = asyncio.Semaphore(1)
    async with make_bot(model) as bot:
        reply = await bot.accept("one two three")
        await shown(bot, reply, "one")
        model.die()
        for _ in range(10):
            model.gate.release()
        assert await outcome(bot, reply) is State.DONE
        assert bot.platform.text(reply) == "one two three"
        assert len(bot.platform.channels[reply.id].messages) == 1, "the same message"
        assert len(await history(bot)) == 1


async def test_deaths_outlive_a_restart(make_bot: MakeBot) -> None:
    """A crash beside them is no strike, and forgets none."""
    model = MortalModel()
    async with make_bot(model) as bot:
        model.gate = asyncio.Semaphore(0)
        reply = await bot.accept(f"{POISON} it is")
        for deaths in range(MAX_ENGINE_DEATHS):
            await running(bot)
            model.gate.release()
            await model.until(lambda: model.deaths > deaths)  # noqa: B023
            await reached(bot, reply, lambda current: current.engine_deaths >= deaths)  # noqa: B023
    async with make_bot(FakeModel()) as bot:
        assert await outcome(bot, reply) is State.DONE, "another engine lives through it"
        assert (await found(bot, reply)).engine_deaths == MAX_ENGINE_DEATHS - 1


async def found(bot: Bot, reply: Reply) -> Reply:
    async with bot.store.begin() as tx:
        return await tx.replies.get(reply.id)


@pytest.mark.parametrize("stopped", [True, False])
async def test_what_is_stopped_when_the_engine_dies_stays_stopped(make_bot: MakeBot, stopped: bool) -> None:
    model = MortalModel()
    model.gate = asyncio.Semaphore(1)
    async with make_bot(model) as bot:
        reply = await bot.accept("one two")
        await shown(bot, reply, "one")
        if stopped:
            await bot.service.control.stop(reply)
        model.die()
        for _ in range(10):
            model.gate.release()
        assert await outcome(bot, reply) is (State.STOPPED if stopped else State.DONE)
