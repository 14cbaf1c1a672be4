"""How many questions may wait, and what those are told that may not."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.conversation import Author, ChatId, Incoming, QueueLoad
from core.domain.reply_states import State
from core.domain.settings import Limits
from core.i18n import t
from core.inbound.admission import (
    QUESTION_WINDOW_MS,
    Busy,
    Queue,
    ThroughputEstimate,
    describe_refusal,
)
from core.inbound.refusals import REFUSAL_INTERVAL_S
from tests.conftest import RULES, Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, incoming
from tests.tables import each_row
from tests.watching import held, outcome, release, running

NOW = 1_800_000_000_000
LIMITS = Limits(chat=3, user=5, waiting=8)


def chat(number: int) -> ChatId:
    return ChatId("fake", str(number))


def queue(crowd: QueueLoad | None = None, limits: Limits = LIMITS) -> Queue:
    return Queue(limits, crowd or QueueLoad({}, 0, {}))


def asked(text: str, author: Author = ANN, where: ChatId = CHAT) -> Incoming:
    """A question at NOW."""
    return replace(incoming(text, author, where), at=NOW)


def test_a_conversation_a_person_and_all_of_them_have_their_limits() -> None:
    here = queue()
    assert [here.admit(asked("?"), 0) for _ in range(3)] == [None] * 3
    assert here.admit(asked("?"), 0) == Busy("chat", 3, 4)
    assert here.admit(asked("?", BOB), 0) == Busy("chat", 3, 4), "whoever asks"
    assert [here.admit(asked("?", ANN, chat(number)), 0) for number in (2, 3)] == [None] * 2
    assert here.admit(asked("?", ANN, chat(4)), 0) == Busy("user", 5, 6, QUESTION_WINDOW_MS)
    assert [here.admit(asked("?", BOB, chat(number)), 0) for number in (5, 6, 7)] == [None] * 3
    assert here.admit(asked("?", BOB, chat(8)), 0) == Busy("full", 8, 9)


def test_what_waits_already_counts_and_a_persons_oldest_question_says_when_he_may_ask_again() -> None:
    times = [NOW - 400_000, NOW - 300_000, NOW - 3, NOW - 2, NOW - 1]
    full = queue(QueueLoad({CHAT: 2}, 7, {("fake", "ann"): times}))
    assert full.admit(asked("?"), 0) == Busy("user", 5, 8, QUESTION_WINDOW_MS - 400_000)
    assert full.admit(asked("?", BOB), 0) is None
    assert full.admit(asked("?", BOB, chat(2)), 0) == Busy("full", 8, 9)


def test_what_piled_up_is_held_against_no_limit_but_counts_and_an_owner_may_set_none() -> None:
    full = queue(QueueLoad({CHAT: 3}, 3, {}))
    assert full.admit(asked("?"), NOW) is None
    assert full.admit(asked("?", BOB), 0) == Busy("chat", 3, 5)
    earlier = {("fake", "ann"): [NOW - 2] * 5}
    assert queue(QueueLoad({}, 0, earlier)).admit(asked("?"), NOW - 2) is None, "what was asked then is forgiven"
    assert queue(QueueLoad({}, 0, earlier)).admit(asked("?"), NOW - 3) == Busy("user", 5, 1, QUESTION_WINDOW_MS - 2)
    free = queue(limits=Limits())
    assert [free.admit(asked("?"), 0) for _ in range(500)] == [None] * 500


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=60))
def test_no_limit_is_ever_passed(asks: list[tuple[int, int, bool]]) -> None:
    here, let_in = queue(), [0] * 4
    by_author = [0] * 3
    for where, who, piled in asks:
        message = asked("?", Author(str(who), "Somebody"), chat(where))
        busy = here.admit(message, NOW if piled else 0)
        if busy is None:
            let_in[where] += 1
            by_author[who] += not piled
            assert piled or (let_in[where] <= 3 and by_author[who] <= 5 and sum(let_in) <= 8)
        else:
            assert not piled and (let_in[where] >= 3 or by_author[who] >= 5 or sum(let_in) >= 8)


def test_the_speed_is_measured_and_the_last_answers_count_most() -> None:
    throughput = ThroughputEstimate(slots=2)
    assert throughput.wait_s(4) is None
    throughput.record_answer(10)
    assert throughput.wait_s(4) == 20 and throughput.wait_s(1) == 10 and throughput.wait_s(1, ahead_in_chat=3) == 30
    for _ in range(30):
        throughput.record_answer(2)
    assert 4 <= (throughput.wait_s(4) or 0) < 4.1
    # Alone an answer takes 2 s, beside fifteen others 10: they are measured as they are.
    throughput = ThroughputEstimate(slots=16)
    throughput.record_answer(2)
    assert throughput.wait_s(32) == 4
    for _ in range(16):
        throughput.record_answer(10)
    assert 19 < (throughput.wait_s(32) or 0) <= 20


@each_row(
    ("busy", "seconds", "said"),
    [
        (Busy("chat", 5, 12), None, "5 questions of this chat are waiting already, so I did not take this one. "
         "It would have been number 12 in the queue."),
        (Busy("full", 1000, 1001), 2.0, "Too many people are asking me at the moment (1000 wait), so I did not take "
         "this question. It would have been number 1001 in the queue. Please ask again in about 17 min."),
        (Busy("user", 20, 3, 90_000), 2.0, "20 questions in ten minutes are all that I can take from one person. "
         "Please ask again in 2 min."),
        (Busy("chat", 5, 2), 4.0, "5 questions of this chat are waiting already, so I did not take this one. It would "
         "have been number 2 in the queue. Please ask again in about 20 s."),
    ],
)  # fmt: skip
def test_what_is_said(busy: Busy, seconds: float | None, said: str) -> None:
    throughput = ThroughputEstimate(slots=2)
    if seconds:
        throughput.record_answer(seconds)
    assert describe_refusal(busy, throughput, "en") == said
    assert describe_refusal(busy, throughput, "vi") != said


@pytest.fixture
async def small(make_bot: MakeBot) -> AsyncIterator[Bot]:
    """A bot with small limits, whose model waits."""
    async with make_bot(held(), rules=replace(RULES, limits=LIMITS)) as bot:
        yield bot


async def test_beyond_the_limit_one_is_told_at_once_and_nothing_of_it_is_kept(small: Bot) -> None:
    first = await small.accept("question 0")
    await running(small)
    waiting = [await small.accept(f"question {number}") for number in (1, 2, 3)]
    refused = await small.accept("one too many", BOB)
    assert await outcome(small, refused) is State.REFUSED
    assert small.platform.text(refused).startswith("Ở đây đã có 3 câu hỏi đang chờ"), "in the asker's language"
    assert "trong hàng chờ" in small.platform.text(refused)
    release(small.model)
    assert [await outcome(small, reply) for reply in (first, *waiting)] == [State.DONE] * 4
    said = [prompt[-1].content for prompt in small.model.prompts]
    assert said == [f"question {number}" for number in range(4)], "in order, and no more than these"
    release(small.model)
    assert await small.say("and now?", BOB) == "and now?"


async def test_it_is_said_once_a_minute_to_each_person(small: Bot) -> None:
    for number in range(4):
        await small.accept(f"question {number}")
    told, *silent = [await small.accept(f"noise {number}") for number in range(20)]
    other = await small.accept("me too?", BOB)
    assert [await outcome(small, reply) for reply in (told, other)] == [State.REFUSED] * 2
    assert {reply.state for reply in silent} == {State.MERGED}
    assert {reply.merged_into for reply in silent} == {told.id} and not set(small.platform.channels) & {
        reply.id for reply in silent
    }


@pytest.mark.slow
async def test_a_burst_is_told_once_too(small: Bot) -> None:
    replies = await asyncio.gather(*(small.accept(f"question {number}") for number in range(30)))
    states = sorted(reply.state for reply in replies)
    assert states.count(State.MERGED) >= 25 and states.count(State.SENDING) == 1


@pytest.mark.slow
async def test_after_a_minute_it_is_said_again(small: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await small.accept(f"question {number}")
    later = time.monotonic() + REFUSAL_INTERVAL_S
    monkeypatch.setattr(small.service.ingest._admission._refusals, "_clock", lambda: later)
    again = await small.accept("and now?")
    assert await outcome(small, again) is State.REFUSED


@pytest.mark.slow
async def test_whoever_had_room_meanwhile_is_told_again(small: Bot) -> None:
    earlier = [await small.accept(f"question {number}", BOB) for number in range(4)]
    told, silent = [await small.accept(f"noise {number}") for number in range(2)]
    assert (told.state, silent.state) == (State.SENDING, State.MERGED)
    release(small.model)
    assert [await outcome(small, reply) for reply in earlier] == [State.DONE] * 4
    small.model.gate = asyncio.Semaphore(0)
    await small.accept("there is room")
    await running(small)
    for number in range(3):
        await small.accept(f"again {number}")
    again = await small.accept("one too many")
    assert await outcome(small, again) is State.REFUSED


@pytest.mark.slow
async def test_whoever_asked_through_an_interaction_is_told_each_time(small: Bot) -> None:
    for number in range(4):
        await small.accept(f"question {number}")
    for number in range(2):
        reply = await small.service.ingest.accept(replace(incoming(f"/ask noise {number}"), reply_token="a key"))
        assert reply and await outcome(small, reply) is State.REFUSED


async def test_commands_pass(small: Bot) -> None:
    for number in range(6):
        await small.accept(f"question {number}")
    assert "→ 0" in await small.say("/temp 0")
    assert t("en", "stop.queued", count=3) == await small.say("/stop")
