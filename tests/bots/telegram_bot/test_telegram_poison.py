"""Updates that are none: whatever comes, nothing is raised, and what is understood can be stored."""

import itertools
import json
from typing import Any

import pytest
from telegram import Bot
from telegram.error import TelegramError

from bots.telegram_bot.decoding import (
    answer_items,
    decode_updates,
    group_safely,
    parse_safely,
    plain_press,
    plain_question,
)
from bots.telegram_bot.group_forwards import GroupForward
from bots.telegram_bot.incoming import EditedMessage, Parsed
from core.commands.press import Press
from core.domain.conversation import Incoming, NewReply
from core.domain.reply_states import Lane
from storage.store import DatabaseStore
from tests.bots.mutation import mutated
from tests.bots.telegram_bot.test_telegram_incoming import (
    ANN,
    ANONYMOUS,
    BOT,
    CHANNEL,
    GROUP,
    ME,
    NAMED,
    NOW_MS,
    PHOTO,
    PRIVATE,
    TOPIC,
    Json,
    captioned,
    said,
)  # fmt: skip
from tests.tables import each_row

SOMEBODYS: Json = {"reply_to_message": said("is it true?", by=BOT), "quote": {"text": "true", "position": 6}}
VALID: list[Json] = [
    {"message": said("hello", PRIVATE)},
    {"message": said(f"{NAMED} hello", **TOPIC, **SOMEBODYS)},
    {"message": said("/ask why?", by=ANONYMOUS, sender_chat=GROUP, author_signature="Boss")},
    {"message": captioned(f"{NAMED} what is it?", media_group_id="a")},
    {"message": said("", GROUP, migrate_to_chat_id=-200)},
    {"edited_message": said("hello?", PRIVATE, edit_date=1_700_000_100)},
    {"callback_query": {"id": "7", "from": ANN, "chat_instance": "x", "data": "a:s:1", "message": said("…", by=BOT)}},
    {"my_chat_member": {"chat": GROUP, "from": ANN, "date": 1, "old_chat_member": {"status": "member", "user": BOT},
                        "new_chat_member": {"status": "left", "user": BOT}}},
]  # fmt: skip
API = Bot("1:a")


def heard(*items: Any) -> list[Parsed | GroupForward]:
    """All of an answer to getUpdates that is for the bot; nothing is waited for."""
    updates = decode_updates(answer_items(json.dumps({"ok": True, "result": items}).encode()), API)
    groups = group_safely(updates, timed_out={update.update_id for update in updates}).groups
    return [parsed for group in groups if (parsed := parse_safely(group, ME, NOW_MS)) is not None]


def test_what_is_valid_is_understood() -> None:
    parsed = [each for number, valid in enumerate(VALID, 1) for each in heard({"update_id": number} | valid)]
    names = "Incoming Incoming Incoming Incoming Migration EditedMessage Press Membership"
    assert [type(each).__name__ for each in parsed] == names.split()


async def test_whatever_comes_nothing_is_raised(store: DatabaseStore) -> None:
    known: list[Incoming] = []
    for seed in range(4000):
        valid = {"update_id": seed + 1} | VALID[seed % len(VALID)]
        for parsed in heard(mutated(valid, seed), {"update_id": 5000, **VALID[0]}):
            if isinstance(parsed, (Incoming, EditedMessage)):
                known.append(parsed if isinstance(parsed, Incoming) else parsed.incoming)
            if isinstance(parsed, Press):
                assert isinstance(int(parsed.chat.chat) + int(parsed.message_id), int)
    assert len(known) > 4500, "the neighbours are heard"
    async with store.begin() as tx:
        once = {each.external_id: each.cleaned() for each in known}.values()
        await tx.inbox.add([NewReply(each, lane) for each, lane in zip(once, itertools.cycle(Lane), strict=False)])


PLAIN: Json = {"message_id": 5, "date": 1_700_000_000, "chat": PRIVATE, "from": ANN, "text": " hello\n"}


def test_a_plain_question_is_what_the_library_reads() -> None:
    plain = 0
    for seed in range(3000):
        item = json.loads(json.dumps(mutated({"update_id": 7, "message": PLAIN}, seed)))
        if (question := plain_question([item], ME)) is not None:
            plain += 1
            assert heard(item) == [question]
    assert plain > 100
    assert plain_question([{"update_id": 7, "message": PLAIN}], ME) is not None


@each_row(
    "changes",
    [{"text": "/help"}, {"text": " /help"}, {"text": " \n"}, {"text": "x" * 2000}, {"chat": GROUP}, {"from": BOT},
     {"entities": [{"type": "bold", "offset": 0, "length": 1}]}, {"reply_to_message": said("?", by=BOT)}, TOPIC,
     {"quote": {"text": "true", "position": 6}}, {"via_bot": BOT}, {"media_group_id": "a"}, {"new_field": 1},
     {"date": 0}, {"date": 2**40}, {"message_id": True}, {"from": ANN | {"id": ME.id}}, {"caption": "x"}],
)  # fmt: skip
def test_what_may_have_more_to_it_is_no_plain_question(changes: Json) -> None:
    assert plain_question([{"update_id": 7, "message": PLAIN | changes}], ME) is None


PANEL: Json = said(
    "Settings", PRIVATE, by=BOT, reply_markup={"inline_keyboard": [[{"text": "+", "callback_data": "n"}]]}
)
PLAIN_PRESS: Json = {"id": "77", "from": ANN, "chat_instance": "x", "message": PANEL, "data": "p:t:0.5:00000000"}


def test_a_plain_press_is_what_the_library_reads() -> None:
    plain = 0
    for seed in range(3000):
        item = json.loads(json.dumps(mutated({"update_id": 7, "callback_query": PLAIN_PRESS}, seed)))
        if (press := plain_press([item], ME, NOW_MS)) is not None:
            plain += 1
            assert heard(item) in ([press], []), "the library may fail at what is not read"
    assert plain > 100
    for message in (PANEL, PANEL | {"chat": GROUP}, PANEL | {"edit_date": 1_700_000_100}):
        for data in ("p:t:0.5:00000000", "a:s:1"):
            item = {"update_id": 7, "callback_query": PLAIN_PRESS | {"message": message, "data": data}}
            assert [plain_press([item], ME, NOW_MS)] == heard(item)


@each_row(
    "changes",
    [{"data": "n"}, {"data": "p:t:00000000"}, {"data": "junk"}, {"message": PANEL | TOPIC}, {"message": PLAIN},
     {"message": {"chat": GROUP, "message_id": 5, "date": 0}}, {"message": PANEL | {"chat": CHANNEL}}],
)  # fmt: skip
def test_what_may_have_more_to_it_is_no_plain_press(changes: Json) -> None:
    assert plain_press([{"update_id": 7, "callback_query": PLAIN_PRESS | changes}], ME, NOW_MS) is None


def test_what_is_plain_stands_alone() -> None:
    for one in ({"message": PLAIN}, {"callback_query": PLAIN_PRESS}):
        more, other = {"update_id": 7} | one, {"update_id": 8, "edited_message": PLAIN}
        for items in ([], [more, more], [other], [more | {"edited_message": PLAIN}], [one], [None], ["x"]):
            assert plain_question(items, ME) is None and plain_press(items, ME, NOW_MS) is None


@each_row(
    "payload",
    [b"", b"[]", b"nonsense", b"{}", b'{"result": {}}', b'{"result": null}', b"\xff\xfe", b"[" * 100_000,
     b'{"result": [' + b"1" * 5000 + b"]}"],
)  # fmt: skip
def test_what_is_no_answer_is_told_as_one_error(payload: bytes) -> None:
    with pytest.raises(TelegramError):
        answer_items(payload)


def test_an_update_without_a_number_holds_up_nobody() -> None:
    poison: list[Any] = [None, 1, "x", [], {}, {"update_id": "7"}, {"update_id": True}, {"update_id": 10**30},
                         {"update_id": -1}]  # fmt: skip
    assert len(heard(*poison, {"update_id": 1, "message": said("hello", PRIVATE)}, {"update_id": 2})) == 1
    unreadable = decode_updates([{"update_id": 3, "message": PHOTO}], API)
    assert [update.update_id for update in unreadable] == [3], "and is confirmed"
