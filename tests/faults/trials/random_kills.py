"""kill -9 at a random moment, with twenty conversations on both platforms."""

import asyncio
from collections.abc import Sequence

from tests.faults.answers import LONG
from tests.faults.models import Kind
from tests.faults.talks import DiscordTalk, TelegramTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world

ON_EACH, QUICK = 10, 10


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Everybody asks and sets; death comes once or more often; then all is answered."""
    async with world(bench, seed) as w:
        return await killed(w, 1 if number < QUICK else w.random.choice((1, 1, 2, 3)))


async def killed(w: World, times: int) -> Sequence[str]:
    """See trial."""
    talks = [w.talks.on(platform, group=n % 3 == 0) for platform in ("telegram", "discord") for n in range(ON_EACH)]
    bot = await w.start(Kind(speed=w.random.choice((60, 200, 0)), slots=w.random.choice((2, 4))))
    await w.connected()
    for talk in talks:
        if isinstance(talk, DiscordTalk):  # a place that the bot does not know is not read back
            talk.command("/memory 5")
    await w.settled()
    for _ in range(times):
        for talk in talks:
            _speak(w, talk)
        await asyncio.sleep(w.random.uniform(0.02, 1.2))
        await w.kill(bot)
        bot = await w.start()
    return await w.judged()


def _speak(w: World, talk: TelegramTalk | DiscordTalk) -> None:
    what = w.random.random()
    if what < 0.2:
        talk.command(f"/temp {w.random.randint(1, 9) / 10:g}")
    talk.ask(*([LONG] if what < 0.1 else []))
    if what > 0.9:
        talk.command(f"/memory {w.random.randint(1, 10)}")


PART = Part("random", trial, QUICK, 100)
