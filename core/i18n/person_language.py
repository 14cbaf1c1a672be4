"""The language in which one person is spoken to: the one they chose with /lang, else their client's."""

import asyncio
from collections import OrderedDict
from contextlib import suppress

from core.domain.conversation import Author, fit_id
from core.domain.store import Store, Transaction
from core.i18n import LANGUAGES

LOOKUP_TIMEOUT_S = 0.5
"""A language is looked up for notices that must be prompt; a database in trouble must not delay them."""
MAX_REMEMBERED = 10_000


def choose_language(preference: str, locale: str) -> str:
    """The language for a person: their own choice where `preference` is "en" or "vi"; for "auto" Vietnamese where their
    client's `locale` ("vi", "vi-VN", "vi_VN.UTF-8") is, else English."""
    if preference in LANGUAGES:
        return preference
    return "vi" if locale.lower().replace("_", "-").split("-")[0] == "vi" else "en"


async def read_language(tx: Transaction, platform: str, author: Author) -> str:
    """The person's language ("en" or "vi") as the store has it now."""
    return choose_language(await tx.preferences.language(platform, author.id), author.locale)


class PersonLanguages:
    """The languages that people have chosen, as the bot speaks to them outside a transaction.

    `load` reads a platform's choices when the bot starts there, and `remember` notes each later one, so that a notice
    about a database in trouble comes in the right language too. Never fails: what is not known is looked up, and where
    that takes too long, the client's language counts.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chosen: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lookups: set[asyncio.Task[None]] = set()

    async def load(self, tx: Transaction, platform: str) -> None:
        """Remember what people of a platform have chosen. Raises what the store raises."""
        chosen = await tx.preferences.languages(platform, MAX_REMEMBERED)
        for person, language in reversed(list(chosen.items())):  # the newest is kept longest
            self.remember(platform, person, language)

    def remember(self, platform: str, person: str, language: str) -> None:
        """A person has chosen "en", "vi" or "auto"."""
        key = platform, fit_id(person)
        self._chosen[key] = language
        self._chosen.move_to_end(key)
        if len(self._chosen) > MAX_REMEMBERED:
            self._chosen.popitem(last=False)

    async def of(self, platform: str, author: Author) -> str:
        """The person's language: "en" or "vi"."""
        person = fit_id(author.id)
        if (platform, person) not in self._chosen:
            # A lookup is not cancelled: a store that is waited for can't be left before it answers.
            lookup = asyncio.create_task(self._look_up(platform, person))
            self._lookups.add(lookup)
            lookup.add_done_callback(self._lookups.discard)
            await asyncio.wait({lookup}, timeout=LOOKUP_TIMEOUT_S)
        return choose_language(self._chosen.get((platform, person), "auto"), author.locale)

    async def _look_up(self, platform: str, person: str) -> None:
        with suppress(Exception):
            async with self._store.begin() as tx:
                language = await tx.preferences.language(platform, person)
            if (platform, person) not in self._chosen:  # what was chosen meanwhile is newer
                self.remember(platform, person, language)
