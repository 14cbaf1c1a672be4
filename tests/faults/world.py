"""One trial's world: both platforms' servers, a database, bots that come and go, and the judgement at the end."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from storage.database import ROOT, open_database
from tests.faults.answers import CANARY
from tests.faults.database import Database, NotNow
from tests.faults.evidence import OPEN, Evidence, chat_of
from tests.faults.invariants import complaints
from tests.faults.models import Kind
from tests.faults.processes import BotProcess, Nursery, nursery
from tests.faults.talks import Talks
from tests.patience import LIMIT_S, TIME_SCALE
from tests.platforms import bot_api, discord_server
from tests.platforms.bot_api import BotApi
from tests.platforms.discord_server import DiscordServer

DATABASE = "qwentin.db"
LOGS = ROOT / "build" / "faults"
KILLED = -signal.SIGKILL
UNDER_WAY = 0.05 * TIME_SCALE
"""Seconds in which a request arrives that was sent by a process that has died since."""
LONGEST_END = 20.0 * TIME_SCALE
"""Seconds that a bot may take to end once it is told to."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials share: the fork server, a migrated database to copy, a folder."""

    nursery: Nursery
    folder: Path
    migrated: Path


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A place for trials while the block lasts."""
    with TemporaryDirectory(prefix="qwentin-faults-") as name:
        folder = Path(name)
        migrated = folder / "migrated.db"
        async with open_database(f"sqlite+aiosqlite:///{migrated}"):
            pass
        async with nursery() as bots:
            yield Bench(bots, folder, migrated)


class World:
    """See the module."""

    def __init__(self, bench: Bench, folder: Path, servers: tuple[BotApi, DiscordServer], seed: int) -> None:
        self.bench, self.folder, self.seed, self.random = bench, folder, seed, Random(seed)
        self.telegram, self.discord = servers
        self.talks = Talks(*servers)
        self.telegram.a_minute = self.discord.a_second = 100_000  # the bot's pace is a trial's
        self.telegram.unheard = self.discord.unheard = 0.75
        self.kind = Kind()
        self.platforms: tuple[str, ...] = ("telegram", "discord")
        self.database = Database(folder / DATABASE)
        self.bots: list[BotProcess] = []
        self.log = folder.with_suffix(".log")
        self.stubs = 0
        self.begun = (0, 0)
        """Polls and logins there were before the last start."""

    async def start(self, kind: Kind | None = None, *, crash_at: str = "", **settings: str) -> BotProcess:
        """A bot. The model is as it was at the last start unless another is given."""
        self.kind = kind or self.kind
        own = {"DATA_DIR": str(self.folder), "LOG_LEVEL": "DEBUG", **self.kind.environment(), **settings}
        if "telegram" in self.platforms:
            own |= {"TELEGRAM_TOKEN": self.telegram.token, "TELEGRAM_API_URL": self.telegram.url}
        if "discord" in self.platforms:
            own |= {"DISCORD_TOKEN": self.discord.token, "DISCORD_API_URL": self.discord.api_url,
                    "DISCORD_GATEWAY_URL": self.discord.gateway_url}  # fmt: skip
        if crash_at:
            own["QWENTIN_CRASH_AT"] = crash_at
        if self.database.address:
            own["DATABASE_URL"] = self.database.address
        self.begun = len(self.telegram.queue.polls), len(self.discord.identifies)
        bot = await self.bench.nursery.start(self.folder, self.log, own)
        self.bots.append(bot)
        return bot

    async def connected(self, seconds: float = LIMIT_S) -> None:
        """Wait until a bot is logged in at Discord: what is said there before in a new place is not heard."""
        if "discord" in self.platforms:
            await self.until(lambda: self.discord.connected, "logged in at Discord", seconds)

    async def settled(self, seconds: float = LIMIT_S) -> None:
        """Wait until all that was said is stored and answered."""
        await self.until(self._quiet, "quiet", seconds)

    async def until(self, true: Callable[[], object], what: str, seconds: float = LIMIT_S) -> None:
        """Wait until it is so, with a bot that lives."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    assert self.bots[-1].code is None, f"the bot has ended with {self.bots[-1].code}, not {what}"
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not {what} after {seconds:.0f} s; {self._seen()}") from None

    async def died(self, bot: BotProcess, point: str) -> None:
        """Wait for a death at a named point."""
        try:
            code = await bot.ended()
        except AssertionError:
            raise AssertionError(f"{point} was never reached; {self._seen()}") from None
        assert code == KILLED, f"ended with {code} before {point}"
        await self._count_stubs()

    async def kill(self, bot: BotProcess) -> None:
        """kill -9, at whatever moment this is."""
        await bot.kill()
        await self._count_stubs()

    async def _count_stubs(self) -> None:
        """After a death: a reply that was about to send, as the database knows, may have left a stub that nobody knows
        (a notice from its second send on). What was not intended, or comes up later, may not."""
        await asyncio.sleep(UNDER_WAY)
        try:
            rows = self.database.kept().rows
        except NotNow:
            return
        intended = sum(id is None for row in rows for id in row.chunks if row.where.startswith("telegram"))
        known = {(chat_of(row.where), id) for row in rows for id in row.chunks}
        unknown = sum(
            seen.stub and (chat_of(seen.where), seen.id) not in known
            for seen in self.talks.seen()
            if seen.where.startswith("telegram")
        )
        self.stubs += min(intended, max(unknown - self.stubs, 0))

    async def end(self, bot: BotProcess) -> None:
        """As a supervisor does: it must be out soon, and content."""
        bot.send(signal.SIGTERM)
        code = await bot.ended(LONGEST_END)
        assert code == 0, f"ended with {code}"

    async def judged(
        self, *, seconds: float = LIMIT_S, shuffled: bool = False, judge: Callable[[Evidence], list[str]] = complaints
    ) -> list[str]:
        """Let a last bot come to rest and end; what does not hold then."""
        found = []
        try:
            await self.settled(seconds)
            await self.end(self.bots[-1])
        except AssertionError as error:
            await self.kill(self.bots[-1])
            found = [str(error)]
        found += judge(self.evidence(shuffled=shuffled))
        if found:
            self.keep_log()
        return found

    def keep_log(self) -> None:
        """Of a trial that failed, for whoever looks into it."""
        LOGS.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            shutil.copy(self.log, LOGS / f"{self.seed}.log")

    def evidence(self, *, shuffled: bool = False) -> Evidence:
        """All that there is, once no bot works any more."""
        log = self.log.read_text("utf-8", "replace")
        secrets = [bot_api.TOKEN, discord_server.TOKEN, bot_api.TOKEN.split(":")[1],
                   discord_server.TOKEN.rpartition(".")[2], "interaction-token-"]  # fmt: skip
        return Evidence(
            self.talks.said, self.talks.seen(), self.database.kept(), log, self.stubs, secrets, [CANARY], shuffled,
            unsure=self.talks.unsure(), removed=self.talks.removed(), pressed=self.talks.pressed,
        )  # fmt: skip

    def _quiet(self) -> bool:
        try:
            stored, left = self.database.progress()
        except NotNow:
            return False
        polls, logins = self.begun
        if "telegram" in self.platforms and len(self.telegram.queue.polls) == polls:
            return False  # it has only begun
        if "discord" in self.platforms and not (self.discord.connected and len(self.discord.identifies) > logins):
            return False
        # There may be more than what the trial's people said.
        return stored >= len(said := self.talks.said) and not left and {each.id for each in said} <= self.database.ids()

    def _seen(self) -> str:
        shown = [(each.where, each.text[:20], each.text[-20:]) for each in self.talks.seen()[-6:]]
        log = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        return f"{self._left()}; seen: {shown}; log: {[line for line in log if ' INFO ' not in line][-12:]}"

    def _left(self) -> str:
        """What is not stored, or not answered."""
        try:
            ids, rows = self.database.ids(), self.database.kept().rows
        except NotNow:
            return "no database"
        missing = [(each.where, each.id, each.text) for each in self.talks.said if each.id not in ids]
        return f"not stored: {missing[:4]}; open: {[row for row in rows if row.state in OPEN][:4]}"


@asynccontextmanager
async def world(bench: Bench, seed: int, *, new: bool = False) -> AsyncIterator[World]:
    """A world while the block lasts. `new`: without a database."""
    with TemporaryDirectory(dir=bench.folder, prefix=f"trial-{seed}-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        if not new:
            shutil.copy(bench.migrated, folder / DATABASE)
        async with AsyncExitStack() as stack:
            telegram = await stack.enter_async_context(bot_api.bot_api())
            discord = await stack.enter_async_context(discord_server.discord_server())
            made = World(bench, folder, (telegram, discord), seed)
            try:
                yield made
            except BaseException:
                made.keep_log()
                raise
            finally:
                for bot in made.bots:
                    bot.send(signal.SIGKILL)
                await asyncio.gather(*(bot.ended() for bot in made.bots))


def told(found: Sequence[str]) -> str:
    """Complaints, one a line."""
    return "\n".join(f"  {each}" for each in found)
