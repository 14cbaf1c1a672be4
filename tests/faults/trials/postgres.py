"""The same on PostgreSQL: kill -9 at a random moment, with twenty conversations on both platforms."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.faults.database import Database
from tests.faults.trials.part import Part
from tests.faults.trials.random_kills import killed
from tests.faults.world import Bench, World, world
from tests.postgres import Postgres


@asynccontextmanager
async def on_postgres(bench: Bench, seed: int) -> AsyncIterator[tuple[World, Postgres, str]]:
    """A world whose database is on a server of its own: the server, and the database's name."""
    with Postgres.running() as server, server.database() as name:
        async with world(bench, seed) as w:
            w.database = Database(w.database.file, server.address(name))
            yield w, server, name


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """See random_kills."""
    async with on_postgres(bench, seed) as (w, _, _):
        return await killed(w, 1 if number == 0 else w.random.choice((1, 1, 2, 3)))


PART = Part("postgres", trial, 1, 20)
