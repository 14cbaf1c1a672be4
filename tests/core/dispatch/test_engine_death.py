"""The engine dies under answers: all run again, one that kills it is found and given up, neighbours never suffer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.dispatch.answer_runner import MAX_ENGINE_DEATHS
from core.dispatch.engine_deaths import PROBATION_PIECES, EngineDeaths, Probation
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
from tests.tables import each_row
from tests.watching import history, idle, outcome, reached, running, shown

pytestmark = pytest.mark.databases("sqlite", "postgresql")

POISON = "poison"
LONG = " ".join(f"word{number}" for number in range(60))


class MortalModel(FakeModel):
    """An engine in which everything dies at once, whenever a question has a word in it and has said so many words."""

    def __init__(self, slots: int = 4, deadly_words: int = 1) -> None:
        super().__init__(slots=slots)
        self.deaths, self.deadly_words = 0, deadly_words
        self.beside: list[int] = []
        """How many others ran beside the deadly question each time that it began."""
        self._died = asyncio.Event()

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        deadly = POISON in prompt[-1].content
        if deadly:
            self.beside.append(self.running)
        async with super().stream(prompt, sampling, owner) as stream:
            yield Mortal(stream, self, self.deadly_words if deadly else 0, self._died)

    def die(self) -> None:
        self.deaths += 1
        died, self._died = self._died, asyncio.Event()
        died.set()
        self.changed()


class Mortal:
    """A stream that ends with its engine."""

    def __init__(self, stream: Stream, model: MortalModel, deadly_words: int, died: asyncio.Event) -> None:
        self._stream, self._model, self._left, self._died = stream, model, deadly_words, died

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
            if self._left == 1:
                self._model.die()
                raise EngineDied
            self._left -= 1
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
        for reply in replies:
            other = await found(bot, reply)
            assert (other.engine_deaths, other.isolated) == (0, False), "it was nobody else's fault"
        assert model.deaths == 2 + MAX_ENGINE_DEATHS
        assert model.beside[2:] == [0] * MAX_ENGINE_DEATHS, "from the second death on it ran by itself"
        assert await history(bot, chat(7)) == []
        assert await bot.say("and now?", BOB, chat(7)) == "and now?"


@pytest.mark.slow
async def test_a_question_that_kills_the_engine_late_is_found_too(make_bot: MakeBot) -> None:
    model = MortalModel(deadly_words=PROBATION_PIECES + 2)
    async with make_bot(model) as bot:
        model.gate = asyncio.Semaphore(0)
        others = [await bot.accept(f"question {number} " + LONG, ANN, chat(number)) for number in range(3)]
        deadly = await bot.accept(f"{POISON} {LONG}", ANN, chat(7))
        await running(bot, 4)
        for _ in range(100_000):
            model.gate.release()
        assert await outcome(bot, deadly) is State.FAILED
        for reply in others:
            assert await outcome(bot, reply) is State.DONE
        assert model.beside[-MAX_ENGINE_DEATHS:] == [0] * MAX_ENGINE_DEATHS


async def test_new_questions_do_not_wait_for_what_ran_when_the_engine_died(make_bot: MakeBot) -> None:
    """And what people have read of an answer stays until there is as much again."""
    model = MortalModel(slots=5)
    async with make_bot(model) as bot:
        model.gate = asyncio.Semaphore(0)
        replies = [await bot.accept(f"question {number} {LONG}", ANN, chat(number)) for number in range(3)]
        await running(bot, 3)
        for _ in range(3 * 40):
            model.gate.release()
        seen = [bot.platform.text(reply) for reply in replies]
        for reply in replies:
            await shown(bot, reply, "word35")
        model.die()
        await model.until(lambda: model.deaths == 1)
        for _ in range(3 * (PROBATION_PIECES + 1)):
            model.gate.release()
        await running(bot, 3)
        new = await bot.accept("short", BOB, chat(8))
        model.gate.release()
        assert await outcome(bot, new) is State.DONE
        for reply in replies:
            assert "word35" in bot.platform.text(reply), f"{seen} shrank"
        for _ in range(1000):
            model.gate.release()
        for number, reply in enumerate(replies):
            assert await outcome(bot, reply) is State.DONE
            assert bot.platform.text(reply) == f"question {number} {LONG}"


@pytest.mark.slow
async def test_an_answer_that_cannot_be_shown_lets_others_begin(make_bot: MakeBot) -> None:
    """Nor one that was cancelled while it waited to begin again."""
    model = MortalModel()
    async with make_bot(model) as bot:
        model.gate = asyncio.Semaphore(0)
        first = await bot.accept("first", ANN, chat(1))
        await running(bot, 1)
        others = [await bot.accept(f"other {number}", ANN, chat(number)) for number in (2, 3)]
        await running(bot, 3)
        slow = bot.platform.channels[first.id].slow = asyncio.Event()
        model.die()
        await model.until(lambda: model.deaths == 1)
        await bot.service.control.stop(others[1])
        for _ in range(1000):
            model.gate.release()
        assert await outcome(bot, others[0]) is State.DONE
        assert (await found(bot, first)).state.open, "its chat takes nothing yet"
        slow.set()
        assert await outcome(bot, first) is State.DONE


@pytest.mark.slow
async def test_what_was_cancelled_while_it_waited_holds_up_nobody_for_long(make_bot: MakeBot) -> None:
    """It is a suspect no more once nothing waits: others begin together again."""
    model = MortalModel()
    model.gate = asyncio.Semaphore(0)
    async with make_bot(model) as bot:
        replies = [await bot.accept(f"question {number}", ANN, chat(number)) for number in range(2)]
        await running(bot, 2)
        model.die()
        await idle(bot)
        [waits] = [reply for reply in replies if (await found(bot, reply)).state is State.QUEUED]
        await bot.service.control.stop(waits)
        for _ in range(100):
            model.gate.release()
        assert {await outcome(bot, reply) for reply in replies} == {State.DONE, State.CANCELLED}
        await idle(bot)
        model.gate = asyncio.Semaphore(0)
        for number in range(3, 5):
            await bot.accept(f"question {number}", ANN, chat(number))
        await idle(bot)
        assert model.running == 2


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
        for deaths in range(-1, MAX_ENGINE_DEATHS):  # the first one is anybody's, by the second it is found
            await running(bot)
            model.gate.release()
            await model.until(lambda: model.deaths > deaths + 1)  # noqa: B023
            await reached(bot, reply, lambda current: current.engine_deaths >= deaths)  # noqa: B023
    async with make_bot(FakeModel()) as bot:
        assert await outcome(bot, reply) is State.DONE, "another engine lives through it"
        assert (await found(bot, reply)).engine_deaths == MAX_ENGINE_DEATHS - 1


async def found(bot: Bot, reply: Reply) -> Reply:
    async with bot.store.begin() as tx:
        return await tx.replies.get(reply.id)


@each_row("stopped", [True, False])
async def test_what_is_stopped_when_the_engine_dies_stays_stopped(make_bot: MakeBot, stopped: bool) -> None:
    model = MortalModel()
    model.gate = asyncio.Semaphore(1)
    async with make_bot(model) as bot:
        reply = await bot.accept("one two", ANN, ChatId("fake", f"stopped {stopped}"))
        await shown(bot, reply, "one")
        if stopped:
            await bot.service.control.stop(reply)
        model.die()
        for _ in range(10):
            model.gate.release()
        assert await outcome(bot, reply) is (State.STOPPED if stopped else State.DONE)


class Written:
    """What is shown of an answer."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, piece: str) -> None:
        self.text += piece

    def restart(self) -> None:
        self.text = ""


@pytest.mark.slow
def test_what_is_remembered_of_an_answer() -> None:
    deaths, written = EngineDeaths(), Written()
    assert not deaths.died(1, shown=178) and not deaths.died(1, shown=4)
    assert (deaths.shown, set(deaths.suspects)) == ({1: 178}, {1}), "people have seen that much"
    deaths.begin(1)
    live = Probation(written, deaths, 1)
    for piece in ("", *"x" * (PROBATION_PIECES - 1)):
        live.write(piece)
        assert (deaths.on_probation, set(deaths.suspects)) == (1, {1})
    live.write("y")
    assert (deaths.on_probation, set(deaths.suspects)) == (None, set()), "others may begin"
    assert written.text == "x" * (PROBATION_PIECES - 1) + "y"
    assert deaths.died(1, shown=0), "it is for ever among those that die"
    deaths.forget(1)
    assert (deaths.shown, set(deaths.suspects)) == ({}, set())
    assert not deaths.died(1, shown=0), "its deaths are forgotten too"
