"""A comment and what is forwarded with it, as messages of their own: one question, and no second answer."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from core.domain.conversation import Author, ChatId, Incoming
from core.domain.reply_states import State
from core.inbound.forwarded_together import MAX_FORWARDS, MAX_GAP_MS, MAX_REMEMBERED, ForwardedTogether
from core.inbound.question_text import GREETING, Forward, with_forwards
from tests.conftest import MakeBot
from tests.fakes import ANN, BOB, CHAT, incoming
from tests.tables import each_row
from tests.watching import contents, held, idle, now, outcome, release, running

TOPIC = ChatId("fake", "1", "5")
EVE = "Forwarded message from Eve:\n> "


class Sent(NamedTuple):
    """What somebody sends: a comment to the bot, or a forwarded message."""

    text: str
    at: int = 0
    is_forward: bool = True
    author: Author = ANN
    chat: ChatId = CHAT
    addressed: bool = False


def said(text: str, at: int = 0, author: Author = ANN, chat: ChatId = CHAT) -> Sent:
    return Sent(text, at, False, author, chat)


def asked(*sent: Sent) -> list[tuple[str, tuple[str, ...], str | None]]:
    """Text, joined messages and the text without them of each question. Messages are numbered from 1."""
    together, questions = ForwardedTogether(), list[Incoming | None]()
    for number, each in enumerate(sent, 1):
        message = Incoming(each.chat, "bot", f"{number}", number, each.author, each.text, False, each.at)
        if each.is_forward:
            alone = replace(message, text=f"{EVE}{each.text}")
            questions.append(together.forwarded(alone, Forward("Eve", each.text), addressed=each.addressed))
        else:
            questions.append(together.commented(message))
    return [(question.text, question.joins, question.alone) for question in questions if question]


@pytest.mark.slow
@each_row(
    ("sent", "questions"),
    [
        ([Sent("a fact")], []),
        ([said("why?"), Sent("a fact")], [("why?", (), None), (f"{EVE}a fact\n\nwhy?", ("1",), "")]),
        ([Sent("a fact"), said("why?")], [(f"{EVE}a fact\n\nwhy?", (), "why?")]),
        ([Sent("one"), said("why?"), Sent("two", 1000)], [
            (f"{EVE}one\n\nwhy?", (), "why?"), (f"{EVE}one\n\n{EVE}two\n\nwhy?", ("2",), "")
        ]),
        ([said("why?"), Sent("one", 900), Sent("two", 1800)], [
            ("why?", (), None), (f"{EVE}one\n\nwhy?", ("1",), ""), (f"{EVE}one\n\n{EVE}two\n\nwhy?", ("1", "2"), "")
        ]),
        ([said("why?"), Sent("late", MAX_GAP_MS + 1)], [("why?", (), None)]),
        ([Sent("a fact", 1), said("earlier", 0)], [("earlier", (), None)]),
        ([said("why?"), Sent("another's", author=BOB)], [("why?", (), None)]),
        ([said("why?"), Sent("elsewhere", chat=TOPIC)], [("why?", (), None)]),
        ([said("/temp 0"), Sent("a fact")], [("/temp 0", (), None)]),
        ([Sent("a fact"), said("/temp 0")], [("/temp 0", (), None)]),
        ([Sent("a fact"), said(GREETING)], [(f"{EVE}a fact", (), GREETING)]),
        ([said("one?"), said("two?"), Sent("a fact")], [
            ("one?", (), None), ("two?", (), None), (f"{EVE}a fact\n\ntwo?", ("2",), "")
        ]),
        ([said("why?"), Sent("")], [("why?", (), None)]),
        ([said("why?"), Sent(""), Sent("a fact", 500)], [("why?", (), None), (f"{EVE}a fact\n\nwhy?", ("1",), "")]),
        # Where everything is for the bot
        ([Sent("one", addressed=True), Sent("two", addressed=True), said("why?")], [
            (f"{EVE}one", (), None), (f"{EVE}one\n\n{EVE}two", ("1",), f"{EVE}two"),
            (f"{EVE}one\n\n{EVE}two\n\nwhy?", ("1", "2"), "why?"),
        ]),
        ([Sent("", addressed=True), said("why?")], [(EVE, (), None), ("why?", (), None)]),
    ],
)  # fmt: skip
def test_what_is_one_question(sent: list[Sent], questions: list[tuple[str, tuple[str, ...], str | None]]) -> None:
    assert asked(*sent) == questions


@pytest.mark.slow
def test_what_is_remembered_is_bounded() -> None:
    texts = [question for question, _, _ in asked(said("why?"), *(Sent("a fact") for _ in range(2 * MAX_FORWARDS)))]
    assert texts[-1] == with_forwards("why?", [Forward("Eve", "a fact")] * MAX_FORWARDS), "the rest is for nobody"
    people = [Author(f"{number}", "Ann") for number in range(3 * MAX_REMEMBERED)]
    together = ForwardedTogether()
    for number, person in enumerate(people):
        together.commented(Incoming(CHAT, "bot", f"{number}", number, person, "why?", False, 0))
    assert len(together._runs) <= MAX_REMEMBERED


@pytest.mark.slow
def test_an_edit_of_one_message_is_none_of_the_question() -> None:
    together = ForwardedTogether()
    comment = Incoming(CHAT, "bot", "1", 1, ANN, "why?", False, 0)
    together.commented(comment)
    assert not together.is_joined("1")
    together.forwarded(replace(comment, external_id="2", seq=2), Forward("Eve", "a fact"), addressed=False)
    assert together.is_joined("2")


def joining(first: Incoming, alone: str | None) -> Incoming:
    """The message behind `first`, of a question that is both."""
    both = replace(first, external_id=f"{first.external_id}+", seq=first.seq + 1, text="a fact\n\nwhy?")
    return replace(both, joins=(first.external_id,), alone=alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answered", "alone", "asks"),
    [
        (False, "", ["Ann: a fact\n\nwhy?"]),
        (False, "a fact", ["a fact\n\nwhy?"]),
        (True, "", []),
        (True, "a fact", ["why?", "why?", "a fact"]),
        (True, None, ["why?", "why?", "a fact\n\nwhy?"]),
    ],
)
async def test_a_comment_is_answered_once(
    make_bot: MakeBot, answered: bool, alone: str | None, asks: list[str]
) -> None:
    """With what was forwarded where it has no answer yet; else that is asked by itself, where it is for the bot."""
    comment = incoming("why?", private=alone != "")  # in a group what is forwarded is for nobody
    async with make_bot(held()) as bot:
        first = await bot.service.ingest.accept(comment)
        assert first
        await running(bot)
        if answered:
            release(bot.model)
            assert await outcome(bot, first) is State.DONE
        reply = await bot.service.ingest.accept(joining(comment, alone))
        release(bot.model)
        await idle(bot)
        assert await now(bot, first) is (State.DONE if answered else State.CANCELLED)
        assert bool(reply) is bool(asks)
        if reply:
            assert await outcome(bot, reply) is State.DONE
            assert contents(bot.model.prompts[-1]) == asks
