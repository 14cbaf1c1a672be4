"""A platform in trouble: penalties, failing servers, lost connections, half answers, for one call in four."""

from collections.abc import Sequence

from tests.faults.evidence import ANSWERED
from tests.faults.talks import DiscordTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, world
from tests.platforms.chaos import Chance, Chaos
from tests.platforms.faults import FaultKind

ON_EACH, QUESTIONS = 12, 2
PROBABILITY = 0.25
SHOWING = "send|edit|delete"
TELEGRAM = (
    Chance(FaultKind.DROP_BEFORE),
    Chance(FaultKind.ACCEPT_THEN_DROP, SHOWING),
    Chance(FaultKind.TRUNCATED),
    Chance(FaultKind.SLOW, options={"seconds": 0.1}),
    Chance(FaultKind.ERROR, options={"code": 500, "description": "Internal Server Error"}),
    Chance(FaultKind.ERROR, options={"code": 502, "description": "Bad Gateway"}),
    Chance(FaultKind.ERROR, SHOWING, {"code": 429, "description": "Too Many Requests: retry after 2",
                              "parameters": {"retry_after": 2}}),
)  # fmt: skip
MESSAGES = "(POST|PATCH) /channels/"
DISCORD = (
    Chance(FaultKind.DROP_BEFORE),
    Chance(FaultKind.ACCEPT_THEN_DROP, MESSAGES),
    Chance(FaultKind.TRUNCATED, MESSAGES),
    Chance(FaultKind.SLOW, options={"seconds": 0.1}),
    Chance(FaultKind.ERROR, options={"code": 503}),
    Chance(FaultKind.ERROR, MESSAGES, {"code": 502}),
    Chance(FaultKind.RATE_LIMIT, MESSAGES, {"seconds": 1.5}),
)
TRIED = ANSWERED | {"refused"}
"""A command in a group may find that nobody can say who is an admin."""
UNKNOWN = (FaultKind.ACCEPT_THEN_DROP, FaultKind.TRUNCATED)
"""After these nobody knows whether a message was taken."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """A hundred sends or more; no call to a chat inside its penalty, which the servers watch, and no answer twice."""
    async with world(bench, seed) as w:
        talks = [w.talks.on(platform, group=n % 3 == 0) for platform in w.platforms for n in range(ON_EACH)]
        await w.start()
        await w.connected()
        for talk in talks:
            if isinstance(talk, DiscordTalk):
                talk.command("/memory 5")
        await w.settled()
        storm = Chaos(w.random, PROBABILITY, TELEGRAM)
        w.telegram.meet(storm)
        w.discord.meet(Chaos(w.random, PROBABILITY, DISCORD))
        for talk in talks:
            for _ in range(QUESTIONS):
                talk.ask()
            talk.command(f"/temp {w.random.randint(1, 9) / 10:g}", ends=TRIED)
        await w.settled()
        w.stubs += sum(storm.met[kind, "sendMessage"] for kind in UNKNOWN)
        w.telegram.meet(None)
        w.discord.meet(None)
        return await w.judged()


PART = Part("storms", trial, 1, 30, unit="sends", each=100)
