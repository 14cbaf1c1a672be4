"""Discord's messages as the core's: which of them are addressed to the bot, and what they ask. Pure.

Addressed are private messages, mentions, replies that ping the bot, and everything in its own threads.
"""

import re
from collections.abc import Container
from dataclasses import dataclass

from discord import DMChannel, Member, Message, MessageSnapshot, MessageType, Thread, User
from discord.abc import GuildChannel

from bots.discord_bot.interaction_token import sent_at
from core.domain.conversation import Author, ChatId, Incoming
from core.inbound.question_text import Forward, QuestionParts, compose_question, join_around_name, with_forwards

PLATFORM = "discord"
MESSAGE_PREFIX, INTERACTION_PREFIX = "m:", "i:"
"""Begin the external ids of messages and of interactions."""

_WRITTEN_BY_PEOPLE = (MessageType.default, MessageType.reply)
_USER_MENTION = re.compile(r"<@!?(\d{1,20})>")
_CHANNEL_OR_EMOJI = re.compile(r"<#(\d{1,20})>|<(a?:\w{1,32}:)\d{1,20}>")


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """The bot's own account, and the threads that it was asked in."""

    id: int
    threads: Container[str]


def parse_message(message: Message, bot: BotIdentity) -> Incoming | None:
    """What a message says to the bot. None where it is not addressed to it, or nothing could be answered."""
    chat = conversation(message.channel)
    if chat is None or not _is_from_person(message) or not _is_addressed(message, chat, bot):
        return None
    forward = forward_of(message, bot)
    if forward is not None and forward.text:
        return _incoming(message, chat, bot, with_forwards("", [forward]))
    parts = QuestionParts(
        readable_text(message, bot), quoted=_quoted_text(message, bot), has_media=_has_media(message)
    )  # fmt: skip
    text = compose_question(parts)
    return _incoming(message, chat, bot, text) if text or isinstance(message.channel, DMChannel) else None


def forward_of(message: Message, bot: BotIdentity) -> Forward | None:
    """What a message forwards; None for one that people wrote. Discord does not tell whose words they are."""
    return Forward("", readable_text(message, bot)) if message.message_snapshots and not message.content else None


def as_if_addressed(message: Message, bot: BotIdentity) -> Incoming | None:
    """What a message that forwards another is by itself, if it is for the bot; None for one of no person or no
    conversation."""
    chat, forward = conversation(message.channel), forward_of(message, bot)
    if chat is None or forward is None or not _is_from_person(message):
        return None
    return _incoming(message, chat, bot, with_forwards("", [forward]) if forward.text else "")


def _has_media(message: Message) -> bool:
    shown: list[Message | MessageSnapshot] = [message, *message.message_snapshots]
    return any(each.attachments or each.stickers for each in shown)


def _incoming(message: Message, chat: ChatId, bot: BotIdentity, text: str) -> Incoming:
    return Incoming(
        chat=chat,
        bot=str(bot.id),
        external_id=f"{MESSAGE_PREFIX}{message.id}",
        seq=message.id,
        author=person(message.author, message.guild.preferred_locale.value if message.guild else ""),
        text=text,
        private=isinstance(message.channel, DMChannel),
        at=sent_at(message.id),
        has_unseen_media=_has_media(message),
    )


def conversation(channel: object) -> ChatId | None:
    """The conversation of a channel. A thread belongs to its channel, whose settings it inherits. None for what is no
    place to talk in."""
    if isinstance(channel, Thread):
        return ChatId(PLATFORM, str(channel.parent_id), str(channel.id))
    if isinstance(channel, (DMChannel, GuildChannel)):
        return ChatId(PLATFORM, str(channel.id))
    return None


def person(user: Member | User, locale: str = "") -> Author:
    """Who wrote. A message doesn't say its author's language: the caller passes their server's in its place."""
    return Author(str(user.id), user.display_name, locale)


def _is_from_person(message: Message) -> bool:
    return not (message.author.bot or message.webhook_id) and message.type in _WRITTEN_BY_PEOPLE


def _is_addressed(message: Message, chat: ChatId, bot: BotIdentity) -> bool:
    if isinstance(message.channel, DMChannel) or _pings(message, bot):
        return True
    if not isinstance(message.channel, Thread) or message.mentions:
        return False  # in a thread too, a message to another person is not for the bot
    own = message.channel.owner_id == bot.id or chat.thread in bot.threads
    return own and bool(_raw_text(message) or message.attachments or message.stickers)


def _pings(message: Message, bot: BotIdentity) -> bool:
    """Whether it pings the bot: by its name, by a reply, or by the role that Discord made for it."""
    by_role = any(role.id == _own_role(message) for role in message.role_mentions)
    return by_role or any(user.id == bot.id for user in message.mentions)


def _raw_text(message: Message) -> str:
    """Its own text, or else that of the messages that it forwards."""
    forwarded = [snapshot.content for snapshot in message.message_snapshots]
    return message.content or "\n\n".join(filter(None, forwarded))


def readable_text(message: Message, bot: BotIdentity) -> str:
    """Its text as people see it: without the bot's name, with other names and channels spelt out."""
    left, *rest = re.split(rf"<@!?{bot.id}>|<@&{_own_role(message)}>", _raw_text(message))
    for right in rest:
        left = join_around_name(left, right)
    names = {user.id: user.display_name for user in message.mentions}
    text = _USER_MENTION.sub(lambda mention: f"@{names.get(int(mention[1]), mention[1])}", left)
    return _CHANNEL_OR_EMOJI.sub(lambda match: _spelt_out(message, match), text).strip()


def _quoted_text(message: Message, bot: BotIdentity) -> str:
    """The text of the message that it replies to; "" for one of the bot's own, which the history has."""
    reference = message.reference.resolved if message.reference else None
    if not isinstance(reference, Message) or reference.author.id == bot.id:
        return ""
    return readable_text(reference, bot)


def _own_role(message: Message) -> int:
    role = message.guild.self_role if message.guild else None
    return role.id if role else 0


def _spelt_out(message: Message, match: re.Match[str]) -> str:
    if match[2]:
        return f":{match[2].split(':')[1]}:"
    channel = message.guild.get_channel_or_thread(int(match[1])) if message.guild else None
    return f"#{channel.name}" if channel else "#?"
