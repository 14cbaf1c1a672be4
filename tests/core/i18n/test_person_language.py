"""A person's language outside a transaction: the chosen one, the last one known, the client's; and always soon."""

import time

import pytest

from core.i18n.person_language import LOOKUP_TIMEOUT_S, PersonLanguages
from storage.store import DatabaseStore
from tests.fakes import ANN, BOB, FlakyStore


async def chosen(store: DatabaseStore, language: str) -> None:
    async with store.begin() as tx:
        await tx.preferences.set_language("fake", ANN.id, language, 1)


async def test_the_chosen_language_comes_before_the_clients(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    languages = PersonLanguages(store)
    assert [await languages.of("fake", person) for person in (ANN, BOB)] == ["vi", "vi"]
    await chosen(store, "auto")
    assert await languages.of("fake", ANN) == "en"


async def test_a_store_that_fails_is_no_obstacle(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    flaky = FlakyStore(store)
    languages = PersonLanguages(flaky)
    flaky.fails = 1
    assert await languages.of("fake", ANN) == "en", "nothing is remembered yet"
    assert await languages.of("fake", ANN) == "vi"
    flaky.fails = 1
    assert await languages.of("fake", ANN) == "vi", "what was read last"


@pytest.mark.databases("sqlite")
async def test_a_store_that_does_not_answer_delays_nothing(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    languages = PersonLanguages(store)
    async with store.begin() as held_open:
        await held_open.replies.count_active()
        began = time.monotonic()
        assert await languages.of("fake", ANN) == "en"
        assert time.monotonic() - began < LOOKUP_TIMEOUT_S + 1
    assert await languages.of("fake", ANN) == "vi"
