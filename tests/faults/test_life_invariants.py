"""The judge of a long life is judged: good evidence passes, and each damage to it is told by the invariant's name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.answers import BLOCKED, CANARY, ENDLESS, MARKS, answer, open_marks
from tests.faults.evidence import Evidence, Kept, Row, Said, Seen, Turn
from tests.faults.life_invariants import life_complaints
from tests.faults.places import EVERY_END
from tests.tables import each_row

pytestmark = pytest.mark.slow  # as the trial that it judges

HERE, TOPIC, THERE = "telegram/1", "telegram/2/7", "discord/3"
RETRY, CONTINUE = "🔁 Retry", "⏭ Continue"


def said(where: str, id: str, text: str, token: str = "", **more: Any) -> Said:
    return Said(where, id, f"{text} {CANARY}" if token else text, token, EVERY_END, **more)


def shown(where: str, id: str, text: str, *buttons: tuple[str, str], **more: Any) -> Seen:
    return Seen(where, id, text, buttons=buttons, states=("…", text[:9], text), **more)


GOOD = Evidence(
    said=[
        said(HERE, "m:1:1", "q1", "q1"),
        said(HERE, "m:1:2", "/retry"),
        said(HERE, "m:1:3", "/temp 0.3", sets=("temperature", "0.3")),
        said(HERE, "m:1:4", f"q2 {ENDLESS}", "q2"),
        said(TOPIC, "m:2:1", "q3", "q3"),
        said(TOPIC, "m:2:2", "/clear"),
        said(TOPIC, "m:2:3", f"q4 {MARKS}", "q4"),
        said(THERE, "i:1", "/ask q5", "q5"),
        said(THERE, "m:2", "q6", "q6"),
        said(THERE, "m:3", "/undo"),
        said(THERE, "m:4", "q7", "q7", altered=True),
        said(THERE, "m:5", "q8", "q8"),
        said(THERE, "m:6", "q9", "q9"),
    ],
    seen=[
        shown(HERE, "11", answer("q1")),
        shown(HERE, "12", "Temperature: 0.7 → 0.3."),
        shown(HERE, "13", "forever0 forever1", (CONTINUE, "a:c:4"), (RETRY, "a:r:4")),
        shown("telegram/2", "21", answer("q3")),
        shown(TOPIC, "22", "Forgotten."),
        shown(TOPIC, "23", f"{open_marks('q4')} {answer('q4')}", (RETRY, "a:r:7")),
        shown(THERE, "31", answer("q5")),
        shown(THERE, "32", answer("q6")),
        shown(THERE, "33", f"Taken back: q6 {CANARY}"),
        shown(THERE, "35", f"{answer('q8')} {answer('q9')}", (RETRY, "a:r:12"), ("⚙", "p:t:0.5:01234567")),
    ],
    kept=Kept(
        rows=[
            Row(1, HERE, "m:1:1", "answer", "done", ("11",), 1),
            Row(2, HERE, "m:1:2", "answer", "done", ("11",), 1),
            Row(3, HERE, "m:1:3", "notice", "done", ("12",)),
            Row(4, HERE, "m:1:4", "answer", "done", ("13",), 2),
            Row(5, TOPIC, "m:2:1", "answer", "done", ("21",)),
            Row(6, TOPIC, "m:2:2", "notice", "done", ("22",)),
            Row(7, TOPIC, "m:2:3", "answer", "done", ("23",), 4),
            Row(8, THERE, "i:1", "answer", "done", ("31",), 5),
            Row(9, THERE, "m:2", "answer", "done", ("32",)),
            Row(10, THERE, "m:3", "notice", "done", ("33",)),
            Row(11, THERE, "m:4", "answer", "cancelled", ()),
            Row(12, THERE, "m:6", "answer", "done", ("35",), 7),
            Row(13, THERE, "m:5", "answer", "merged", (), None, 12),
        ],
        turns=[
            Turn(1, HERE, "user", "q1"),
            Turn(2, HERE, "user", "q2"),
            Turn(4, TOPIC, "user", "q4"),
            Turn(5, THERE, "user", "q5"),
            Turn(7, THERE, "user", "q8\n\nq9"),
            Turn(11, HERE, "assistant", answer("q1"), 1),
            Turn(12, HERE, "assistant", "forever0 forever1", 2, cut=True),
            Turn(14, TOPIC, "assistant", answer("q4"), 4),
            Turn(15, THERE, "assistant", answer("q5"), 5),
            Turn(17, THERE, "assistant", f"{answer('q8')} {answer('q9')}", 7),
        ],
        settings={(HERE, "temperature"): "0.3"},
    ),
    log="2026-01-02 03:04:05,678 INFO bots: connected\n",
    private=[CANARY],
)
Damage = Callable[[Evidence], Evidence]


def test_good_evidence_passes() -> None:
    assert life_complaints(GOOD) == []


def kept(**changes: Any) -> Damage:
    """The database holds something else."""
    return lambda good: replace(good, kept=replace(good.kept, **changes))


def row(number: int, **changes: Any) -> Damage:
    """One reply is another."""
    return kept(rows=[replace(each, **changes) if each.id == number else each for each in GOOD.kept.rows])


def turns(*without: int, more: tuple[Turn, ...] = ()) -> Damage:
    """The history lacks something, or has more."""
    return kept(turns=[*(each for each in GOOD.kept.turns if each.id not in without), *more])


def seen(id: str, **changes: Any) -> Damage:
    """A message is another."""
    return lambda good: replace(good, seen=[replace(each, **changes) if each.id == id else each for each in good.seen])


def more(*new: Seen) -> Damage:
    """There are more messages."""
    return lambda good: replace(good, seen=[*good.seen, *new])


def without(id: str) -> Damage:
    """A message is not there."""
    return lambda good: replace(good, seen=[each for each in good.seen if each.id != id])


DAMAGES: list[tuple[str, Damage, str, str]] = [
    ("never stored", kept(rows=GOOD.kept.rows[1:]), "I1", "never stored"),
    ("nobody said it, and nobody sees it", row(2, external_id="b:7", chunks=("99",)), "I1", "b:7 in telegram/1 ended"),
    ("not among what it may end as", lambda good: replace(good, said=[replace(good.said[0], ends=frozenset({"failed"}))]
                                                          ), "I1", "ended as done"),
    ("merged into nothing", row(13, merged_into=None), "I1", "None answers nothing"),
    ("merged into what is merged", row(12, state="merged"), "I1", "12 answers nothing"),
    ("a message is gone", without("22"), "I1", "not all there"),
    ("an empty answer", seen("31", text="…"), "I1", "is empty"),
    ("a second answer", more(Seen(HERE, "19", answer("q1"))), "I2", "q1 is seen 2 times"),
    ("in another of its chat's topics", more(Seen("telegram/2/9", "29", answer("q4"))), "I2", "q4 is seen 2 times"),
    ("half an answer", seen("11", text=answer("q1")[:20]), "I2", "not seen whole"),
    ("marks without the answer", seen("23", text=open_marks("q4")), "I2", "not seen whole"),
    ("merged, and the answer lacks it", seen("35", text=answer("q9")), "I2", "not seen whole"),
    ("a notice three times", more(*(Seen(HERE, id, "Forgotten.") for id in "789")), "I2", "a notice is seen 3 times"),
    ("a promise on Discord", more(Seen(THERE, "39", "")), "I3", "in discord"),
    ("a stub on Telegram", more(Seen(TOPIC, "29", "…")), "I3", "1 empty messages on Telegram, where 0 may be"),
    ("another order", lambda good: replace(good, said=[*good.said[:7], *reversed(good.said[7:])]), "I4", "come as"),
    ("forgotten", turns(1), "I5", "q1 (done) stands 0 times"),
    ("asked after the clear, and forgotten", turns(4), "I5", "q4 (done) stands 0 times"),
    ("twice", turns(more=(Turn(20, HERE, "user", "q1"),)), "I5", "q1 (done) stands 2 times"),
    ("an answer forgotten", turns(11), "I5", "m:1:2 in telegram/1 has no turn"),
    ("two answers", turns(more=(Turn(20, HERE, "assistant", "x", 1),)), "I5", "question 1 has 2 answers"),
    ("another answer stored", turns(15, more=(Turn(20, THERE, "assistant", answer("q1"), 5),)), "I5", "stored is"),
    ("a setting lost", kept(settings={}), "I6", "temperature in telegram/1 is None"),
    ("words at INFO", lambda good: replace(good, log=f"{good.log}2026-01-02 03:04:05,678 INFO x: {CANARY}\n"), "I7",
     "quotes people at INFO"),
    ("left open", row(1, state="sending"), "I8", "1 replies are open"),
    ("a blocked word for a moment", seen("11", states=("…", f"oh {BLOCKED.title()}", "oh")), "I9", "what is blocked"),
    ("and in what is gone", lambda good: replace(good, removed=[Seen(HERE, "9", "", states=(BLOCKED,))]), "I9",
     "what is blocked"),
    ("another chat's answer for a moment", seen("11", states=(answer("q5"),)), "I9", "asked in discord/3"),
    ("emptied for a moment", seen("11", states=("…", "q1a", "…", "q1a")), "I9", "was emptied"),
    ("still thinking", seen("31", growing=True), "I10", "more is to come"),
    ("a Stop button of a cancelled answer", more(Seen(THERE, "39", "x", growing=True)), "I10", "more is to come"),
    ("of a reply elsewhere", seen("23", buttons=((RETRY, "a:r:4"),)), "I11", "no message of reply 4"),
    ("of no reply", seen("23", buttons=((RETRY, "a:r:99"),)), "I11", "no message of reply 99"),
    ("not the last", seen("31", buttons=((RETRY, "a:r:8"),)), "I11", "question 5 is not the last one"),
    ("of what was taken back", seen("32", buttons=((RETRY, "a:r:9"),)), "I11", "question None is not the last one"),
    ("nothing was cut", seen("23", buttons=((CONTINUE, "a:c:7"),)), "I11", "nothing was cut"),
    ("a flood", row(4, chunks=("13",) * 9), "I12", "has 9 messages"),
]  # fmt: skip


@each_row(("damage", "name", "words"), [each[1:] for each in DAMAGES], ids=[each[0] for each in DAMAGES])
def test_each_damage_is_told(damage: Damage, name: str, words: str) -> None:
    found = life_complaints(damage(GOOD))
    assert any(each.startswith(f"{name}: ") and words in each for each in found), found


def test_a_press_may_have_set_it() -> None:
    changed = kept(settings={(HERE, "temperature"): "0.5"})(GOOD)
    assert life_complaints(changed)
    assert not life_complaints(replace(changed, pressed=[(HERE, "temperature", "0.5")]))


def test_what_was_said_to_have_failed_may_have_been_done() -> None:
    taken_back = replace(GOOD, said=[said for said in GOOD.said if said.text != "/undo"])
    assert life_complaints(taken_back)
    assert not life_complaints(replace(taken_back, unsure=[said for said in GOOD.said if said.text == "/undo"]))
