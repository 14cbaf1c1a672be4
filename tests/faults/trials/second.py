"""A second process on the same database, and a second one with the same token."""

import asyncio
from collections.abc import Sequence

from core.domain.errors import EX_CONFIG
from tests.faults.database import Database
from tests.faults.processes import BotProcess
from tests.faults.trials.part import Part
from tests.faults.world import DATABASE, Bench, World, world
from tests.patience import limit


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """One of the two stops with a clear line; the other goes on."""
    async with world(bench, seed) as w:
        return await (_same_database(w) if number % 2 == 0 else _same_token(bench, w, seed))


async def _same_database(w: World) -> Sequence[str]:
    talk = w.talks.on_telegram()
    first = await w.start()
    talk.ask()
    await w.settled()
    second = await w.start()
    found = await _stopped(second, w)
    w.bots.remove(second)
    w.begun = (0, 0)
    talk.ask()
    assert first.code is None, "the first has ended too"
    return [*found, *await w.judged()]


async def _same_token(bench: Bench, w: World, seed: int) -> Sequence[str]:
    w.platforms = ("telegram",)
    async with world(bench, seed) as other:
        talk = w.talks.on_telegram()
        await w.start()
        talk.ask()
        await w.settled()
        other.telegram, other.platforms = w.telegram, ("telegram",)
        await other.start()
        both = (w, other)
        try:
            async with limit():
                while not any(each.bots[-1].code is not None for each in both):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return ["of two pollers with one token neither stops"]
        ended, alive = both if w.bots[-1].code is not None else (other, w)
        found = await _stopped(ended.bots[-1], ended)
        talk.ask()
        database = Database(alive.folder / DATABASE)
        async with limit():
            while database.progress()[0] == 0 or database.progress()[1]:
                await asyncio.sleep(0.05)
        return found if talk.said[-1].token in str(talk.seen()) else [*found, "nobody answers"]


async def _stopped(bot: BotProcess, w: World) -> Sequence[str]:
    code = await bot.ended()
    w.keep_log()
    last = w.log.read_text("utf-8").splitlines()[-1]
    found = [] if code == EX_CONFIG else [f"ended with {code}"]
    return found if last.startswith("qwentin: ") else [*found, f"no clear line: {last[:100]!r}"]


PART = Part("second", trial, 2, 20)
