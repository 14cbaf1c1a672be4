"""Updates that come again, in another order, under ids that begin anew; across restarts, and read back as well."""

import asyncio
from collections.abc import Sequence

from tests.faults.talks import DiscordTalk, TelegramTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world
from tests.platforms.faults import FaultKind

CHATS, ROUNDS = 10, 2
NEAR = 20
"""How far from its place an update may come."""
AGAIN = 2
"""So often does an update come, on average."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Two hundred updates or more of a hundred messages."""
    async with world(bench, seed) as w:
        telegram = [w.talks.on_telegram(group=n % 2 == 0) for n in range(CHATS * 3)]
        discord = [w.talks.on_discord(group=n % 2 == 0) for n in range(CHATS)]
        bot = await w.start()
        await w.connected()
        for talk in discord:
            talk.command("/memory 5")
        await w.settled()
        for turn in range(ROUNDS):
            await _spoken(w, telegram, discord)
            await asyncio.sleep(w.random.uniform(0, 0.4))
            if turn:
                await w.kill(bot)
                w.telegram.queue.restart(w.random.randint(1, 1_000_000))
                bot = await w.start()
        return await w.judged(shuffled=True)


async def _spoken(w: World, telegram: Sequence[TelegramTalk], discord: Sequence[DiscordTalk]) -> None:
    w.discord.fault(FaultKind.DUPLICATE, "EVENT", "MESSAGE_CREATE", times=len(discord))
    for talk in (*telegram, *discord):
        talk.ask()
    w.telegram.queue.disorder(w.random, NEAR, AGAIN)
    w.discord.invalidate()  # a new session: what was heard already is read back
    w.telegram.fault(w.random.choice((FaultKind.DUPLICATE, FaultKind.REORDER)), "getUpdates")


PART = Part("duplicates", trial, 1, 25, unit="updates", each=200)
