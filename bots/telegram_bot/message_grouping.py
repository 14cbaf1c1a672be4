"""What belongs together: a long paste, which clients cut into several messages, and the pieces of an album. Pure."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from telegram import Message, Update

from bots.telegram_bot.incoming import PIECE
from core.delivery.splitting import utf16

MOST = 20
"""Pieces of one question."""
_APART = 2
"""Seconds between two pieces of one paste, at most."""

_Sender = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Grouped:
    """A batch in groups that are one question each.

    `groups` are complete, in the order of their first updates; `waiting` are those whose continuation may still come,
    and the edits of what is in them.
    """

    groups: tuple[tuple[Update, ...], ...]
    waiting: tuple[tuple[Update, ...], ...]


def gather(updates: Sequence[Update], ripe: Container[int]) -> Grouped:
    """Put together what belongs together. Nothing is waited for behind an update whose id is `ripe`."""
    groups: list[list[Update]] = []
    latest: dict[_Sender, list[Update]] = {}
    """The last group of everybody who wrote: the only one that his next message can continue."""
    for update in sorted(
        {update.update_id: update for update in updates}.values(), key=lambda update: update.update_id
    ):
        message = update.message
        group = latest.get(_sender(message)) if message else None
        if message and group and _continues(group, message):
            group.append(update)
            continue
        groups.append([update])
        if message:
            latest[_sender(message)] = groups[-1]
    open_ = [group for group in latest.values() if _may_grow(group) and group[-1].update_id not in ripe]
    held = {id(group) for group in open_} | {id(group) for group in groups if _edits(group[0], open_)}
    complete = tuple(tuple(group) for group in groups if id(group) not in held)
    return Grouped(complete, tuple(tuple(group) for group in groups if id(group) in held))


def _edits(update: Update, groups: Sequence[Sequence[Update]]) -> bool:
    """Whether it changes one of their messages: it must not be taken before them."""
    edited = update.edited_message
    return edited is not None and any(
        piece.message is not None and _place(piece.message) == _place(edited) for group in groups for piece in group
    )


def _place(message: Message) -> tuple[int, int]:
    return message.chat.id, message.message_id


def _sender(message: Message) -> _Sender:
    """Chat and writer: what others say in between does not matter."""
    user, chat = message.from_user, message.sender_chat
    return message.chat.id, user.id if user else 0, chat.id if chat else 0


def _may_grow(group: Sequence[Update]) -> bool:
    last = group[-1].message
    return last is not None and len(group) < MOST and (bool(last.media_group_id) or _is_cut(last))


def _continues(group: Sequence[Update], message: Message) -> bool:
    first, last = group[0].message, group[-1].message
    if first is None or last is None or not _may_grow(group):
        return False
    if last.media_group_id or message.media_group_id:
        return last.media_group_id == message.media_group_id
    return (
        _is_plain(message)
        and _follows(last, message)
        and _answered(message) in (None, first.message_id, _answered(first))
    )


def _follows(last: Message, message: Message) -> bool:
    """Close behind `last`, in the same place, and no new beginning."""
    same = (last.message_thread_id, last.is_topic_message) == (message.message_thread_id, message.is_topic_message)
    seconds = (message.date - last.date).total_seconds()
    command = any(entity.offset == 0 and entity.type == "bot_command" for entity in message.entities)
    return same and 0 <= seconds <= _APART and message.message_id > last.message_id and not command


def _is_plain(message: Message) -> bool:
    """Text that its sender typed or pasted."""
    return bool(message.text) and message.forward_origin is None and message.via_bot is None


def _is_cut(message: Message) -> bool:
    return _is_plain(message) and utf16(message.text or "") >= PIECE


def _answered(message: Message) -> int | None:
    """The message that it replies to. All that is said in a topic "replies" to the note of its creation."""
    replied = message.reply_to_message
    return None if replied is None or replied.forum_topic_created else replied.message_id
