"""kill -9 at each named point of core/runtime/failpoints.py, and a start after it."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from core.runtime.failpoints import POINTS
from storage.database import ROOT
from tests.faults.answers import ENDLESS, ENDLESS_WORD, LONG
from tests.faults.models import Kind
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world

BOTH = ("telegram", "discord")
STOPPED = frozenset({"stopped", "cancelled"})
AWAY = 600.0
"""Seconds that the bot is away where a backlog piles up."""


@dataclass(frozen=True, slots=True)
class Case:
    """A point, the platform whose conversation is under way there, how often it is passed at most."""

    point: str
    platform: str
    passes: int
    scenario: Callable[[World, str, str], Awaitable[None]]


async def talking(world: World, platform: str, point: str) -> None:
    """Questions and a command in one conversation; more is said while the bot is dead."""
    talk = world.talks.on(platform, group=world.random.random() < 0.5)
    bot = await world.start(Kind(speed=60 if point.startswith("edited") else 0))
    await world.connected()
    talk.command("/memory 4")
    await world.settled()
    await bot.arm(point)
    talk.ask(LONG)
    talk.command("/temp 0.3")
    talk.ask()
    await world.died(bot, point)
    if world.random.random() < 0.5:
        talk.command("/temp 0.4")
        talk.ask()
    await world.start()


async def commands_from_the_menu(world: World, platform: str, point: str) -> None:
    """Slash commands. Of one that was not stored Discord itself says so."""
    talk = world.talks.on_discord(group=world.random.random() < 0.5)
    bot = await world.start()
    await world.connected()
    await world.until(lambda: world.discord.commands, "in the menu")
    talk.command("/memory 4")
    await world.settled()
    await bot.arm(point)
    talk.slash("temp", value=0.3)
    await world.died(bot, point)
    talk.ask()
    await world.start()


async def stopping(world: World, platform: str, point: str) -> None:
    """An answer is stopped that would go on for long."""
    talk = world.talks.on(platform, group=world.random.random() < 0.5)
    bot = await world.start(Kind(speed=50))
    await world.connected()
    talk.ask(ENDLESS, ends=STOPPED)
    await world.until(lambda: any(ENDLESS_WORD in seen.text for seen in talk.seen()), "answering")
    await bot.arm(point)
    talk.command("/stop")
    talk.ask()
    await world.died(bot, point)
    await world.start()


async def recovering(world: World, platform: str, point: str) -> None:
    """Dead in the middle of an answer, and again at the next start."""
    talk = world.talks.on(platform, group=world.random.random() < 0.5)
    bot = await world.start(Kind(speed=20))
    await world.connected()
    talk.ask()
    await world.until(lambda: any(seen.growing for seen in talk.seen()), "answering")
    talk.ask()
    await world.kill(bot)
    bot = await world.start(Kind(), crash_at=point)
    await world.died(bot, point)
    await world.start()


async def merging(world: World, platform: str, point: str) -> None:
    """Much was asked while the bot was away."""
    world.discord.ahead = -2 * AWAY
    talk = world.talks.on(platform, group=world.random.random() < 0.5)
    bot = await world.start()
    await world.connected()
    talk.ask(**_then(platform, 2 * AWAY))
    await world.settled()
    await world.kill(bot)
    world.discord.ahead = -AWAY
    for _ in range(4):
        talk.ask(**_then(platform, AWAY))
    world.discord.ahead = 0
    bot = await world.start(crash_at=point)
    await world.died(bot, point)
    await world.start()


def _then(platform: str, seconds: float) -> dict[str, Any]:
    """So long ago. Discord's messages tell by their ids."""
    return {"date": time.time() - seconds} if platform == "telegram" else {}


async def migrating(world: World, platform: str, point: str) -> None:
    """The database is as the last revision but one had it."""
    talk = world.talks.on(platform)
    bot = await world.start()
    await world.connected()
    talk.ask()
    talk.command("/temp 0.3")
    await world.settled()
    await world.end(bot)
    downgrade(world.database.file)
    bot = await world.start(crash_at=point)
    await world.died(bot, point)
    await world.start()
    talk.ask()


def downgrade(file: Path) -> None:
    """A revision back."""
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()


TALKING = {"admitting": 1, "admitted": 1, "claimed": 3, "intending": 4, "intended": 4, "sent": 4, "noted": 4,
           "edited": 3, "concluding": 2, "concluded": 2, "shown": 3, "delivered": 3, "commanding": 1, "commanded": 1,
           }  # fmt: skip
"""Points that a conversation passes on either platform, and how often at least."""
CASES = [
    *(Case(point, platform, passes, talking) for point, passes in TALKING.items() for platform in BOTH),
    *(Case(point, platform, 1, stopping) for point, platform in zip(("commanding", "commanded"), BOTH, strict=True)),
    Case("fetched", "telegram", 1, talking),
    Case("confirming", "telegram", 1, talking),
    Case("heard", "discord", 3, talking),
    Case("deferring", "discord", 1, commands_from_the_menu),
    *(Case("recovering", platform, 1, recovering) for platform in BOTH),
    *(Case("merging", platform, 1, merging) for platform in BOTH),
    Case("copied", "telegram", 1, migrating),
    Case("migrating", "discord", 1, migrating),
]
assert {case.point for case in CASES} == set(POINTS)


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """One death; at the first pass in the first round, at any later."""
    case, again = CASES[number % len(CASES)], number >= len(CASES)
    async with world(bench, seed) as w:
        nth = w.random.randint(1, case.passes) if again else 1 + number % case.passes
        point = f"{case.point}:{nth}"
        if not again:
            w.platforms = (case.platform,)
        try:
            await case.scenario(w, case.platform, point)
            return [f"{point} on {case.platform}: {found}" for found in await w.judged()]
        except AssertionError as error:
            raise AssertionError(f"{point} on {case.platform}: {error}") from error


PART = Part("kill-points", trial, len(CASES), 10 * len(CASES))
