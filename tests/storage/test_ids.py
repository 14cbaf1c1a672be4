"""Ids are strings of any shape: none is cut so that two people or chats become one. Options keep their types."""

from dataclasses import replace

import pytest

from core.domain.conversation import Author, ChatId, Incoming, NewReply, OptionValue, Reply, Setting, fit_id
from core.domain.reply_states import Lane, ReplyEvent, State
from storage.store import DatabaseStore
from tests.fakes import incoming, owe
from tests.tables import each_row

pytestmark = pytest.mark.databases("sqlite", "postgresql")

LONG = "!" + "r" * 299
MATRIX = "@" + "a" * 55 + ":example.org"
PAIRS = {
    "Slack": ("C024BE91L", "C024BE91M"),
    "in another case": ("C024BE91N", "c024be91n"),
    "Matrix, 70 characters": (MATRIX + ".x", MATRIX + ".y"),
    "255 characters": ("x" * 254 + "a", "x" * 254 + "b"),
    "300 characters": (LONG[:-1] + "a", LONG[:-1] + "b"),
    "any shape": ('"%_\\/', '"%_\\:'),
    "of words": ("chào bạn", "chao ban"),
}


each_pair = each_row("pair", PAIRS.values(), ids=PAIRS)


def message(id: str, text: str = "hello") -> Incoming:
    """All ids of a message are `id`."""
    chat = ChatId("fake", id, id)
    return replace(incoming(text, Author(id, "A"), chat, external_id=id), bot=id).cleaned()


async def stored(store: DatabaseStore, incoming: Incoming, lane: Lane = Lane.ANSWER) -> Reply:
    async with store.begin() as tx:
        reply = await owe(tx, incoming, lane)
    assert reply
    async with store.begin() as tx:
        return await tx.replies.get(reply.id)


@each_pair
async def test_two_of_each_stay_two(store: DatabaseStore, pair: tuple[str, str]) -> None:
    assert fit_id(pair[0]) != fit_id(pair[1])
    replies = [await stored(store, message(id)) for id in pair]
    assert [(reply.chat.chat, reply.chat.thread, reply.author.id) for reply in replies] == [
        (fit_id(id),) * 3 for id in pair
    ]
    async with store.begin() as tx:
        load = await tx.inbox.queue_load([message(id) for id in pair], 0, ["fake"])
        assert list(load.here.values()) == [1, 1] and [len(times) for times in load.asked.values()] == [1, 1]
        assert set(await tx.inbox.stored_keys([message(pair[0])])) == {message(pair[0]).key}
        for reply, id in zip(replies, pair, strict=True):
            assert [open_one.id for open_one in await tx.replies.open_answers(ChatId("fake", id, id))] == [reply.id]


@each_pair
async def test_two_people_have_two_languages_and_two_chats_two_settings(
    store: DatabaseStore, pair: tuple[str, str]
) -> None:
    async with store.begin() as tx:
        for id, language, turns in zip(pair, ("en", "vi"), ("3", "5"), strict=True):
            await tx.preferences.set_language("fake", id, language, 1)
            await tx.preferences.set(ChatId("fake", id), "memory", Setting(turns, id, 1))
            await tx.accounts.record_login("fake", id, 1)
            await tx.accounts.set_menu_fingerprint("fake", id, language)
    async with store.begin() as tx:
        assert [await tx.preferences.language("fake", id) for id in pair] == ["en", "vi"]
        chats = [ChatId("fake", id, "topic") for id in pair]
        assert [(await tx.preferences.settings(chat))["memory"].value for chat in chats] == ["3", "5"]
        assert [list(await tx.accounts.logins_since("fake", id, 0)) for id in pair] == [[1], [1]]
        assert [await tx.accounts.menu_fingerprint("fake", id) for id in pair] == ["en", "vi"]


@each_pair
async def test_a_message_is_found_by_its_exact_id(store: DatabaseStore, pair: tuple[str, str]) -> None:
    reply = await stored(store, message(pair[0]))
    async with store.begin() as tx:
        reply = await tx.replies.move(reply, ReplyEvent.CLAIM)
        await tx.messages.add_intent(reply, "n")
        assert not await tx.messages.exists("fake", pair[0], pair[0])
        await tx.messages.set_id(reply, "n", pair[0])
        assert await tx.messages.exists("fake", pair[0], pair[0])
        assert not await tx.messages.exists("fake", pair[0], pair[1])
        assert not await tx.messages.exists("fake", pair[1], pair[0])


@each_pair
async def test_a_chat_moves_between_ids_of_any_shape(store: DatabaseStore, pair: tuple[str, str]) -> None:
    reply = await stored(store, message(pair[0]))
    async with store.begin() as tx:
        await tx.chats.change_id("fake", *pair)
        assert (await tx.replies.get(reply.id)).chat.chat == fit_id(pair[1])
        await tx.chats.deactivate("fake", pair[1])
        assert (await tx.replies.get(reply.id)).state is State.CANCELLED


OPTIONS: dict[str, OptionValue] = {"value": 0.3, "count": 5, "on": True, "text": 'xin "chào"\n', "zero": 0, "one": 1.0}


async def test_options_come_back_as_they_came_until_the_command_is_done(store: DatabaseStore) -> None:
    reply = await stored(store, replace(incoming("/temp 0.3"), options=OPTIONS), Lane.NOTICE)
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
        assert reply.options == OPTIONS
        assert [type(value) for value in reply.options.values()] == [type(value) for value in OPTIONS.values()]
        reply = await tx.replies.move(reply, ReplyEvent.CLAIM)
        assert reply.options == OPTIONS
        reply = await tx.replies.move(reply, ReplyEvent.FINISH, final="ok")
        assert (await tx.replies.move(reply, ReplyEvent.DELIVER)).options == {}


async def test_options_are_kept_for_commands_that_will_run(store: DatabaseStore) -> None:
    message = replace(incoming("/temp 0.3"), options=OPTIONS)
    others = [replace(message, external_id=f"m:other:{number}") for number in range(2)]
    async with store.begin() as tx:
        owed = [
            NewReply(message, Lane.ANSWER),
            NewReply(others[0], Lane.NOTICE, State.SENDING, final="busy"),
            NewReply(others[1], Lane.NOTICE, State.MERGED, merged_into=1),
        ]
        added = await tx.inbox.add(owed)
    async with store.begin() as tx:
        read = [await tx.replies.get(reply.id) for reply in added]
    assert [reply.options for reply in (*added, *read)] == [{}] * 6
