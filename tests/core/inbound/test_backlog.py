"""What piled up while the bot was away: one answer for each author's questions, one apology for what is too old."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.conversation import Author, ChatId, Incoming, Reply
from core.domain.reply_states import Lane, State
from core.i18n import t
from core.inbound.backlog import EXPIRE_AFTER_MS, MAX_MERGED_CHARACTERS, MERGE_AFTER_MS, expired, mergeable
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import MakeBot, running_bot
from tests.fakes import ANN, BOB, CHAT, FakeModel, claim_next, incoming, owe
from tests.tables import each_row
from tests.watching import history, now, outcome

pytestmark = pytest.mark.databases("sqlite", "postgresql")

STARTED = 1_800_000_000_000
OTHER = ChatId("fake", "2")
WAITED, OLD = MERGE_AFTER_MS, EXPIRE_AFTER_MS


def reply(id: int, age: int, author: Author = ANN, chat: ChatId = CHAT, *, lane: Lane = Lane.ANSWER, text: str = "?",
          origin: str = "") -> Reply:  # fmt: skip
    return Reply(id, chat, True, 1, lane, State.QUEUED, 0, author, text, "bot", f"m:{id}", id, origin, at=STARTED - age)


def ids(piles: Sequence[object]) -> list[list[int]]:
    return [[each.id for each in (*pile.others, pile.into)] for pile in piles]  # type: ignore[attr-defined]


TABLE: list[tuple[str, list[Reply], list[list[int]], list[list[int]]]] = [
    ("one waits for nobody", [reply(1, WAITED)], [], []),
    ("several of one author", [reply(1, WAITED), reply(2, WAITED + 5), reply(3, WAITED)], [[1, 2, 3]], []),
    ("the newest have not waited long", [reply(1, WAITED), reply(2, WAITED), reply(3, WAITED - 1)], [[1, 2]], []),
    ("each author's own", [reply(1, WAITED), reply(2, WAITED, BOB), reply(3, WAITED), reply(4, WAITED, BOB)],
     [[1, 3], [2, 4]], []),
    ("each conversation's own", [reply(1, WAITED), reply(2, WAITED, ANN, OTHER)], [], []),
    ("not across a command", [reply(1, WAITED), reply(2, WAITED), reply(3, WAITED, lane=Lane.NOTICE), reply(4, WAITED),
                              reply(5, WAITED)], [[1, 2], [4, 5]], []),
    ("another conversation's command", [reply(1, WAITED), reply(2, WAITED, BOB, OTHER, lane=Lane.NOTICE),
                                        reply(3, WAITED)], [[1, 3]], []),
    ("a response of its own", [reply(1, WAITED), reply(2, WAITED, origin="key"), reply(3, WAITED)], [[1, 3]], []),
    ("too long together", [reply(1, WAITED, text="x" * 3000), reply(2, WAITED, text="y" * 3000), reply(3, WAITED)],
     [[2, 3]], []),
    ("too old", [reply(1, OLD), reply(2, OLD, BOB), reply(3, OLD - 1), reply(4, WAITED)], [[3, 4]], [[1, 2]]),
    ("one that is too old", [reply(1, OLD)], [], [[1]]),
    ("an old command is none", [reply(1, OLD, lane=Lane.NOTICE)], [], []),
    ("one apology a conversation", [reply(1, OLD), reply(2, OLD, ANN, OTHER), reply(3, OLD)], [], [[1, 3], [2]]),
]  # fmt: skip


@each_row(
    ("waiting", "merged", "late"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)  # fmt: skip
def test_piles(waiting: list[Reply], merged: list[list[int]], late: list[list[int]]) -> None:
    assert ids(mergeable(waiting, STARTED)) == merged
    assert ids(expired(waiting, STARTED)) == late


@given(st.lists(st.tuples(st.integers(0, OLD * 2), st.booleans(), st.booleans(), st.integers(0, 5000)), max_size=40))
def test_nobody_is_in_two_piles_and_none_is_too_long(rows: list[tuple[int, bool, bool, int]]) -> None:
    waiting = [
        reply(id, age, ANN if ann else BOB, lane=Lane.NOTICE if id % 7 == 6 else Lane.ANSWER, text="x" * length)
        for id, (age, ann, _, length) in enumerate(rows)
    ]
    piles = [*mergeable(waiting, STARTED), *expired(waiting, STARTED)]
    everybody = [each for pile in ids(piles) for each in pile]
    assert len(everybody) == len(set(everybody))
    for pile in mergeable(waiting, STARTED):
        assert {each.author for each in pile.others} == {pile.into.author}
        assert sum(len(each.text) for each in (*pile.others, pile.into)) <= MAX_MERGED_CHARACTERS or not pile.others


def aged(message: Incoming, age: int) -> Incoming:
    return replace(message, at=now_ms() - age)


async def waiting(database: str, *messages: Incoming) -> list[Reply]:
    """What the last process had stored and not begun."""
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        lanes = [Lane.NOTICE if message.text.startswith("/") else Lane.ANSWER for message in messages]
        return [reply for each in zip(messages, lanes, strict=True) if (reply := await owe(tx, *each))]


async def test_an_absence_is_answered_once(database: str, make_bot: MakeBot) -> None:
    texts = ("Hello?", "Are you there?", "How far is the moon?")
    replies = await waiting(database, *(aged(incoming(text), WAITED) for text in texts))
    async with make_bot() as bot:
        *merged, last = replies
        assert await outcome(bot, last) is State.DONE
        assert bot.platform.text(last) == "\n\n".join(texts)
        assert [await now(bot, each) for each in merged] == [State.MERGED] * 2
        assert [turn.question for turn in await history(bot)] == ["\n\n".join(texts)]
        assert await bot.say("thank you") == "thank you"


async def test_a_day_old_question_gets_an_apology(database: str, make_bot: MakeBot) -> None:
    old = [aged(incoming("Hello?"), OLD), aged(incoming("Chào bạn", BOB), OLD)]
    fresh = aged(incoming("How far is the moon?"), 1000)
    first, second, third = await waiting(database, *old, fresh)
    async with make_bot() as bot:
        assert await outcome(bot, second) is State.FAILED and await now(bot, first) is State.MERGED
        assert bot.platform.text(second) == t("vi", "error.late")
        assert await outcome(bot, third) is State.DONE
        assert [turn.question for turn in await history(bot)] == ["How far is the moon?"]
        assert list(bot.platform.channels) == [second.id, third.id]


async def test_the_apology_is_in_the_language_that_its_person_has_chosen(database: str, make_bot: MakeBot) -> None:
    """Ann's client is English."""
    (old,) = await waiting(database, aged(incoming("Hello?"), OLD))
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await tx.preferences.set_language("fake", ANN.id, "vi", now_ms())
    async with make_bot() as bot:
        assert await outcome(bot, old) is State.FAILED and bot.platform.text(old) == t("vi", "error.late")


async def test_what_a_crash_cut_is_answered_by_itself(database: str, make_bot: MakeBot) -> None:
    """It has a message already."""
    begun, *others = await waiting(database, *(aged(incoming(text), WAITED) for text in ("one", "two", "three")))
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        claimed = await claim_next(tx)
        assert claimed and claimed.id == begun.id
        await tx.messages.add_intent(claimed, "n")
        await tx.messages.set_id(claimed, "n", "1")
    async with make_bot() as bot:
        bot.platform.channel(begun).messages["1"] = "on"
        assert await outcome(bot, begun) is State.DONE and bot.platform.text(begun) == "one"
        assert await outcome(bot, others[1]) is State.DONE and bot.platform.text(others[1]) == "two\n\nthree"


async def test_what_is_asked_before_a_clear_is_forgotten_with_it(database: str, make_bot: MakeBot) -> None:
    asked = ("a secret", "another", "/clear", "one", "two")
    *_, last = await waiting(database, *(aged(incoming(text), WAITED) for text in asked))
    async with make_bot(FakeModel(slots=1)) as bot:
        assert await outcome(bot, last) is State.DONE
        assert bot.platform.text(last) == "one\n\ntwo"
        assert [turn.question for turn in await history(bot)] == ["one\n\ntwo"]


async def test_a_command_that_is_being_carried_out_still_stands_between_questions(store: DatabaseStore) -> None:
    """Else the questions before a /clear would be answered, where the platform settles at that moment."""
    async with store.begin() as tx:
        asked = [await owe(tx, incoming(text), lane) for text, lane in
                 (("one", Lane.ANSWER), ("/clear", Lane.NOTICE), ("two", Lane.ANSWER))]  # fmt: skip
        assert await claim_next(tx, Lane.NOTICE) is not None
    async with store.begin() as tx:
        waiting = await tx.recovery.backlog("fake", now_ms() + 1000)
    assert [reply.id for reply in waiting] == [reply.id for reply in asked if reply]


async def test_until_all_is_handed_over_nothing_of_it_is_answered(store: DatabaseStore) -> None:
    async with running_bot(store, store, FakeModel(), settled=False) as bot:
        platform = bot.platform
        first = await bot.service.ingest.accept(aged(incoming("one"), WAITED + 60_000))
        second = await bot.service.ingest.accept(aged(incoming("two"), WAITED + 60_000))
        assert first and second and "→ 0" in await bot.say("/temp 0", BOB, OTHER), "commands are carried out"
        assert await now(bot, first) is State.QUEUED
        bot.service.settle(platform.name)
        bot.service.settle(platform.name)
        assert await outcome(bot, second) is State.DONE and platform.text(second) == "one\n\ntwo"
