"""A person's language outside a transaction: the chosen one, the last one known, the client's; and always soon."""

import pytest

from core.domain.conversation import Author
from core.i18n.person_language import PersonLanguages
from storage.store import DatabaseStore
from tests.fakes import ANN, BOB, FlakyStore


async def chosen(store: DatabaseStore, language: str) -> None:
    async with store.begin() as tx:
        await tx.preferences.set_language("fake", ANN.id, language, 1)


async def test_the_chosen_language_comes_before_the_clients(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    languages = PersonLanguages(store)
    assert [await languages.of("fake", person) for person in (ANN, BOB)] == ["vi", "vi"]
    languages.remember("fake", ANN.id, "auto")
    assert await languages.of("fake", ANN) == "en"


async def test_a_store_that_fails_is_no_obstacle(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    flaky = FlakyStore(store)
    languages = PersonLanguages(flaky)
    flaky.fails = 1
    assert await languages.of("fake", ANN) == "en", "it could not be looked up"
    assert await languages.of("fake", ANN) == "vi"
    flaky.fails = 9
    assert await languages.of("fake", ANN) == "vi", "what is remembered is not looked up"


async def test_what_was_chosen_before_the_start_is_known_when_the_store_fails(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    flaky = FlakyStore(store)
    languages = PersonLanguages(flaky)
    async with flaky.begin() as tx:
        await languages.load(tx, "fake")
    flaky.fails = 9
    assert await languages.of("fake", ANN) == "vi"


async def test_a_platform_has_many_people_and_the_last_choices_count(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for number in range(5):
            await tx.preferences.set_language("fake", str(number), "vi", number)
        await tx.preferences.set_language("other", "9", "vi", 9)
        assert await tx.preferences.languages("fake", 2) == {"4": "vi", "3": "vi"}


async def test_long_ids_are_remembered_as_the_store_keeps_them(store: DatabaseStore) -> None:
    long = Author("m" * 300, "Mat")
    languages = PersonLanguages(store)
    languages.remember("fake", long.id, "vi")
    assert await languages.of("fake", long) == "vi"


@pytest.mark.databases("sqlite")
async def test_a_store_that_does_not_answer_delays_nothing(store: DatabaseStore) -> None:
    await chosen(store, "vi")
    languages = PersonLanguages(store)
    async with store.begin() as held_open:
        await held_open.replies.count_active()
        assert await languages.of("fake", ANN) == "en", "returned while the store is still held"
