"""The real engine and the built-in model: its process alone is killed, or stopped for a while, under answers."""

import asyncio
import signal
from collections.abc import Sequence

import psutil

from core.engine.worker_process import PROCESS_NAME
from tests.faults.answers import HOSTILE
from tests.faults.bot import ENGINE, REAL
from tests.faults.processes import BotProcess
from tests.faults.trials.part import Part
from tests.faults.world import Bench, world
from tests.real import CACHE

TALKS = 3
LONGEST = 2.0
"""Seconds that it is stopped."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Killed, and stopped; the bot goes on, and every question has its answer. Nobody knows what such a model says."""
    async with world(bench, seed) as w:
        w.platforms = ("telegram",)
        CACHE.mkdir(parents=True, exist_ok=True)
        (w.folder / "models").symlink_to(CACHE)
        talks = [w.talks.on_telegram() for _ in range(TALKS)]
        bot = await w.start(None, **{REAL: ENGINE, "MODEL": "builtin", "THREADS": "1", "HF_HUB_OFFLINE": "1"})
        for talk in talks:
            talk.command("/maxtokens 256")
        await w.settled()
        for trouble in w.random.sample(("killed", "stopped", "killed"), 2):
            for talk in talks:
                talk.ask(HOSTILE)
            await w.until(lambda: any(seen.growing and not seen.stub for seen in w.talks.seen()), "answering")
            await asyncio.sleep(w.random.uniform(0, 0.5))
            engine = engine_of(bot)
            if trouble == "killed":
                engine.kill()
            else:
                engine.send_signal(signal.SIGSTOP)
                await asyncio.sleep(w.random.uniform(0, LONGEST))
                engine.send_signal(signal.SIGCONT)
            await w.settled()
        found = await w.judged()
        return found if bot is w.bots[-1] else [*found, "the bot had to be started again"]


def engine_of(bot: BotProcess) -> psutil.Process:
    """The process of a bot's engine."""
    return next(each for each in psutil.Process(bot.pid).children(recursive=True) if each.name() == PROCESS_NAME)


PART = Part("engine", trial, 1, 10)
