"""The language in which one person is spoken to: the one they chose with /lang, else their client's."""

import asyncio
from collections import OrderedDict
from contextlib import suppress

from core.domain.conversation import Author
from core.domain.store import Store, Transaction
from core.i18n import choose_language

LOOKUP_TIMEOUT_S = 0.5
"""A language is looked up for notices that must be prompt; a database in trouble must not delay them."""
MAX_REMEMBERED = 10_000


async def read_language(tx: Transaction, platform: str, author: Author) -> str:
    """The person's language ("en" or "vi") as the store has it now."""
    return choose_language(await tx.preferences.language(platform, author.id), author.locale)


class PersonLanguages:
    """Looks up languages outside a transaction. Never fails: where the store can't be read in time, the language that
    was read last counts, else the client's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lookups: set[asyncio.Task[None]] = set()

    async def of(self, platform: str, author: Author) -> str:
        """The person's language: "en" or "vi"."""
        # A lookup is not cancelled: a store that is waited for can't be left before it answers.
        lookup = asyncio.create_task(self._look_up(platform, author.id))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._lookups.discard)
        await asyncio.wait({lookup}, timeout=LOOKUP_TIMEOUT_S)
        return choose_language(self._last.get((platform, author.id), "auto"), author.locale)

    async def _look_up(self, platform: str, person: str) -> None:
        """Remember what the store has; leave what is remembered where the store can't be read."""
        with suppress(Exception):
            async with self._store.begin() as tx:
                chosen = await tx.preferences.language(platform, person)
            self._last[platform, person] = chosen
            self._last.move_to_end((platform, person))
            if len(self._last) > MAX_REMEMBERED:
                self._last.popitem(last=False)
