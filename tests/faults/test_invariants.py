"""The judge is judged: good evidence passes, and each damage to it is told by the invariant's name."""

from collections.abc import Callable
from dataclasses import replace

from tests.faults.answers import CANARY, answer
from tests.faults.evidence import Evidence, Kept, Row, Said, Seen, Turn
from tests.faults.invariants import complaints
from tests.tables import each_row

HERE, THERE = "telegram/1", "discord/2"
LOG = (
    "2026-01-02 03:04:05,678 INFO bots: connected\n"
    f"2026-01-02 03:04:06,000 DEBUG core: said {CANARY}\n  and more of {CANARY}\n"
    "2026-01-02 03:04:07,000 ERROR core: it failed\nTraceback\n"
)
GOOD = Evidence(
    said=[
        Said(HERE, "m:1:1", f"q1 {CANARY}", "q1"),
        Said(HERE, "m:1:2", "/temp 0.3", sets=("temperature", "0.3")),
        Said(HERE, "m:1:3", f"q2 {CANARY} long", "q2"),
        Said(HERE, "m:1:4", f"q3 {CANARY}", "q3"),
        Said(THERE, "m:9", f"q4 {CANARY}", "q4"),
    ],
    seen=[
        Seen(HERE, "11", answer("q1")),
        Seen(HERE, "12", "Temperature: 0.7 → 0.3."),
        Seen(HERE, "13", "Temperature: 0.7 → 0.3."),  # after an ambiguous send it may be seen twice
        Seen(HERE, "14", answer("q2", long=True)[:3000]),
        Seen(HERE, "15", answer("q2", long=True)[3000:] + " " + answer("q3")),
        Seen(HERE, "16", "…"),
        Seen(THERE, "99", answer("q4")),
    ],
    kept=Kept(
        rows=[
            Row(1, HERE, "m:1:1", "answer", "done", ("11",), 1),
            Row(2, HERE, "m:1:2", "notice", "done", ("12",)),
            Row(3, HERE, "m:1:3", "answer", "done", ("14", "15"), 2),
            Row(4, HERE, "m:1:4", "answer", "merged", (), 3),
            Row(5, THERE, "m:9", "answer", "done", ("99",), 4),
        ],
        turns=[
            Turn(1, HERE, "user", f"q1 {CANARY}"),
            Turn(2, HERE, "user", f"q2 {CANARY} long"),
            Turn(3, HERE, "user", f"q3 {CANARY}"),
            Turn(4, THERE, "user", f"q4 {CANARY}"),
            Turn(5, HERE, "assistant", answer("q1"), 1),
            Turn(6, HERE, "assistant", answer("q2", long=True) + "\n\n" + answer("q3"), 2),
            Turn(7, THERE, "assistant", answer("q4"), 4),
        ],
        settings={(HERE, "temperature"): "0.3"},
    ),
    log=LOG,
    stubs=1,
    secrets=["a-token"],
    private=[CANARY],
)


def test_good_evidence_passes() -> None:
    assert complaints(GOOD) == []


def kept(**changes: object) -> Callable[[Evidence], Evidence]:
    """The database holds something else."""
    return lambda good: replace(good, kept=replace(good.kept, **changes))  # type: ignore[arg-type]


def row(number: int, **changes: object) -> Callable[[Evidence], Evidence]:
    """One reply is another."""
    rows = [replace(each, **changes) if each.id == number else each for each in GOOD.kept.rows]  # type: ignore[arg-type]
    return kept(rows=rows)


def seen(id: str, text: str | None, **changes: object) -> Callable[[Evidence], Evidence]:
    """A message shows something else, or is not there; a new one is there."""
    changed = [replace(each, text=text, **changes) if each.id == id else each for each in GOOD.seen]  # type: ignore[arg-type]
    left = [each for each in changed if text is not None or each.id != id]
    new = [] if any(each.id == id for each in GOOD.seen) else [Seen(HERE, id, text or "")]
    return lambda good: replace(good, seen=[*left, *new])


DAMAGES: list[tuple[str, Callable[[Evidence], Evidence], str, str]] = [
    ("never stored", kept(rows=GOOD.kept.rows[1:]), "I1", "never stored"),
    ("failed", row(1, state="failed"), "I1", "ended as failed"),
    ("an answer is gone", seen("11", None), "I1", "not all there"),
    ("only intended", row(1, chunks=(None,)), "I1", "not all there"),
    ("nothing is shown", row(2, chunks=()), "I1", "not all there"),
    ("an empty answer", seen("11", "…"), "I1", "empty"),
    ("the Stop button stays", seen("11", answer("q1"), growing=True), "I1", "still grows"),
    ("merged into nothing", seen("15", answer("q2", long=True)[3000:]), "I1", "no other answer"),
    ("a second answer", seen("17", answer("q1")), "I2", "seen 2 times"),
    ("half an answer twice", seen("17", "q1a something0000"), "I2", "seen 2 times"),
    ("a cut answer", seen("11", answer("q1")[:20]), "I2", "not seen whole"),
    ("a hole in an answer", seen("14", answer("q2", long=True)[:2000]), "I2", "not seen whole"),
    ("a notice three times", seen("17", "Temperature: 0.7 → 0.3."), "I2", "a notice is seen 3 times"),
    ("a stub on Discord", lambda good: replace(good, seen=[*good.seen, Seen(THERE, "98", "…")]), "I3", "in discord"),
    ("a promise on Discord", lambda good: replace(good, seen=[*good.seen, Seen(THERE, "98", "")]), "I3", "in discord"),
    ("two stubs on Telegram", seen("17", "…"), "I3", "2 empty messages on Telegram, where 1 may be"),
    ("another order", lambda good: replace(good, seen=list(reversed(good.seen))), "I4", "come as"),
    ("a question twice", kept(turns=[*GOOD.kept.turns, Turn(8, HERE, "user", "q1")]), "I5", "q1 stands 2 times"),
    ("a question forgotten", kept(turns=GOOD.kept.turns[1:]), "I5", "q1 stands 0 times"),
    ("an answer forgotten", kept(turns=GOOD.kept.turns[:-1]), "I5", "q4 has 0 turns"),
    ("two answers", kept(turns=[*GOOD.kept.turns, Turn(8, HERE, "assistant", "x", 1)]), "I5", "q1 has 2 turns"),
    ("another answer stored", kept(turns=[*GOOD.kept.turns[:-1], Turn(7, THERE, "assistant", answer("q9"), 4)]), "I5",
     "stored is ['q9a', 'q9z']"),
    ("a setting lost", kept(settings={}), "I6", "temperature in telegram/1 is None, not 0.3"),
    ("an old setting", kept(settings={(HERE, "temperature"): "0.2"}), "I6", "is 0.2, not 0.3"),
    ("a token at DEBUG", lambda good: replace(good, log="2026-01-02 03:04:05,678 DEBUG x: a-token\n"), "I7", "secret"),
    ("words at INFO", lambda good: replace(good, log=LOG.replace("DEBUG", "INFO")), "I7", "quotes people at INFO"),
    ("words in a traceback", lambda good: replace(good, log=f"{LOG}ValueError: {CANARY}\n"), "I7", "at ERROR"),
    ("words before any record", lambda good: replace(good, log=f"{CANARY}\n{LOG}"), "I7", "at STDERR"),
    ("a damaged file", kept(troubles=["row 7 missing"]), "I8", "row 7 missing"),
    ("left open", row(1, state="sending"), "I8", "1 replies are open"),
    ("two active", lambda good: row(3, state="generating")(row(1, state="sending")(good)), "I8", "are open"),
    ("two replies", kept(rows=[*GOOD.kept.rows, Row(6, HERE, "m:1:1", "answer", "done", ("11",), 1)]), "I8", "2 repl"),
]  # fmt: skip


@each_row(("damage", "name", "words"), [each[1:] for each in DAMAGES], ids=[each[0] for each in DAMAGES])
def test_each_damage_is_told(damage: Callable[[Evidence], Evidence], name: str, words: str) -> None:
    found = complaints(damage(GOOD))
    assert any(each.startswith(f"{name}: ") and words in each for each in found), found


def test_two_active_answers_in_one_conversation() -> None:
    rows = [replace(each, state="sending") if each.id in (1, 3) else each for each in GOOD.kept.rows]
    assert "I8: 2 active answers in telegram/1" in complaints(kept(rows=rows)(GOOD))
