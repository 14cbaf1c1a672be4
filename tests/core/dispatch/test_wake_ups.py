"""No wake-up is lost: with the search for orphaned replies switched off, whatever is stored comes to its end."""

import asyncio
import random
from collections.abc import Sequence

from core.dispatch.dispatcher import Slot
from core.domain.conversation import ChatId, Reply
from core.domain.errors import EngineDied
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import running_bot
from tests.core.dispatch.claiming import claim_loops
from tests.core.dispatch.counting import NO_SWEEP, CountingStore, at_rest, ended
from tests.fakes import ANN, BOB, FakeModel, echo
from tests.tables import each_row

SAID = ("one two three",) * 6 + ("/temp 0.5", "/temp 7", "/retry", "/undo", "/stop", "/clear", "/lang en", "/settings")
CHATS, ROUNDS, AT_ONCE, SEEDS = 2, 10, 4, 3


@each_row(("lane", "waiting"), [(lane, waiting) for lane in Lane for waiting in (True, False)])
async def test_an_ended_reply_wakes_its_lane_where_the_last_claim_left_something(lane: Lane, waiting: bool) -> None:
    async with claim_loops() as claims:
        claims.held_up = {lane} if waiting else set()
        claims.dispatcher.wake(lane)
        assert (await claims.made())[lane] == 1, "and no second one"
        claims.dispatcher.wake_held_up(lane)
        assert (await claims.made())[lane] == waiting
        claims.dispatcher.wake(lane)
        assert (await claims.made())[lane] == 1, "what is stored wakes it in any case"


@each_row("fails", [False, True])
async def test_an_ended_reply_wakes_its_lane_while_a_claim_is_under_way(fails: bool) -> None:
    """The claim may have read what was before; so may one that failed."""
    async with claim_loops() as claims:
        claims.dispatcher.wake(Lane.ANSWER)
        assert await claims.made() == {Lane.ANSWER: 1}
        claims.gate.clear()
        claims.dispatcher.wake(Lane.ANSWER)
        assert await claims.made() == {Lane.ANSWER: 1}
        claims.errors = [OSError()] if fails else []
        claims.dispatcher.wake_held_up(Lane.ANSWER)
        claims.gate.set()
        assert await claims.made() == {Lane.ANSWER: 1}, "the claim that is over may have missed it"
        claims.dispatcher.wake_held_up(Lane.ANSWER)
        assert await claims.made() == {}


async def test_an_ended_command_wakes_answers_alone_where_only_they_wait() -> None:
    async with claim_loops() as claims:
        claims.held_up = {Lane.ANSWER}
        claims.dispatcher.wake_all()
        await claims.made()
        claims.dispatcher.wake_held_up(Lane.NOTICE)
        assert await claims.made() == {Lane.ANSWER: 1}


async def test_what_may_wait_is_known_without_a_look() -> None:
    async with claim_loops() as claims:
        dispatcher = claims.dispatcher
        assert dispatcher.may_wait(Lane.ANSWER), "nothing was looked at yet"
        dispatcher.wake(Lane.ANSWER)
        await claims.made()
        assert not dispatcher.may_wait(Lane.ANSWER)
        dispatcher._lanes[Lane.ANSWER].free = 0
        dispatcher.wake(Lane.ANSWER)
        assert await claims.made() == {}
        assert dispatcher.may_wait(Lane.ANSWER), "it is stored, and every place is taken"
        claims.held_up = {Lane.ANSWER}
        Slot(dispatcher._lanes[Lane.ANSWER]).release()
        assert await claims.made() == {Lane.ANSWER: 1}
        assert dispatcher.may_wait(Lane.ANSWER)


class DyingModel(FakeModel):
    """Its engine dies now and then."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(self._say, slots=dice.randint(1, 3))
        self._dice = dice

    def _say(self, prompt: Prompt) -> Sequence[str]:
        if self._dice.random() < 0.25:
            raise EngineDied
        return echo(prompt)


async def test_whatever_is_said_comes_to_its_end(database: str) -> None:
    """Questions and commands at random, a few at a time, over a store that is slow at random places."""
    for seed in range(SEEDS):
        dice = random.Random(seed)
        async with open_database(database) as engine:
            store = DatabaseStore(engine)
            counting = CountingStore(store, dice)
            async with running_bot(counting, store, DyingModel(dice), timing=NO_SWEEP) as bot:
                for _ in range(ROUNDS):
                    replies = list[Reply]()
                    for _ in range(dice.randint(1, AT_ONCE)):
                        chat = ChatId("fake", f"{seed}-{dice.randrange(CHATS)}")
                        replies.append(await bot.accept(dice.choice(SAID), dice.choice((ANN, BOB)), chat))
                        for _ in range(dice.choice((0, 0, 3, 30))):
                            await asyncio.sleep(0)
                    for reply in replies:  # nothing comes after it that would wake what was forgotten
                        await ended(store, reply)
                await at_rest(bot, counting)
