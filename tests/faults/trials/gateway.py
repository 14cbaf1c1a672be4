"""Discord's gateway in trouble: dropped, asked to connect again, its session void, silent, away for half an hour."""

import asyncio
import time
from collections.abc import Sequence

from tests.faults.bot import CLOCK, LOGINS
from tests.faults.talks import DiscordTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world

KINDS = ("drop", "reconnect", "invalidate", "silence", "offline")
QUICK = len(KINDS) + 1
HEARTBEAT = 400
A_DAY = 500
MINUTE, HOUR = 60_000, 3_600_000


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """One trouble, with messages before, in and after it: each is answered once. And once, many logins."""
    async with world(bench, seed) as w:
        w.platforms = ("discord",)
        if number == len(KINDS):
            return await logins(w, HOUR // 6)
        if number == QUICK:
            return await logins(w, 24 * HOUR)
        return await trouble(w, KINDS[number % len(KINDS)])


async def trouble(w: World, kind: str) -> Sequence[str]:
    """See trial."""
    w.discord.gateway.heartbeat_ms = HEARTBEAT
    talks = [w.talks.on_discord(group=n % 2 == 0) for n in range(4)]
    await w.start()
    await w.connected()
    _say(w, talks)
    await w.settled()
    _say(w, talks)
    await _meet(w, talks, kind)
    _say(w, talks)
    return await w.judged()


async def _meet(w: World, talks: Sequence[DiscordTalk], kind: str) -> None:
    if kind == "drop":
        w.discord.drop(w.random.choice((4000, 1006)))
    elif kind == "reconnect":
        w.discord.reconnect()
    elif kind == "invalidate":
        w.discord.invalidate(resumable=w.random.random() < 0.5)
    elif kind == "silence":
        w.discord.silence()
    else:
        async with w.discord.offline():
            _say(w, talks)
            w.discord.advance(w.random.uniform(1, 1800))  # the session may be forgotten by then
            await asyncio.sleep(0.1)
            _say(w, talks)


def _say(w: World, talks: Sequence[DiscordTalk]) -> None:
    for talk in talks:
        if w.random.random() < 0.8 or not talk.said:
            talk.ask()


async def logins(w: World, lasting: int) -> Sequence[str]:
    """A bot that dies two seconds after each login, and is started again for ever. `lasting` is by its clock, in ms."""
    began = now = time.time_ns() // 1_000_000
    times: list[int] = []
    while now - began < lasting:
        known = len(w.discord.identifies)
        bot = await w.start(None, **{LOGINS: "counted", CLOCK: str(now)})
        waits = "too many logins"
        while len(w.discord.identifies) == known and not (w.log.exists() and waits in w.log.read_text("utf-8")):
            assert bot.code is None, f"the bot has ended with {bot.code}"
            await asyncio.sleep(0.01)
        await bot.kill()
        w.log.unlink(missing_ok=True)
        if len(w.discord.identifies) > known:
            times.append(now)
            now += 5_000
        else:
            now += MINUTE
    day = max(sum(at - 24 * HOUR < other <= at for other in times) for at in times)
    hour = max(sum(at - HOUR < other <= at for other in times) for at in times)
    found = [f"{day} logins in a day"] if day >= A_DAY else []
    return found if hour <= 10 + 20 else [*found, f"{hour} logins in an hour"]


PART = Part("gateway", trial, QUICK, 100)
