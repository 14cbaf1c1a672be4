"""A long life: one database and one data folder live through hundreds of kills, with everything that people do."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from core.runtime.failpoints import POINTS
from tests.faults.acts import People
from tests.faults.life_invariants import buttons, life_complaints
from tests.faults.models import Kind
from tests.faults.processes import BotProcess
from tests.faults.trials.part import Part
from tests.faults.trials.storms import DISCORD, TELEGRAM, UNKNOWN
from tests.faults.world import Bench, World, world
from tests.patience import LIMIT_S
from tests.platforms.chaos import Chaos

WHOLE = 300
AT_A_START = ("copied", "migrating")
"""Points that no start passes on a database that is up to date."""
NAMED = tuple(point for point in POINTS if point not in AT_A_START)
RESTS = 6
"""So many kills from one rest, at which all is compared, to the next."""
HOUR = 3600
TIDY = LIMIT_S
"""Seconds within which buttons that do nothing any more are gone."""
STORM = 0.12
ONE_BY_ONE = {"QUESTIONS_PER_USER": "0"}
"""Nobody is told that they ask too much: three people ask for hundreds."""


async def trial(bench: Bench, kills: int, seed: int) -> Sequence[str]:
    """So many kills."""
    async with world(bench, seed) as w:
        return await Life(w).lived(kills)


class Life:
    """See the module."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random
        self.people = People(world)
        self._storms: list[Chaos] = []

    async def lived(self, kills: int) -> Sequence[str]:
        """What does not hold at one of the rests, or at the end."""
        w = self.world
        bot = await self._born()
        await w.connected()
        await w.until(lambda: w.discord.commands, "in the menu")
        self.people.greet()
        await w.settled()
        for number in range(1, kills + 1):
            await self._until_death(bot)
            for _ in range(self.random.choice((0, 0, 1, 4))):
                self.people.act()
            bot = await self._born(again=self.random.random() < 0.15)
            if number % RESTS == 0 and number < kills and (found := await self._rest()):
                return [f"after {number} kills: {each}" for each in found]
        await self._at_rest()
        return await w.judged(judge=life_complaints)

    async def _born(self, *, again: bool = False) -> BotProcess:
        """A bot that is there; `again`: one that dies in its start was before it."""
        w, random = self.world, self.random
        kind = Kind(speed=random.choice((60, 200, 200, 0)), slots=random.choice((2, 4)))
        if again:
            bot = await w.start(kind, crash_at=f"{random.choice(NAMED)}:{random.randint(1, 3)}", **ONE_BY_ONE)
            await self._watched(bot, random.uniform(0.3, 1.0))
            await self._killed(bot)
        bot = await w.start(kind, **ONE_BY_ONE)
        await w.until(lambda: len(w.telegram.queue.polls) > w.begun[0], "polling")
        return bot

    async def _until_death(self, bot: BotProcess) -> None:
        """People act, things break, and it dies at a random moment or at a named point."""
        random = self.random
        self._trouble(bot)
        if random.random() < 0.3:
            self.people.ask_quietly()
        if random.random() < 0.4:
            await bot.arm(f"{random.choice(NAMED)}:{random.randint(1, 6)}")
        for _ in range(random.randint(2, 14)):
            self.people.act()
            await self._watched(bot, random.choice((0, 0, 0.02, 0.1, 0.3)))
        await self._watched(bot, random.uniform(0, 0.6))
        await self._killed(bot)

    def _trouble(self, bot: BotProcess) -> None:
        """Sometimes: a storm, a clock that is set, a gateway that drops."""
        w, random = self.world, self.random
        if random.random() < 0.25:
            self._storms.append(Chaos(random, STORM, TELEGRAM))
            w.telegram.meet(self._storms[-1])
            w.discord.meet(Chaos(random, STORM, DISCORD))
        elif random.random() < 0.5:
            self._calm()
        if random.random() < 0.2:
            bot.step_clock(random.choice((0, HOUR, -HOUR)))
        if random.random() < 0.1:
            random.choice((w.discord.drop, w.discord.reconnect, w.discord.invalidate))()

    def _calm(self) -> None:
        w = self.world
        w.telegram.meet(None)
        w.discord.meet(None)
        w.stubs += sum(storm.met[kind, "sendMessage"] for storm in self._storms for kind in UNKNOWN)
        self._storms.clear()
        self.people.reopen()

    async def _watched(self, bot: BotProcess, seconds: float) -> None:
        """Time passes, unless it dies."""
        if bot.code is None:
            await asyncio.sleep(seconds)

    async def _killed(self, bot: BotProcess) -> None:
        w = self.world
        await w.kill(bot)
        w.discord.penalties.clear()  # it may not have known of one yet
        w.telegram.penalties.clear()

    async def _rest(self) -> Sequence[str]:
        """Everything is answered, and compared."""
        await self._at_rest()
        found = life_complaints(self.world.evidence())
        if found:
            self.world.keep_log()
        return found

    async def _at_rest(self) -> None:
        """The quiet ones are answered; what takes its time, such as buttons of earlier answers, is done."""
        self._calm()
        self.people.ask_quietly()
        await self.world.settled()
        with suppress(TimeoutError):  # then the judge says what is left
            async with asyncio.timeout(TIDY):
                while list(buttons(self.world.evidence())):
                    await asyncio.sleep(0.1)


PART = Part("life", trial, 0, WHOLE, unit="kills", single=True)
