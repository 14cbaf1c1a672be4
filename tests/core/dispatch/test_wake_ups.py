"""No wake-up is lost: with the search for orphaned replies switched off, whatever is stored comes to its end."""

import asyncio
import random
from collections.abc import Sequence

from core.dispatch.lanes import LaneSignals
from core.domain.conversation import ChatId, Reply
from core.domain.errors import EngineDied
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import running_bot
from tests.core.dispatch.counting import NO_SWEEP, CountingStore, at_rest, ended
from tests.fakes import ANN, BOB, FakeModel, echo
from tests.tables import each_row

SAID = ("one two three",) * 6 + ("/temp 0.5", "/temp 7", "/retry", "/undo", "/stop", "/clear", "/lang en", "/settings")
CHATS, ROUNDS, AT_ONCE, SEEDS = 2, 10, 4, 3


async def woken(signals: LaneSignals, lane: Lane) -> bool:
    waiting = asyncio.create_task(signals.wait(lane))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


@each_row(("lane", "waiting"), [(lane, waiting) for lane in Lane for waiting in (True, False)])
async def test_an_ended_reply_wakes_its_lane_where_the_last_claim_left_something(lane: Lane, waiting: bool) -> None:
    signals = LaneSignals()
    signals.claiming(lane)
    signals.claimed(lane, waiting=waiting)
    assert not await woken(signals, lane)
    signals.notify_ended(lane)
    assert await woken(signals, lane) is waiting
    signals.notify(lane)
    assert await woken(signals, lane), "what is stored wakes it in any case"


async def test_an_ended_reply_wakes_its_lane_while_a_claim_is_under_way() -> None:
    """The claim may have read what was before; so may one that failed."""
    signals = LaneSignals()
    signals.claiming(Lane.ANSWER)
    signals.claimed(Lane.ANSWER, waiting=False)
    for _ in range(2):
        signals.claiming(Lane.ANSWER)
        signals.notify_ended(Lane.ANSWER)
        assert await woken(signals, Lane.ANSWER)
    signals.claimed(Lane.ANSWER, waiting=False)
    assert await woken(signals, Lane.ANSWER), "the claim that is over may have missed it"


async def test_an_ended_command_wakes_answers_alone_where_only_they_wait() -> None:
    signals = LaneSignals()
    for lane in Lane:
        signals.claiming(lane)
        signals.claimed(lane, waiting=lane is Lane.ANSWER)
    signals.notify_ended(Lane.NOTICE)
    assert [await woken(signals, lane) for lane in (Lane.ANSWER, Lane.NOTICE)] == [True, False]


async def test_what_may_wait_is_known_without_a_look() -> None:
    signals = LaneSignals()
    assert signals.may_wait(Lane.ANSWER), "nothing was looked at yet"
    signals.claiming(Lane.ANSWER)
    signals.claimed(Lane.ANSWER, waiting=False)
    assert not signals.may_wait(Lane.ANSWER)
    signals.notify(Lane.ANSWER)
    assert signals.may_wait(Lane.ANSWER), "it is stored, and every slot is taken"
    signals.claiming(Lane.ANSWER)
    signals.claimed(Lane.ANSWER, waiting=True)
    assert signals.may_wait(Lane.ANSWER)


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
