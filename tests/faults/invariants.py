"""What must hold after every trial, whatever happened in it: I1 to I8. Pure: evidence in, complaints out."""

import re
from collections import Counter
from collections.abc import Callable, Iterator

from tests.faults.answers import LONG, answer, tokens
from tests.faults.evidence import OPEN, Evidence, Row, Said, Seen, chat_of, plain

_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ([A-Z]+) ", re.MULTILINE)
_WORD = re.compile(r"\bq\d+[az]\b")
REMEMBERED = ("done", "stopped", "failed", "merged")
"""States of an answer whose question stays in the history."""
TWICE = 2
"""So often may a notice be seen."""


def complaints(evidence: Evidence) -> list[str]:
    """Everything that does not hold; each begins with the invariant's name."""
    return [f"{name}: {complaint}" for name, check in CHECKS.items() for complaint in check(evidence)]


def outcomes(evidence: Evidence) -> Iterator[str]:
    """I1: every accepted message has one terminal outcome, and its person sees it."""
    rows = {(row.where, row.external_id): row for row in evidence.kept.rows}
    for said in evidence.said:
        row = rows.get((said.where, said.id))
        if row is None:
            yield f"{said.text!r} in {said.where} was never stored"
        elif row.state not in OPEN:
            if row.state not in said.ends:
                yield f"{said.text!r} ended as {row.state}: {evidence.shown(row)[:100]!r}"
            elif why := _unseen(evidence, said, row):
                yield f"{said.text!r} ended as {row.state}, but {why}"


def _unseen(evidence: Evidence, said: Said, row: Row) -> str:
    """Why nobody can see an outcome; "" where they can."""
    if row.state == "merged":
        whole = " ".join(seen.text for seen in evidence.of(row.where))
        told = "refused" in said.ends and any(
            each.lane != "answer" and evidence.shown(each).strip() for each in evidence.rows_of(row.where)
        )  # one word for several that are too many
        return "" if told or f"{said.token}z" in whole or not said.token else "no other answer has it"
    if row.state == "cancelled":
        return ""  # told in the notice of the command that did it, which is said too
    seen = {each.id: each for each in evidence.of(row.where)}
    if row.lane != "answer" and row.chunks == (None,) and list(strays(evidence, row.where)):
        return ""  # nobody could know that it was taken
    messages = [seen.get(id or "") for id in row.chunks]
    if not messages or any(each is None for each in messages):
        return f"its messages {row.chunks} are not all there"
    if any(each.stub for each in messages if each):
        return "a message of it is empty"
    return "it still grows" if any(each.growing for each in messages if each) else ""


def once(evidence: Evidence) -> Iterator[str]:
    """I2: a complete answer is seen exactly once; what is no message of a reply is a stub or a notice's double."""
    whole: dict[tuple[str, str], str] = {}
    for row in evidence.kept.rows:
        if row.state in ("done", "merged") and row.lane == "answer":
            whole[row.where, row.external_id] = plain(evidence.shown(row))
    for said in evidence.said:
        if not said.token:
            continue
        seen = [each.text for each in evidence.of(said.where)]
        begun, ended = (sum(text.count(f"{said.token}{end}") for text in seen) for end in "az")
        if begun > 1 or ended > 1:
            yield f"the answer to {said.token} is seen {max(begun, ended)} times"
        elif (said.where, said.id) in whole and "done" in said.ends:
            expected = answer(said.token, long=LONG in said.text.split())
            own = whole[said.where, said.id] or " ".join(plain(text) for text in seen)
            if expected not in own:
                yield f"the answer to {said.token} is not seen whole"
    yield from doubles(evidence)


def doubles(evidence: Evidence) -> Iterator[str]:
    """I2: what is no message of a reply is a stub, or the double of a notice."""
    shown = Counter((chat_of(each.where), each.text) for each in evidence.seen)
    for where in dict.fromkeys(chat_of(each.where) for each in evidence.seen):
        for text in dict.fromkeys(each.text for each in strays(evidence, where)):
            if _WORD.search(text):
                yield f"a message that nobody knows shows an answer in {where}: {text[:80]!r}"
            elif shown[where, text] > TWICE * max(_acknowledgements(evidence, where, text), 1):
                yield f"a notice is seen {shown[where, text]} times in {where}: {text[:80]!r}"


def _acknowledgements(evidence: Evidence, where: str, text: str) -> int:
    """How many replies are known to show the same."""
    return sum(evidence.shown(row) == text for row in evidence.rows_of(where))


def strays(evidence: Evidence, where: str) -> Iterator[Seen]:
    """What is seen in a chat, says something, and is no message of a reply."""
    known = {id for row in evidence.rows_of(where) for id in row.chunks}
    return (each for each in evidence.of(where) if each.id not in known and not each.stub)


def stubs(evidence: Evidence) -> Iterator[str]:
    """I3: empty messages: none on Discord; on Telegram no more than sends that nobody could know the end of."""
    known = {(chat_of(row.where), id) for row in evidence.kept.rows for id in row.chunks}
    empty = Counter(
        chat for each in evidence.seen if each.stub and ((chat := chat_of(each.where)), each.id) not in known
    )
    telegram = sum(count for where, count in empty.items() if where.startswith("telegram/"))
    for where in empty:
        if not where.startswith("telegram/"):
            yield f"{empty[where]} empty messages in {where}"
    if telegram > evidence.stubs:
        yield f"{telegram} empty messages on Telegram, where {evidence.stubs} may be"


def order(evidence: Evidence) -> Iterator[str]:
    """I4: answers in a conversation come in the order of its questions."""
    places = () if evidence.shuffled else dict.fromkeys(said.where for said in evidence.said)
    for where in places:
        asked = [said.token for said in evidence.said if said.where == where and said.token]
        whole = " ".join(each.text for each in evidence.of(where))
        found = [(whole.find(f"{token}a"), token) for token in asked if f"{token}a" in whole]
        if [token for _, token in sorted(found)] != [token for _, token in found]:
            yield f"in {where} the answers come as {[token for _, token in sorted(found)]}"


def history(evidence: Evidence) -> Iterator[str]:
    """I5: a question's words stand once in the user's turns, an answer is one turn, and people see what is stored."""
    rows = {(row.where, row.external_id): row for row in evidence.kept.rows}
    asked = Counter(token for turn in evidence.kept.turns if turn.role == "user" for token in tokens(turn.text))
    replies = Counter(turn.reply_to for turn in evidence.kept.turns if turn.role == "assistant")
    for said in evidence.said:
        row = rows.get((said.where, said.id))
        if (
            said.token
            and row is not None
            and row.lane == "answer"
            and row.state in ("done", "stopped", "failed", "merged")
        ):
            if asked[said.token] != 1:
                yield f"{said.token} stands {asked[said.token]} times in the questions"
            if row.state == "done" and replies[row.question] != 1:
                yield f"{said.token} has {replies[row.question]} turns that answer it"
            elif row.state == "done" and (why := _different(evidence, row)):
                yield f"{said.token}: {why}"
    for question, count in replies.items():
        if count > 1:
            yield f"question {question} has {count} answers"


def _different(evidence: Evidence, row: Row) -> str:
    stored = next(turn.text for turn in evidence.kept.turns if turn.reply_to == row.question)
    words, shown = _WORD.findall(stored), _WORD.findall(evidence.shown(row))
    return "" if words == shown else f"stored is {words}, seen is {shown}"


def settings(evidence: Evidence) -> Iterator[str]:
    """I6: settings are what the last acknowledged command made them."""
    done = {(row.where, row.external_id) for row in evidence.kept.rows if row.state == "done"}
    wanted = {
        (said.where, said.sets[0]): said.sets[1]
        for said in evidence.said
        if said.sets and (said.where, said.id) in done
    }
    for (where, name), value in wanted.items():
        if (kept := evidence.kept.settings.get((where, name))) != value:
            yield f"{name} in {where} is {kept}, not {value}"


def logs(evidence: Evidence) -> Iterator[str]:
    """I7: no secret in the log at any level, nothing that people wrote from INFO on."""
    for secret in evidence.secrets:
        if secret in evidence.log:
            yield f"the log has the secret {secret[:6]}... {evidence.log.count(secret)} times"
    for level, record in _records(evidence.log):
        for text in evidence.private:
            if level != "DEBUG" and text in record:
                yield f"the log quotes people at {level}: {record.splitlines()[0][:60]!r}"


def _records(log: str) -> Iterator[tuple[str, str]]:
    """Levels and records; what stands before the first, or is none, is as loud as can be."""
    starts = [*_RECORD.finditer(log)]
    yield "STDERR", log[: starts[0].start() if starts else len(log)]
    for record, following in zip(starts, [*starts[1:], None], strict=True):
        yield record[1], log[record.start() : following.start() if following else len(log)]


def database(evidence: Evidence) -> Iterator[str]:
    """I8: the database is whole, nothing is left open, one active answer a conversation at most."""
    yield from evidence.kept.troubles
    active = Counter(
        row.where for row in evidence.kept.rows if row.lane == "answer" and row.state in ("generating", "sending")
    )
    for where, count in active.items():
        if count > 1:
            yield f"{count} active answers in {where}"
    left = [row for row in evidence.kept.rows if row.state in OPEN]
    if left and not evidence.unsettled:
        yield f"{len(left)} replies are open, such as {left[0].external_id} in {left[0].where}: {left[0].state}"
    for (where, id), count in Counter((row.where, row.external_id) for row in evidence.kept.rows).items():
        if count > 1:
            yield f"{id} in {where} has {count} replies"


CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I1": outcomes, "I2": once, "I3": stubs, "I4": order, "I5": history, "I6": settings, "I7": logs, "I8": database,
}  # fmt: skip
