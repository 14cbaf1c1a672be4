"""What is counted against the bot's account, and what was published for it."""

import pytest

from storage.database import open_database
from storage.store import DatabaseStore

pytestmark = pytest.mark.databases("sqlite", "postgresql")

DAY = 24 * 3600 * 1000


async def test_logins_are_counted_for_a_day(database: str) -> None:
    for at in (1_000, 2_000, DAY + 1_500):
        async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
            await tx.accounts.record_login("fake", "bot", at)
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await tx.accounts.record_login("fake", "other", 5)
        assert list(await tx.accounts.logins_since("fake", "bot", 0)) == [2_000, DAY + 1_500], "a day after the first"
        assert list(await tx.accounts.logins_since("fake", "bot", 2_001)) == [DAY + 1_500]
        assert list(await tx.accounts.logins_since("elsewhere", "bot", 0)) == []


async def test_the_menu_that_was_published(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await tx.accounts.menu_fingerprint("fake", "bot") == ""
        await tx.accounts.set_menu_fingerprint("fake", "bot", "one")
        await tx.accounts.set_menu_fingerprint("fake", "bot", "two")
        await tx.accounts.set_menu_fingerprint("fake", "other", "three")
    async with store.begin() as tx:
        assert await tx.accounts.menu_fingerprint("fake", "bot") == "two"
