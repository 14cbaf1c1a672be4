"""Forwarded messages in groups. They are for nobody, but a comment to the bot just before or behind makes them its
question's. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from telegram import Update
from telegram.constants import ChatType

from bots.telegram_bot.forwards import forward_of
from bots.telegram_bot.incoming import BotAccount, Parsed, author_of, chat_id
from core.domain.conversation import Incoming
from core.inbound.question_text import Forward, with_forwards


@dataclass(frozen=True, slots=True)
class GroupForward:
    """A message that somebody forwarded in a group. `incoming` is how it is asked by itself, if it is addressed to the
    bot."""

    incoming: Incoming
    forward: Forward
    is_addressed: bool


def with_group_forward(
    updates: Sequence[Update], parsed: Parsed | None, account: BotAccount
) -> Parsed | GroupForward | None:
    """The forwarded message that an update of a group is; else `parsed`, which is what the updates mean by
    themselves."""
    message = updates[0].message
    if len(updates) != 1 or message is None or message.forward_origin is None or message.chat.type == ChatType.PRIVATE:
        return parsed
    author, forward = author_of(message, account), forward_of(message)
    if author is None or message.media_group_id:
        return parsed
    incoming = parsed if isinstance(parsed, Incoming) else Incoming(
        chat=chat_id(message),
        bot=str(account.id),
        external_id=f"m:{message.chat.id}:{message.message_id}",
        seq=message.message_id,
        author=author,
        text=with_forwards("", [forward]),
        private=False,
        at=int(message.date.timestamp() * 1000),
    )  # fmt: skip
    return GroupForward(incoming, forward, is_addressed=isinstance(parsed, Incoming))
