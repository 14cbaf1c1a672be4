"""A long life in minutes: many replies in many chats over two months of its own clock; what is a month old is pruned.
Prints the table of docs/reliability.md. `python -m benchmarks.soak`

The bot around a model that says the question back and a platform that takes everything, on an SQLite file in memory
(/dev/shm), so that it is the work that is measured and not the disk. One question in ten goes the whole way, a few at a
time; the others are stored, claimed, answered and closed by the store's own transactions, many in one commit. Of each
part of the life: how long a question takes until its delivery is stored, the memory of the process, the rows and the
file, and three questions to the database that hold its only connection: which chats are known, whose a message is, and
which answer came before.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import func, select

from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.dispatch.timing import DEFAULT_TIMING
from core.domain.conversation import Author, ChatId, Incoming, NewReply, Reply, Role
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.domain.reply_states import Lane, ReplyEvent
from core.filters import ContentFilter
from storage.database import open_database
from storage.replies import _PREVIOUS_ANSWER
from storage.store import DatabaseStore
from storage.tables import replies
from tests.conftest import RULES
from tests.fakes import FakeChannel, FakeModel

PARTS, WHOLE_SHARE, BATCH = 10, 10, 200
AT_ONCE = 8
LIFE_DAYS, KEPT_DAYS = 60, 30
DAY_MS = 24 * 3600 * 1000
PAGE_BYTES = 4096
MEMORY = Path("/dev/shm")


@dataclass
class Life:
    """Where the life stands: how many questions were asked of how many; its clock runs with them."""

    total: int
    chats: int
    began: int = field(default_factory=lambda: time.time_ns() // 1_000_000 - LIFE_DAYS * DAY_MS)
    asked: int = 0

    def now(self) -> int:
        """Milliseconds UTC."""
        return self.began + self.asked * LIFE_DAYS * DAY_MS // self.total

    def next(self) -> Incoming:
        """The next question; each chat has a person of its own."""
        self.asked += 1
        number = self.asked * 7919 % self.chats
        chat, author = ChatId("soak", str(number)), Author(f"p{number}", f"Person {number}", "en")
        text = f"question {self.asked} of a chat about something"
        return Incoming(chat, "bot", f"m:{self.asked}", self.asked, author, text, True, self.now())


class Model(FakeModel):
    """Keeps nothing."""

    def changed(self) -> None:
        for kept in (self.prompts, self.samplings, self.warmed, self.dropped):
            kept.clear()


class Platform:
    """Takes everything, and keeps nothing."""

    name = "soak"

    def channel(self, reply: Reply) -> FakeChannel:
        """A channel for one use."""
        channel = FakeChannel(pace=Pace(), needs_placeholder=True)
        channel.key = f"soak:{reply.chat.chat}"
        return channel

    async def role(self, chat: ChatId, author: Author) -> Role:
        """Nobody is anybody."""
        return Role.MEMBER


def main() -> None:
    """Live, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, default=200_000)
    parser.add_argument("--chats", type=int, default=5_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        asyncio.run(_live(Life(chosen.replies, chosen.chats), Path(folder) / "soak.db"))


async def _live(life: Life, file: Path) -> None:
    async with open_database(f"sqlite+aiosqlite:///{file}") as database:
        store = DatabaseStore(database, life.now)
        timing = replace(DEFAULT_TIMING, kept_days=KEPT_DAYS, prune_every_s=1.0, prune_pause_s=0.01)
        assistant = Assistant(store, Model(slots=AT_ONCE), RULES, ContentFilter())
        service = ChatService(store, assistant, Access(), now=life.now, timing=timing)
        async with service.running():
            await service.serve(Platform())
            service.settle(Platform.name)
            print("| replies so far | ms a question, median | p99 | worst | RSS, MB | replies kept | file, MB "
                  "| known, ms | shows, ms | earlier, ms |\n|" + "---|" * 10)  # fmt: skip
            for _ in range(PARTS):
                whole = life.total // PARTS // WHOLE_SHARE
                await _fill(store, life, life.total // PARTS - whole)
                times = await _ask(service, life, whole)
                await _report(store, file, life, times)


async def _fill(store: DatabaseStore, life: Life, count: int) -> None:
    """Let so many questions be asked and answered, in a few commits. Whatever the bot claims is answered by the bot."""
    for _ in range(count // BATCH):
        async with store.begin() as tx:
            for reply in await tx.inbox.add([NewReply(life.next(), Lane.ANSWER) for _ in range(BATCH)]):
                claimed = await tx.replies.move(reply, ReplyEvent.CLAIM)
                await tx.messages.add_intent(claimed, f"soak-{reply.id}")
                await tx.messages.set_id(claimed, f"soak-{reply.id}", str(reply.id))
                await tx.turns.save_answer(claimed, f"an answer to {reply.text}")
                done = await tx.replies.move(claimed, ReplyEvent.FINISH, final="an answer")
                await tx.replies.deliver(done)
        await asyncio.sleep(0)


async def _ask(service: ChatService, life: Life, count: int) -> Sequence[float]:
    """Ask so many questions, a few at a time; seconds that each took."""
    times: list[float] = []
    left = iter(range(count))

    async def ask() -> None:
        for _ in left:
            began = time.perf_counter()
            reply = await service.ingest.accept(life.next())
            assert reply is not None
            await service.control.wait_for_outcome(reply)
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return times


async def _report(store: DatabaseStore, file: Path, life: Life, times: Sequence[float]) -> None:
    gc.collect()
    ms = sorted(each * 1000 for each in times)
    rss_mb = _rss_mb()
    async with store.begin() as tx:
        kept = (await tx.replies._connection.execute(select(func.count()).select_from(replies))).scalar_one()
        newest = await tx.recovery.newest_id()
        known = await _ms(lambda: tx.chats.active("soak"))
        shows = await _ms(lambda: tx.messages.exists("soak", "1", "999"))
        earlier = await _ms(lambda: tx.replies._connection.execute(_PREVIOUS_ANSWER, {"reply_id": newest}))
    columns = (
        f"{life.asked:,}", f"{statistics.median(ms):.1f}", f"{ms[len(ms) * 99 // 100]:.1f}", f"{ms[-1]:.0f}",
        f"{rss_mb:.0f}", f"{kept:,}", f"{_size_mb(file):.0f}", f"{known:.1f}", f"{shows:.2f}",
        f"{earlier:.2f}",
    )  # fmt: skip
    print("| " + " | ".join(columns) + " |", flush=True)


def _size_mb(file: Path) -> float:
    return file.stat().st_size / 2**20


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


async def _ms(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
