"""What an answer to getUpdates brings, read so that no update holds up another: poison is told and set aside.

The top function is all of it in one: `everything`. The poller takes the same steps, and stores in between.
"""

import json
import logging
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from telegram import Bot, Update
from telegram.error import TelegramError

from bots.telegram_bot.incoming import Edited, Me, Moved, Press, Read, parse_updates
from bots.telegram_bot.message_grouping import Grouped, gather
from core.domain.conversation import Incoming
from core.inbound.storing import has_valid_fields, is_id

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z_]{1,40}", re.ASCII)
_MOST = 2**53
"""An update's id is below it, or none that could be confirmed."""


def everything(payload: bytes, bot: Bot, me: Me) -> list[Read]:
    """All that an answer says which is for the bot. Raises TelegramError where it is no answer, and nothing else."""
    groups = grouped(decoded(payload, bot), ripe=_ALL).groups
    return [said for group in groups if (said := parse_safely(group, me)) is not None]


def decoded(payload: bytes, bot: Bot) -> list[Update]:
    """The updates, read one by one: the library would lose the whole batch over one that it can't read."""
    try:
        items = json.loads(payload.decode("utf-8", "replace"))["result"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise TelegramError("an answer that can't be read") from error
    if not isinstance(items, list):
        raise TelegramError("an answer without updates")
    return [update for item in items if (update := _decoded(item, bot)) is not None]


def _decoded(item: object, bot: Bot) -> Update | None:
    """An update; an empty one in place of one that can't be read, which still has to be confirmed."""
    number = item.get("update_id") if isinstance(item, dict) else None
    if not isinstance(item, dict) or type(number) is not int or not 0 <= number < _MOST:
        log.error("an update without a number, set aside")
        return None
    try:
        if update := Update.de_json(item, bot):
            return update
    except Exception as error:  # whatever a library does with data that it did not expect
        log.error("update %s (%s) can't be read, set aside: %s", number, _kind(item), type(error).__name__)
    return Update(number)


def grouped(updates: Sequence[Update], ripe: Container[int]) -> Grouped:
    """What belongs together (see joining); where that can't be told, each by itself."""
    try:
        return gather(updates, ripe)
    except Exception as error:  # joining is a courtesy
        log.error("updates can't be put together: %s", type(error).__name__)
        return Grouped(tuple((update,) for update in updates), ())


def parse_safely(updates: Sequence[Update], me: Me) -> Read | None:
    """What they say; nothing, where reading them fails: tried again they would fail again, and hold up everybody."""
    number = updates[0].update_id
    try:
        said = parse_updates(updates, me)
        if said is None or _sound(said):
            return said
        log.error("update %s is none that Telegram sends, set aside", number)
    except Exception as error:
        log.error("update %s can't be understood, set aside: %s", number, type(error).__name__)
    return None


def _sound(said: Read) -> bool:
    """Whether it is made of what it should be made of. The library passes on whatever comes."""
    match said:
        case Incoming() as incoming:
            return has_valid_fields(incoming)
        case Edited(incoming):
            return has_valid_fields(incoming)
        case Press() as press:
            place = press.chat is None or (is_id(press.chat.chat) and is_id(press.message_id))
            return place and is_id(press.author.id) and isinstance(press.id, str) and isinstance(press.data, str)
        case Moved(old, new):
            return is_id(old) and is_id(new)
    return is_id(said.chat)


class _Everything(Container[int]):
    def __contains__(self, number: object) -> bool:
        return True


_ALL = _Everything()


def _kind(item: Mapping[str, Any]) -> str:
    return ", ".join(sorted(key for key in item if _NAME.fullmatch(key) and key != "update_id"))[:100]
