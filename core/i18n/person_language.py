"""The language in which one person is spoken to: the one they chose with /lang, else their client's."""

import asyncio
from collections import OrderedDict

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

    async def of(self, platform: str, author: Author) -> str:
        """The person's language: "en" or "vi"."""
        key = platform, author.id
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S), self._store.begin() as tx:
                chosen = await tx.preferences.language(platform, author.id)
        except Exception:
            chosen = self._last.get(key, "auto")
        self._last[key] = chosen
        self._last.move_to_end(key)
        if len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        return choose_language(chosen, author.locale)
