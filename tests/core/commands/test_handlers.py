"""Handlers return outcomes; a call can't be changed."""

from dataclasses import FrozenInstanceError, fields, replace
from types import SimpleNamespace
from typing import cast

import pytest

from core.commands.context import Call, Outcome
from core.commands.registry import COMMANDS
from core.domain.conversation import Question, Reply, Role
from core.domain.errors import Refused
from core.domain.reply_states import Lane, ReplyEvent, State, next_state
from core.domain.store import Transaction
from core.i18n import t
from storage.store import DatabaseStore
from tests.core.commands.calls import check_made, command_call
from tests.fakes import ANN, BOB, CHAT
from tests.tables import each_row

NO_TRANSACTION = cast(Transaction, None)
"""For handlers that need none."""


@each_row("name", [field.name for field in fields(Call)])
def test_a_call_is_frozen(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(command_call("/help"), name, None)


def test_an_outcome_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Outcome().text = "x"  # type: ignore[misc]


@each_row(
    ("text", "words"),
    [
        ("/start", "fake-model"),
        ("/help", "/clear"),
        ("/help temp", "/temp 0.3"),
        ("/help /reset", "/clear"),
        ("/whoami", "fake:ann"),
    ],
)
async def test_what_needs_no_transaction(text: str, words: str) -> None:
    call = command_call(text)
    outcome = await call.command.handler(call, NO_TRANSACTION)
    assert words in outcome.text and outcome == Outcome(outcome.text)


@each_row(
    ("text", "key", "values"),
    [
        ("/tmep 1", "bad.command", {"command": "/tmep", "nearest": "/temp"}),
        ("/help nope", "bad.command", {"command": "/nope", "nearest": "/help"}),
        ("/ask", "bad.question", {}),
        ("", "media.only_text", {}),
    ],
)
async def test_what_is_refused_without_a_transaction(text: str, key: str, values: dict[str, object]) -> None:
    call = command_call(text)
    with pytest.raises(Refused) as caught:
        await call.command.handler(call, NO_TRANSACTION)
    assert (caught.value.key, caught.value.values) == (key, values)


def test_the_help_shows_the_table_that_the_call_has() -> None:
    call = replace(command_call("/help"), commands=COMMANDS[:1])
    with pytest.raises(StopIteration) as ended:
        call.command.handler(call, NO_TRANSACTION).send(None)  # type: ignore[attr-defined]
    assert "/start" in ended.value.value.text and "/help`" not in ended.value.value.text


@each_row("name", [command.name for command in COMMANDS if not command.argument])
def test_an_argument_too_many(name: str) -> None:
    with pytest.raises(Refused, match=r"bad\.argument"):
        check_made(command_call(f"/{name} it"))


def answer(id: int, state: State, token: str = "") -> Reply:
    return Reply(id, CHAT, True, 1, Lane.ANSWER, state, 1, ANN, "hi", "bot", f"m:{id}", id, reply_token=token)


class FakeReplies:
    """The open answers of a conversation."""

    def __init__(self, *open_answers: Reply) -> None:
        self._open_answers = open_answers
        self.moves: list[tuple[int, ReplyEvent]] = []

    async def open_answers(self, chat: object) -> tuple[Reply, ...]:
        return self._open_answers

    async def move(self, reply: Reply, event: ReplyEvent, *, final: str | None = None) -> Reply:
        self.moves.append((reply.id, event))
        return replace(reply, state=next_state(reply.state, event) or reply.state, final=final)


class FakePreferences:
    """Nobody has chosen a language."""

    async def language(self, platform: str, user: str) -> str:
        return "auto"


class FakeTurns:
    """One question, and no history."""

    question: Question | None = None

    async def clear(self, reply: Reply) -> None: ...

    async def last_question(self, chat: object) -> Question | None:
        return self.question

    async def is_truncated(self, question: int) -> bool:
        return True


def fake_transaction(*open_answers: Reply) -> Transaction:
    parts = {"replies": FakeReplies(*open_answers), "turns": FakeTurns(), "preferences": FakePreferences()}
    return cast(Transaction, SimpleNamespace(**parts))


SENDING, RUNNING, PENDING, QUEUED, LATER = (
    answer(1, State.SENDING),
    answer(2, State.GENERATING),
    answer(3, State.QUEUED, "token"),
    answer(4, State.QUEUED),
    answer(10, State.QUEUED),
)


@each_row(("text", "event"), [("/stop", ReplyEvent.STOP), ("/clear", ReplyEvent.CLEAR)])
async def test_what_ends_answers_says_which(text: str, event: ReplyEvent) -> None:
    call, tx = command_call(text), fake_transaction(SENDING, RUNNING, PENDING, QUEUED, LATER)
    outcome = await call.command.handler(call, tx)
    assert outcome.stopped == (2,)
    withdrawn = replace(PENDING, state=State.SENDING, final=t("en", "mark.stopped"))
    assert outcome.withdrawn == (withdrawn,), "its interaction waits for it"
    assert outcome.forget is (text == "/clear")
    assert outcome.text == t("en", f"{text[1:]}.queued", count=2)
    assert cast(FakeReplies, tx.replies).moves == [(2, event), (3, ReplyEvent.WITHDRAW), (4, event)]


async def test_nothing_waits() -> None:
    call = command_call("/clear")
    assert await call.command.handler(call, fake_transaction()) == Outcome(t("en", "clear.done"), forget=True)


async def test_an_answer_again_is_said_by_the_outcome(store: DatabaseStore) -> None:
    """Not by a text that is missing."""
    call, tx = command_call("/retry"), fake_transaction()
    cast(FakeTurns, tx.turns).question = Question(7, "why?", ANN)
    became: list[Question] = []

    async def become_answer(reply: Reply, question: Question) -> None:
        became.append(question)

    tx.replies.become_answer = become_answer  # type: ignore[method-assign, assignment]
    assert await call.command.handler(call, tx) == Outcome(became_answer=True)
    assert became == [Question(7, "why?", ANN)]


@pytest.mark.slow
@each_row(("text", "open_answer", "key"), [
    ("/retry", replace(QUEUED, question=7), "retry.waiting"),
    ("/continue", replace(QUEUED, question=7), "continue.nothing"),
    ("/continue", QUEUED, "continue.nothing"),
])  # fmt: skip
async def test_what_is_open_is_not_answered_again(text: str, open_answer: Reply, key: str) -> None:
    call, tx = command_call(text), fake_transaction(open_answer)
    cast(FakeTurns, tx.turns).question = Question(7, "why?", ANN)
    with pytest.raises(Refused, match=key):
        await call.command.handler(call, tx)


async def test_a_language_is_part_of_the_outcome(store: DatabaseStore) -> None:
    for text, language in [("/lang vi", "vi"), ("/lang auto", "auto"), ("/lang vi reply en", "vi"), ("/lang", "")]:
        call = command_call(text)
        async with store.begin() as tx:
            outcome = await call.command.handler(call, tx)
        assert outcome.chosen_language == language
        assert call.language == "en", "the call stays as it was"
        assert outcome == Outcome(outcome.text, chosen_language=language)


async def test_what_was_set_before_a_refusal_is_not_said(store: DatabaseStore) -> None:
    call = command_call("/lang vi reply en", author=BOB, private=False, role=Role.MEMBER)
    with pytest.raises(Refused, match=r"refused\.may"):
        async with store.begin() as tx:
            await call.command.handler(call, tx)
    async with store.begin() as tx:
        assert await tx.preferences.language("fake", "bob") == "auto", "nothing of the transaction is kept"
