"""Messages that are one question: a long paste, which clients cut into several, the pieces of an album, and forwarded
messages with a comment. Pure."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from telegram import Message, Update

from bots.telegram_bot.forwards import belongs_to_forwards, is_forward
from bots.telegram_bot.incoming import is_typed, may_be_piece

MAX_PIECES = 20
"""Messages that make up one question, at most."""
_MAX_PIECE_GAP_S = 2
"""Seconds between two pieces of one paste, at most."""

_Sender = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Updates in groups; messages of one group are one question.

    `groups` are complete, in the order of their first updates. `waiting` are those whose next piece may still come,
    and the edits of messages in them.
    """

    groups: tuple[tuple[Update, ...], ...]
    waiting: tuple[tuple[Update, ...], ...]


def group_updates(updates: Sequence[Update], timed_out: Container[int]) -> Grouped:
    """Group the updates of a batch, which may be in any order and hold some twice.

    `timed_out` holds ids of updates: a group whose last update is among them has been waited for long enough.
    """
    groups: list[list[Update]] = []
    latest: dict[_Sender, list[Update]] = {}
    """Each sender's last group: the only one that their next message can continue."""
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
    growing = [group for group in latest.values() if _may_grow(group) and group[-1].update_id not in timed_out]
    waiting = {id(group) for group in growing} | {id(group) for group in groups if _edits_one_of(growing, group[0])}
    return Grouped(
        groups=tuple(tuple(group) for group in groups if id(group) not in waiting),
        waiting=tuple(tuple(group) for group in groups if id(group) in waiting),
    )


def _edits_one_of(groups: Sequence[Sequence[Update]], update: Update) -> bool:
    """Whether it edits one of their messages: it must not be stored before them."""
    edited = update.edited_message
    return edited is not None and any(
        piece.message is not None and _key(piece.message) == _key(edited) for group in groups for piece in group
    )


def _key(message: Message) -> tuple[int, int]:
    return message.chat.id, message.message_id


def _sender(message: Message) -> _Sender:
    """Chat and writer: what others write in between does not matter."""
    user, chat = message.from_user, message.sender_chat
    return message.chat.id, user.id if user else 0, chat.id if chat else 0


def _may_grow(group: Sequence[Update]) -> bool:
    last = group[-1].message
    return len(group) < MAX_PIECES and may_be_piece(last)


def _continues(group: Sequence[Update], message: Message) -> bool:
    messages = [update.message for update in group if update.message is not None]
    if len(group) < MAX_PIECES and belongs_to_forwards(messages, message):
        return True
    first, last = messages[0], messages[-1]
    if is_forward(first) or is_forward(last) or not _may_grow(group):
        return False
    if last.media_group_id or message.media_group_id:
        return last.media_group_id == message.media_group_id
    return (
        is_typed(message)
        and _follows(last, message)
        and _replied_to(message) in (None, first.message_id, _replied_to(first))
    )


def _follows(last: Message, message: Message) -> bool:
    """Whether it comes soon after `last`, in the same topic, and is no command."""
    same_topic = (last.message_thread_id, last.is_topic_message) == (
        message.message_thread_id,
        message.is_topic_message,
    )
    seconds = (message.date - last.date).total_seconds()
    is_command = any(entity.offset == 0 and entity.type == "bot_command" for entity in message.entities)
    return same_topic and 0 <= seconds <= _MAX_PIECE_GAP_S and message.message_id > last.message_id and not is_command


def _replied_to(message: Message) -> int | None:
    """The message that it replies to. Every message of a topic "replies" to the note of its creation."""
    replied = message.reply_to_message
    return None if replied is None or replied.forum_topic_created else replied.message_id
