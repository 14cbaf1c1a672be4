"""Reads an answer to getUpdates update by update, so that one that can't be read holds up no other: it is logged by its
number and kind, and set aside. An answer that is one plain question, or one press, is read without the library."""

import json
import logging
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from telegram import Bot, Update
from telegram.error import TelegramError

from bots.telegram_bot.group_forwards import GroupForward, with_group_forward
from bots.telegram_bot.incoming import (
    CUT_TEXT_MIN_UNITS,
    PLATFORM,
    BotAccount,
    ChatlessPress,
    EditedMessage,
    Membership,
    Migration,
    Parsed,
    may_be_piece,
    parse_updates,
)
from bots.telegram_bot.message_grouping import Grouped, group_updates
from bots.wire_validation import has_valid_fields, is_id
from core.commands.button_payloads import ActionPayload, SettingPayload, decode_payload
from core.commands.press import Press
from core.domain.conversation import Author, ChatId, Incoming

log = logging.getLogger(__name__)

_FIELD_NAME = re.compile(r"[a-z_]{1,40}", re.ASCII)
_MAX_UPDATE_ID = 2**53
"""An update's id is below it, or could not be confirmed."""
_PLAIN_RESTS: tuple[object, ...] = ({}, {"entities": []})
"""What a plain question may have besides the fields that are read of it."""
_MAX_PLAIN_NUMBER = 2**53
_MAX_PLAIN_DATE = 2**33
"""All ids and dates of plain updates lie below, which Telegram promises."""


def answer_items(payload: bytes) -> list[Any]:
    """The updates of an answer, as JSON. Raises TelegramError where the payload is no answer, and nothing else."""
    try:
        items = json.loads(payload.decode("utf-8", "replace"))["result"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise TelegramError("an answer that can't be read") from error
    if not isinstance(items, list):
        raise TelegramError("an answer without updates")
    return items


def plain_question(items: Sequence[Any], account: BotAccount) -> Incoming | None:
    """The question, where an answer is one update, and that a plain text in a private chat: what most updates are.

    The same as what parse_updates makes of it. None for all that has, or may have, more to it: another field, a type
    that Telegram does not promise, a command, a text that is long enough to be cut.
    """
    match items:
        case [
            {
                "update_id": number,
                "message": {
                    "message_id": seq,
                    "date": date,
                    "text": str(text),
                    "from": {"is_bot": False, **person},
                    "chat": {"id": chat, "type": "private"},
                    **message_rest,
                },
                **update_rest,
            }
        ] if not update_rest and message_rest in _PLAIN_RESTS:
            author = _plain_author(person)
        case _:
            return None
    if not all(type(each) is int and 0 < each < _MAX_PLAIN_NUMBER for each in (number, seq, chat)):
        return None
    if type(date) is not int or not 0 < date < _MAX_PLAIN_DATE or author is None or author.id == str(account.id):
        return None
    if text.lstrip()[:1] in ("", "/") or 2 * len(text) >= CUT_TEXT_MIN_UNITS:  # a character is two units at most
        return None
    return Incoming(
        chat=ChatId(PLATFORM, str(chat)),
        bot=str(account.id),
        external_id=f"m:{chat}:{seq}",
        seq=seq,
        author=author,
        text=text,
        private=True,
        at=date * 1000,
    )


def plain_press(items: Sequence[Any], account: BotAccount, now_ms: int) -> Press | None:
    """The press, where an answer is one update, and that a press on a button of a message of the bot's own.

    The same as what parse_updates makes of it, but nothing is read of the message's entities and buttons. None for
    everything else: a topic, a message that Telegram does not show any more, a button that was never ours.
    """
    match items:
        case [
            {
                "update_id": number,
                "callback_query": {
                    "id": str(id),
                    "data": str(data),
                    "from": {**person},
                    "message": {
                        "message_id": seq,
                        "date": date,
                        "text": str(text),
                        "from": {"id": account.id},
                        "chat": {"id": chat, "type": "private" | "group" | "supergroup" as kind},
                        **message_rest,
                    },
                },
                **update_rest,
            }
        ] if not update_rest and "is_topic_message" not in message_rest:
            author, payload = _plain_author(person), decode_payload(data)
        case _:
            return None
    if not all(type(each) is int and 0 < abs(each) < _MAX_PLAIN_NUMBER for each in (number, seq, chat)):
        return None
    if min(number, seq) < 0 or type(date) is not int or not 0 < date < _MAX_PLAIN_DATE or author is None:
        return None
    if not (isinstance(payload, ActionPayload) or (isinstance(payload, SettingPayload) and payload.value)):
        return None
    return Press(
        id=id,
        chat=ChatId(PLATFORM, str(chat)),
        message_id=str(seq),
        author=author,
        private=kind == "private",
        bot=str(account.id),
        at=now_ms,
        payload=payload,
        seq=seq,
        message_text=text,
    )


def _plain_author(person: Mapping[Any, Any]) -> Author | None:
    """The person; None for one whose fields have types that Telegram does not promise."""
    number, name = person.get("id"), person.get("first_name")
    last_name, locale = person.get("last_name", ""), person.get("language_code", "")
    if type(number) is not int or not 0 < number < _MAX_PLAIN_NUMBER or not name:
        return None
    if not all(isinstance(each, str) for each in (name, last_name, locale)):
        return None
    return Author(str(number), f"{name} {last_name}" if last_name else name, locale)


def decode_updates(items: Iterable[Any], bot: Bot) -> list[Update]:
    """The updates of an answer, each read by itself: the library would lose the whole batch over one that it can't
    read. In place of such a one stands an empty update, which still has to be confirmed."""
    updates = list[Update]()
    for item in items:
        number = item.get("update_id") if isinstance(item, dict) else None
        if type(number) is not int or not 0 <= number < _MAX_UPDATE_ID:
            log.error("an update without a number, set aside")
            continue
        try:
            updates.append(Update.de_json(item, bot) or Update(number))
        except Exception as error:  # whatever a library does with data that it did not expect
            log.error("update %s (%s) can't be read, set aside: %s", number, _kind(item), type(error).__name__)
            updates.append(Update(number))
    return updates


def _kind(item: Mapping[str, Any]) -> str:
    return ", ".join(sorted(key for key in item if _FIELD_NAME.fullmatch(key) and key != "update_id"))[:100]


def group_safely(updates: Sequence[Update], timed_out: Container[int]) -> Grouped:
    """As message_grouping.group_updates; each update by itself where that fails."""
    try:
        if len(updates) == 1 and (updates[0].message is None or not may_be_piece(updates[0].message)):
            return Grouped((tuple(updates),), ())
        return group_updates(updates, timed_out)
    except Exception as error:
        log.error("updates can't be grouped: %s", type(error).__name__)
        return Grouped(tuple((update,) for update in updates), ())


def parse_safely(updates: Sequence[Update], account: BotAccount, now_ms: int) -> Parsed | GroupForward | None:
    """As incoming.parse_updates, with what is forwarded in groups; None where that fails: it would fail again, and hold
    up every other chat."""
    number = updates[0].update_id
    try:
        parsed = with_group_forward(updates, parse_updates(updates, account, now_ms), account)
        if parsed is None or _is_valid(parsed):
            return parsed
        log.error("update %s is none that Telegram sends, set aside", number)
    except Exception as error:
        log.error("update %s can't be parsed, set aside: %s", number, type(error).__name__)
    return None


def _is_valid(parsed: Parsed | GroupForward) -> bool:
    """Whether its fields have the types that Telegram promises. The library passes on whatever comes."""
    match parsed:
        case Incoming():
            return has_valid_fields(parsed)
        case EditedMessage(incoming) | GroupForward(incoming):
            return has_valid_fields(incoming)
        case Press(id, chat, message_id, author):
            return isinstance(id, str) and all(is_id(each) for each in (chat.chat, message_id, author.id))
        case ChatlessPress(id, author):
            return isinstance(id, str) and is_id(author.id)
        case Migration(old, new):
            return is_id(old) and is_id(new)
        case Membership(chat):
            return is_id(chat)
