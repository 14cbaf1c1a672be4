"""A database in trouble: locked by another process, full, read-only, its server restarted, its connections cut."""

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from random import Random

from tests.faults.bot import FULL, READ_ONLY
from tests.faults.models import Kind
from tests.faults.trials.part import Part
from tests.faults.trials.postgres import on_postgres
from tests.faults.world import Bench, World, world
from tests.patience import TIME_SCALE
from tests.postgres import Postgres

BACK = 30.0 * TIME_SCALE
"""Seconds within which everything works again."""


@asynccontextmanager
async def locked(w: World) -> AsyncIterator[None]:
    """Another process writes, and takes its time."""
    with closing(sqlite3.connect(w.database.file, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def marked(w: World, name: str) -> AsyncIterator[None]:
    """See tests/faults/bot.py."""
    (w.folder / name).touch()
    yield
    (w.folder / name).unlink()


@asynccontextmanager
async def out_of_room(w: World) -> AsyncIterator[None]:
    """The operating system lets no file of the process grow."""
    _, most = resource.prlimit(w.bots[-1].pid, resource.RLIMIT_FSIZE)
    resource.prlimit(w.bots[-1].pid, resource.RLIMIT_FSIZE, (4096, most))
    yield
    resource.prlimit(w.bots[-1].pid, resource.RLIMIT_FSIZE, (most, most))


TROUBLES: dict[str, Callable[[World], AbstractAsyncContextManager[None]]] = {
    "locked": locked,
    "full": lambda w: marked(w, FULL),
    "read-only": lambda w: marked(w, READ_ONLY),
    "no room": out_of_room,
}
RESTARTED, CUT = "server restarted", "connections cut"
NAMES = (*TROUBLES, RESTARTED, CUT)


@asynccontextmanager
async def restarted(server: Postgres) -> AsyncIterator[None]:
    """The database server is gone, as after a crash."""
    server.stop()
    yield
    server.start()


@asynccontextmanager
async def cut(server: Postgres, name: str) -> AsyncIterator[None]:
    """Every connection is cut, again and again."""

    async def cutting() -> None:
        while True:
            for session in server.sessions(name):
                server.admin(f"SELECT pg_terminate_backend({session})")
            await asyncio.sleep(0.3)

    task = asyncio.create_task(cutting())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Trouble in the middle of questions; more come in it; all are answered soon after it."""
    name = NAMES[number % len(NAMES)]
    lasting = 1.0 if number < len(NAMES) else Random(seed).choice((0.5, 4.0, 12.0))
    if name in TROUBLES:
        async with world(bench, seed) as w:
            found = await troubled(w, TROUBLES[name], lasting)
    else:
        async with on_postgres(bench, seed) as (w, server, database):
            found = await troubled(
                w, lambda _: restarted(server) if name == RESTARTED else cut(server, database), lasting
            )
    return [f"{name} for {lasting} s: {each}" for each in found]


async def troubled(w: World, trouble: Callable[[World], AbstractAsyncContextManager[None]], lasting: float
                   ) -> Sequence[str]:  # fmt: skip
    """See trial."""
    talks = [w.talks.on(platform) for platform in w.platforms for _ in range(3)]
    bot = await w.start(Kind(speed=40))
    await w.connected()
    for talk in talks:
        talk.command("/memory 5")
    await w.settled()
    for talk in talks:
        talk.ask()
    await asyncio.sleep(w.random.uniform(0, 0.3))
    async with trouble(w):
        for talk in talks:
            talk.ask()
            talk.command("/temp 0.3")
        await asyncio.sleep(lasting)
    began = time.monotonic()
    found = await w.judged(seconds=BACK)
    took = time.monotonic() - began
    died = [] if bot is w.bots[-1] else ["the bot had to be started again"]
    return [*found, *died, *([f"back after {took:.0f} s"] if took > BACK + 1 else [])]


PART = Part("database", trial, len(NAMES), 60)
