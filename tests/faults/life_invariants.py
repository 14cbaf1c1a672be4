"""What must hold after a long life, in which people stop, clear, repeat, edit, delete and press. Pure.

I1 to I8 in the words of such a life, and what only shows there: every state that people ever saw (I9), promises of
interactions (I10), buttons (I11), how many messages an answer has (I12).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from tests.faults import invariants
from tests.faults.answers import BLOCKED, ENDLESS, LONG, MARKS, answer, tokens
from tests.faults.evidence import OPEN, Evidence, Row, Said, Seen, chat_of, plain

MOST_MESSAGES = 8
"""Of one answer."""
CLEARS = ("/clear", "/new", "/reset")
_BUTTON = re.compile(r"a:([src]):(\d+)")
_WORD = re.compile(r"\b(q\d+)[az]\b")
REPEATABLE = ("done", "stopped", "failed", "merged")
"""States of a reply whose question can be answered again."""
KEPT = ("done", "stopped", "failed")
"""States of an answer whose question stays in the history."""


def life_complaints(evidence: Evidence) -> list[str]:
    """Everything that does not hold; each begins with the invariant's name."""
    return [f"{name}: {complaint}" for name, check in CHECKS.items() for complaint in check(evidence)]


def newest(evidence: Evidence) -> dict[int | str, Row]:
    """The last reply to each question: a repeat takes over the messages of those before. Of one that is in the history
    no more, by its first message."""
    answers = [row for row in evidence.kept.rows if row.lane == "answer"]
    found: dict[int | str, Row] = {_key(row): row for row in answers if _key(row)}
    return found


def _key(row: Row) -> int | str:
    """What repeats of an answer have in common; "" where it has no message."""
    first = row.chunks[0] if row.chunks else None
    return row.question or (f"{chat_of(row.where)} {first}" if first else "")


def outcomes(evidence: Evidence) -> Iterator[str]:
    """I1: every stored message has one terminal outcome, and its person sees it."""
    rows, last = {(row.where, row.external_id): row for row in evidence.kept.rows}, newest(evidence)
    for said in evidence.said:
        row = rows.get((said.where, said.id))
        if row is None:
            yield f"{said.text!r} in {said.where} was never stored"
        elif row.state not in OPEN and row.state not in said.ends:
            yield f"{said.text!r} ended as {row.state}: {evidence.shown(row)[:100]!r}"
    altered = {(said.where, said.id) for said in evidence.said if said.altered}
    altered |= {(said.where, said.id) for said in evidence.unsure}
    for row in evidence.kept.rows:
        repeated = row.lane == "answer" and last.get(_key(row), row) is not row
        if row.state in OPEN or row.state == "cancelled" or repeated or (row.where, row.external_id) in altered:
            continue  # told in the notice of what did it, or by the repeat; or nobody asks any more
        if why := _merged_into(evidence, row) if row.state == "merged" else _unseen(evidence, row):
            yield f"{row.external_id} in {row.where} ended as {row.state}, but {why}"


def _merged_into(evidence: Evidence, row: Row) -> str:
    """Why what answers a merged message too does not; that one is looked at by itself."""
    found = {each.id: each for each in evidence.rows_of(row.where)}.get(row.merged_into or 0)
    return "" if found is not None and found.state != "merged" else f"{row.merged_into} answers nothing"


def _unseen(evidence: Evidence, row: Row) -> str:
    """Why nobody can see an outcome; "" where they can."""
    if row.lane != "answer" and row.chunks == (None,) and list(invariants.strays(evidence, row.where)):
        return ""  # nobody could know that it was taken
    seen = {each.id: each for each in evidence.of(row.where)}
    messages = [seen.get(id or "") for id in row.chunks]
    if not messages or any(each is None for each in messages):
        return f"its messages {row.chunks} are not all there"
    return "a message of it is empty" if any(each.stub for each in messages if each) else ""


def once(evidence: Evidence) -> Iterator[str]:
    """I2: an answer is seen once, but for repeats with messages of their own; that of a reply that is done is whole."""
    rows, last = {(row.where, row.external_id): row for row in evidence.kept.rows}, newest(evidence)
    by_id, copies = {row.id: row for row in evidence.kept.rows}, Counter[int]()
    for question, group in groupby(sorted(_answers(evidence), key=_question), key=_question):
        copies[question] = len({row.chunks for row in group})
    words = {chat: Counter(_ends(shown)) for chat, shown in _by_chat(evidence).items()}
    for said in evidence.said:
        row = rows.get((said.where, said.id))
        if not said.token or row is None:
            continue
        counts = words.get(chat_of(said.where), Counter[str]())
        times = max(counts[f"{said.token}a"], counts[f"{said.token}z"])
        if times > max(1, copies[row.question or 0]):
            yield f"the answer to {said.token} is seen {times} times"
        into = by_id.get(row.merged_into or 0, row)
        final = last.get(_key(into), into)
        if final.state == "done" and not said.altered and not _whole(said, evidence.shown(final)):
            yield f"the answer to {said.text!r} is not seen whole: {evidence.shown(final)[:300]!r}"
    yield from invariants.doubles(evidence)


def _answers(evidence: Evidence) -> list[Row]:
    return [row for row in evidence.kept.rows if row.lane == "answer" and row.question is not None and row.chunks]


def _question(row: Row) -> int:
    return row.question or 0


def _by_chat(evidence: Evidence) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for seen in evidence.seen:
        found.setdefault(chat_of(seen.where), []).append(seen)
    return found


def _ends(shown: list[Seen]) -> Iterator[str]:
    return (match[0] for seen in shown for match in _WORD.finditer(seen.text))


def _whole(said: Said, shown: str) -> bool:
    special = said.text.split()
    if ENDLESS in special:
        return True
    if MARKS in special:  # the marks may have made code or a link of it
        return f"{said.token}a" in shown and f"{said.token}z" in shown
    return answer(said.token, long=LONG in special) in plain(shown)


def order(evidence: Evidence) -> Iterator[str]:
    """I4: answers come in the order of the questions. The answer to a command from the menu has its place before."""
    repeated = Counter(row.question for row in _answers(evidence))
    moved = {row.external_id for row in _answers(evidence) if repeated[row.question] > 1}
    plainly = [said for said in evidence.said if not (said.altered or said.id.startswith("i:") or said.id in moved)]
    seen = sorted(evidence.seen, key=lambda each: int(each.id))  # of a topic, and of the chat around it
    return invariants.order(Evidence(plainly, seen, evidence.kept))


def history(evidence: Evidence) -> Iterator[str]:
    """I5: a question stands once in the history unless it was cleared or taken back, and people see what is stored."""
    rows = {(row.where, row.external_id): row for row in evidence.kept.rows}
    asked = Counter(
        (turn.where, token) for turn in evidence.kept.turns if turn.role == "user" for token in tokens(turn.text)
    )
    cleared, taken_back = _cleared(evidence, rows), _taken_back(evidence, rows)
    for said in evidence.said:
        row = rows.get((said.where, said.id))
        if not said.token or row is None:
            continue
        count = asked[said.where, said.token]
        gone = said.altered or row.id < cleared.get(said.where, 0) or said.token in taken_back.get(said.where, "")
        if count > 1 or (not count and not gone and row.lane == "answer" and row.state in KEPT):
            yield f"{said.token} ({row.state}) stands {count} times in the questions of {said.where}"
    for question, count in Counter(turn.reply_to for turn in evidence.kept.turns if turn.role == "assistant").items():
        if count > 1:
            yield f"question {question} has {count} answers"
    yield from _stored_and_shown(evidence)


def _stored_and_shown(evidence: Evidence) -> Iterator[str]:
    stored = {turn.reply_to: turn.text for turn in evidence.kept.turns if turn.role == "assistant"}
    standing = {turn.id for turn in evidence.kept.turns}
    for question, row in newest(evidence).items():
        if row.state != "done" or not isinstance(question, int) or question not in standing:
            continue
        kept, shown = (
            [match[0] for match in _WORD.finditer(text)] for text in (stored.get(question, ""), evidence.shown(row))
        )
        if question not in stored:
            yield f"{row.external_id} in {row.where} has no turn that answers it"
        elif kept != shown:
            yield f"{row.external_id} in {row.where}: stored is {kept}, seen is {shown}"


def _cleared(evidence: Evidence, rows: dict[tuple[str, str], Row]) -> dict[str, int]:
    """By place, the reply of the last /clear: what was asked before is gone."""
    found: dict[str, int] = {}
    for said in (*evidence.said, *evidence.unsure):
        row = rows.get((said.where, said.id))
        if said.text.split()[0] in CLEARS and row is not None and row.state == "done":
            found[said.where] = max(found.get(said.where, 0), row.id)
    return found


def _taken_back(evidence: Evidence, rows: dict[tuple[str, str], Row]) -> dict[str, str]:
    """By place, what the notices of /undo name."""
    found: dict[str, str] = {}
    for said in (*evidence.said, *evidence.unsure):
        row = rows.get((said.where, said.id))
        if said.text == "/undo" and row is not None and row.state == "done":
            found[said.where] = f"{found.get(said.where, '')} {evidence.shown(row)}"
    return found


def settings(evidence: Evidence) -> Iterator[str]:
    """I6: settings are what the last acknowledged command made them, or a press."""
    done = {(row.where, row.external_id): row.id for row in evidence.kept.rows if row.state == "done"}
    made = [
        (done[said.where, said.id], said)
        for said in (*evidence.said, *evidence.unsure)
        if (said.where, said.id) in done and said.sets
    ]
    wanted: dict[tuple[str, str], set[str]] = {}
    for _, said in sorted(made, key=lambda each: each[0]):
        name, value = said.sets or ("", "")
        wanted[said.where, name] = {value}
    for where, name, value in evidence.pressed:
        if (where, name) in wanted:
            wanted[where, name].add(value)
    for place, values in wanted.items():
        if (kept := evidence.kept.settings.get(place)) not in values:
            yield f"{place[1]} in {place[0]} is {kept}, not one of {sorted(values)}"


def states(evidence: Evidence) -> Iterator[str]:
    """I9: nothing that a message ever showed is blocked, another chat's, or empty after it was not."""
    homes = {said.token: chat_of(said.where) for said in evidence.said if said.token}
    for seen in (*evidence.seen, *evidence.removed):
        for state in seen.states:
            if BLOCKED in state.lower():
                yield f"{seen.id} in {seen.where} showed what is blocked: {state[:80]!r}"
            for match in _WORD.finditer(state):
                if homes.get(match[1], chat_of(seen.where)) != chat_of(seen.where):
                    yield f"{seen.id} in {seen.where} showed the answer to {match[1]}, asked in {homes[match[1]]}"
        said_something = [bool(state.strip("… ")) for state in seen.states]
        if said_something != sorted(said_something):
            yield f"{seen.id} in {seen.where} was emptied: {[state[:20] for state in seen.states]}"


def promises(evidence: Evidence) -> Iterator[str]:
    """I10: nothing says that more is to come."""
    for seen in evidence.seen:
        if seen.growing and not (seen.stub and seen.where.startswith("telegram")):  # see I3; a press removes a stub
            yield f"{seen.id} in {seen.where} still says that more is to come: {seen.text[:60]!r}"


def buttons(evidence: Evidence) -> Iterator[str]:
    """I11: whatever can be pressed under an answer does something."""
    rows = {row.id: row for row in evidence.kept.rows}
    repeatable = {row.question for row in evidence.kept.rows if row.state in REPEATABLE}
    last = {turn.where: turn.id for turn in evidence.kept.turns if turn.role == "user" and turn.id in repeatable}
    cut = {turn.reply_to for turn in evidence.kept.turns if turn.cut}
    for seen in evidence.seen:
        for label, data in seen.buttons:
            match = _BUTTON.fullmatch(data)
            if match is None or match[1] == "s":
                continue
            row = rows.get(int(match[2]))
            if row is None or seen.id not in row.chunks:
                yield f"{label} under {seen.id} in {seen.where}: that is no message of reply {match[2]}"
            elif row.question is None or last.get(row.where) != row.question:
                yield f"{label} under {seen.id} in {seen.where}: question {row.question} is not the last one"
            elif match[1] == "c" and row.question not in cut:
                yield f"{label} under {seen.id} in {seen.where}: nothing was cut"


def bounded(evidence: Evidence) -> Iterator[str]:
    """I12: no answer floods a chat."""
    for row in evidence.kept.rows:
        if len(row.chunks) > MOST_MESSAGES:
            yield f"{row.external_id} in {row.where} has {len(row.chunks)} messages"


CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I1": outcomes, "I2": once, "I3": invariants.stubs, "I4": order, "I5": history, "I6": settings,
    "I7": invariants.logs, "I8": invariants.database, "I9": states, "I10": promises, "I11": buttons, "I12": bounded,
}  # fmt: skip
