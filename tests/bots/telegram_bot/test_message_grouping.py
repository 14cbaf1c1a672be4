"""Joining: what is one paste, what is one album, and what may still grow."""

import random
from itertools import chain, count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from telegram import Update

from bots.telegram_bot.incoming import CUT_TEXT_MIN_UNITS
from bots.telegram_bot.message_grouping import MAX_PIECES, group_updates
from tests.tables import each_row

Json = dict[str, Any]

GROUP: Json = {"id": -100, "type": "supergroup", "title": "Group"}
HIDDEN: Json = {"type": "hidden_user", "date": 1, "sender_user_name": "x"}
COMMAND: Json = {"entities": [{"type": "bot_command", "offset": 0, "length": 5}]}
LONG, SHORT = "x" * CUT_TEXT_MIN_UNITS, "end"
TOPIC: Json = {"message_thread_id": 77, "is_topic_message": True}


def said(number: int, text: str = SHORT, by: int = 7, at: int = 0, **more: Any) -> Update:
    """An update whose message has the update's number as its own; its sender is nobody with `by` 0."""
    message: Json = {"message_id": number, "date": 1_700_000_000 + at, "chat": GROUP, "text": text}
    if by:
        message["from"] = {"id": by, "is_bot": False, "first_name": "x"}
    made = Update.de_json({"update_id": number, "message": {**message, **more}}, None)
    assert made is not None
    return made


def piece(number: int, album: str = "a", **more: Any) -> Update:
    photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
    return said(number, "", media_group_id=album, photo=photo, **more)


def note(number: int) -> Json:
    """What every message of a topic replies to."""
    created = {"forum_topic_created": {"name": "T", "icon_color": 1}}
    return {"message_id": number, "date": 1, "chat": GROUP, **created}


def reply(number: int) -> Json:
    return {"reply_to_message": {"message_id": number, "date": 1, "chat": GROUP, "text": "x"}}


def ids(*updates: Update, last_call: bool = False) -> tuple[list[list[int]], int | None]:
    grouped = group_updates(updates, range(10**9) if last_call else ())
    waiting = [group[0].update_id for group in grouped.waiting]
    return [[update.update_id for update in group] for group in grouped.groups], min(waiting, default=None)


@each_row(
    ("first", "second", "joined"),
    [
        (said(1, LONG), said(2), True),
        (said(1, "x" * (CUT_TEXT_MIN_UNITS - 1)), said(2), False),
        (said(1, "😀" * (CUT_TEXT_MIN_UNITS // 2)), said(2), True),
        (said(1, LONG, at=0), said(2, at=2), True),
        (said(1, LONG, at=0), said(2, at=3), False),
        (said(1, LONG, at=1), said(2, at=0), False),
        (said(1, LONG), said(2, by=8), False),
        (said(1, LONG), said(2, chat={**GROUP, "id": -200}), False),
        (said(1, LONG, **TOPIC), said(2), False),
        (said(1, LONG, **TOPIC), said(2, **{**TOPIC, "message_thread_id": 78}), False),
        (said(1, LONG, **TOPIC), said(2, **TOPIC), True),
        (said(1, LONG), said(2, sender_chat={"id": -300, "type": "channel", "title": "x"}), False),
        (said(1, LONG, by=0), said(2, by=0), True),
        (said(1, LONG), said(2, forward_origin=HIDDEN), False),
        (said(1, LONG, forward_origin=HIDDEN), said(2), False),
        (said(1, LONG), said(2, via_bot={"id": 9, "is_bot": True, "first_name": "x"}), False),
        (said(1, LONG), said(2, message_id=1), False),
        (said(1, LONG), said(2, "/stop", **COMMAND), False),
        (said(1, f"/system {LONG}", **COMMAND), said(2), True),
        (said(1, LONG), said(2, "/stop is what I said"), True),
        (said(1, LONG), piece(2), False),
        (said(1, LONG), said(2, **reply(900)), False),
        (said(1, LONG), said(2, **reply(1)), True),
        (said(1, LONG, **reply(900)), said(2, **reply(900)), True),
        (said(1, LONG, **reply(900)), said(2), True),
        (said(1, LONG, **reply(900)), said(2, **reply(901)), False),
        (said(1, LONG, **TOPIC, **reply(900)), said(2, **TOPIC, reply_to_message=note(77)), True),
        (piece(1), piece(2), True),
        (piece(1, at=0), piece(2, at=9), True),
        (piece(1), piece(2, "b"), False),
        (piece(1), piece(2, by=8), False),
        (piece(1), said(2), False),
        (said(1), said(2), False),
    ],
)
def test_what_is_one(first: Update, second: Update, joined: bool) -> None:
    assert ids(first, second, last_call=True) == ([[1, 2]] if joined else [[1], [2]], None)


def test_what_others_say_in_between_does_not_matter() -> None:
    batch = [said(1, LONG), said(2, by=8), said(3, LONG), Update(4), said(5), said(6)]
    assert ids(*batch) == ([[1, 3, 5], [2], [4], [6]], None)


def test_what_the_sender_says_in_between_does() -> None:
    assert ids(said(1, LONG), said(2, "/stop", **COMMAND), said(3)) == ([[1], [2], [3]], None)


@each_row(
    ("batch", "groups", "waiting"),
    [
        ([said(1, LONG)], [], 1),
        ([said(1, LONG), said(2, LONG)], [], 1),
        ([said(1, LONG), said(2)], [[1, 2]], None),
        ([said(1, LONG), said(2, at=5)], [[1], [2]], None),
        ([said(1, LONG), said(2, by=8)], [[2]], 1),
        ([said(1), said(2, LONG), said(3, by=8)], [[1], [3]], 2),
        ([said(1, LONG, by=8), said(2, LONG)], [], 1),
        ([said(1, LONG, by=8), said(2, LONG), said(3, by=8)], [[1, 3]], 2),
        ([piece(1), piece(2)], [], 1),
        ([piece(1), said(2)], [[1], [2]], None),
        ([said(1, LONG, forward_origin=HIDDEN)], [[1]], None),
        ([], [], None),
    ],
)
def test_what_may_still_grow_is_waited_for(batch: list[Update], groups: list[list[int]], waiting: int | None) -> None:
    assert ids(*batch) == (groups, waiting)
    complete, nothing = ids(*batch, last_call=True)
    assert nothing is None and sorted(chain(*complete)) == [update.update_id for update in batch]


def test_a_paste_ends_somewhere() -> None:
    batch = [said(number, LONG) for number in range(1, MAX_PIECES + 2)]
    assert ids(*batch[:-1]) == ([list(range(1, MAX_PIECES + 1))], None)
    assert ids(*batch) == ([list(range(1, MAX_PIECES + 1))], MAX_PIECES + 1)


def test_order_and_duplicates_of_the_batch_do_not_matter() -> None:
    assert ids(said(3), said(1, LONG), said(2, by=8), said(3), said(1, LONG)) == ([[1, 3], [2]], None)


ANY = st.builds(
    lambda long, by, at, album: {"text": LONG if long else SHORT, "by": by, "at": at, "album": album},
    st.booleans(), st.sampled_from([7, 8]), st.integers(0, 9), st.sampled_from(["", "", "a", "b"]),
)  # fmt: skip


@given(st.lists(ANY, max_size=12), st.booleans(), st.integers())
def test_nothing_is_lost_or_doubled(kinds: list[Json], last_call: bool, seed: int) -> None:
    numbers = count(1)
    batch = [
        piece(next(numbers), kind["album"], by=kind["by"])
        if kind["album"]
        else said(next(numbers), kind["text"], kind["by"], kind["at"])
        for kind in kinds
    ]
    groups, waiting = ids(*batch, last_call=last_call)
    out = list(chain(*groups))
    assert len(out) == len(set(out)) and groups == sorted(groups)
    held = {update.update_id for update in batch} - set(out)
    assert min(held, default=None) == waiting
    assert not (last_call and held)
    shuffled = [*batch, *batch]
    random.Random(seed).shuffle(shuffled)
    assert ids(*shuffled, last_call=last_call) == (groups, waiting)


def test_one_that_has_waited_is_let_go_and_a_later_one_waits_on() -> None:
    first, second, fresh = said(1, LONG), said(2, by=8), said(3, LONG, by=9)
    grouped = group_updates([first, second, fresh], timed_out={1})
    assert (grouped.groups, grouped.waiting) == (((first,), (second,)), ((fresh,),))
    more = said(4, LONG)
    grouped = group_updates([first, second, fresh, more], timed_out={1})
    assert grouped.waiting == ((first, more), (fresh,)), "it has grown: another second"


def test_an_edit_waits_with_what_it_changes() -> None:
    """Taken before its message, it would be lost."""

    def edit(number: int, message: int) -> Update:
        content = {"message_id": message, "date": 1_700_000_000, "chat": GROUP, "text": SHORT}
        made = Update.de_json({"update_id": number, "edited_message": content}, None)
        assert made is not None
        return made

    assert ids(said(1), edit(2, 1)) == ([[1], [2]], None)
    assert ids(piece(1), edit(2, 1), said(3, by=8)) == ([[3]], 1)
    assert ids(piece(1), edit(2, 7)) == ([[2]], 1)
    assert ids(piece(1), edit(2, 1), last_call=True) == ([[1], [2]], None)
