"""Reads an answer to getUpdates update by update, so that one that can't be read holds up no other: it is logged by its
number and kind, and set aside."""

import json
import logging
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from telegram import Bot, Update
from telegram.error import TelegramError

from bots.telegram_bot.incoming import (
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
from core.commands.press import Press
from core.domain.conversation import Incoming

log = logging.getLogger(__name__)

_FIELD_NAME = re.compile(r"[a-z_]{1,40}", re.ASCII)
_MAX_UPDATE_ID = 2**53
"""An update's id is below it, or could not be confirmed."""


def decode_updates(payload: bytes, bot: Bot) -> list[Update]:
    """The updates of an answer, each read by itself: the library would lose the whole batch over one that it can't
    read. Raises TelegramError where the payload is no answer, and nothing else."""
    try:
        items = json.loads(payload.decode("utf-8", "replace"))["result"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise TelegramError("an answer that can't be read") from error
    if not isinstance(items, list):
        raise TelegramError("an answer without updates")
    return [update for item in items if (update := _decode(item, bot)) is not None]


def _decode(item: object, bot: Bot) -> Update | None:
    """An update; an empty one in place of one that can't be read, which still has to be confirmed."""
    number = item.get("update_id") if isinstance(item, dict) else None
    if not isinstance(item, dict) or type(number) is not int or not 0 <= number < _MAX_UPDATE_ID:
        log.error("an update without a number, set aside")
        return None
    try:
        if update := Update.de_json(item, bot):
            return update
    except Exception as error:  # whatever a library does with data that it did not expect
        log.error("update %s (%s) can't be read, set aside: %s", number, _kind(item), type(error).__name__)
    return Update(number)


def _kind(item: Mapping[str, Any]) -> str:
    return ", ".join(sorted(key for key in item if _FIELD_NAME.fullmatch(key) and key != "update_id"))[:100]


def group_safely(updates: Sequence[Update], timed_out: Container[int]) -> Grouped:
    """As message_grouping.group_updates; each update by itself where that fails."""
    try:
        if len(updates) == 1 and not may_be_piece(updates[0].message):
            return Grouped((tuple(updates),), ())
        return group_updates(updates, timed_out)
    except Exception as error:
        log.error("updates can't be grouped: %s", type(error).__name__)
        return Grouped(tuple((update,) for update in updates), ())


def parse_safely(updates: Sequence[Update], account: BotAccount, now_ms: int) -> Parsed | None:
    """As incoming.parse_updates; None where that fails: it would fail again, and hold up every other chat."""
    number = updates[0].update_id
    try:
        parsed = parse_updates(updates, account, now_ms)
        if parsed is None or (has_valid_fields(parsed) if isinstance(parsed, Incoming) else _is_valid(parsed)):
            return parsed
        log.error("update %s is none that Telegram sends, set aside", number)
    except Exception as error:
        log.error("update %s can't be parsed, set aside: %s", number, type(error).__name__)
    return None


def _is_valid(parsed: EditedMessage | Press | ChatlessPress | Migration | Membership) -> bool:
    """Whether its fields have the types that Telegram promises. The library passes on whatever comes."""
    match parsed:
        case EditedMessage(incoming):
            return has_valid_fields(incoming)
        case Press(id, chat, message_id, author):
            return isinstance(id, str) and all(is_id(each) for each in (chat.chat, message_id, author.id))
        case ChatlessPress(id, author):
            return isinstance(id, str) and is_id(author.id)
        case Migration(old, new):
            return is_id(old) and is_id(new)
        case Membership(chat):
            return is_id(chat)
