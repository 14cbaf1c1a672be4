"""Reading Discord's messages: what of them is addressed to the bot, as the nouns of the core. Pure.

Addressed are private messages, mentions, replies that ping the bot, and all that is said in its own threads.
"""

import re
from collections.abc import Container
from dataclasses import dataclass

from discord import DMChannel, Member, Message, MessageType, Thread, User
from discord.abc import GuildChannel

from bots.discord_bot.interaction_token import sent_at
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Author, ChatId, Incoming
from core.i18n import choose_language, t
from core.inbound.question_text import GREETING, join_around_name, with_quote

PLATFORM = "discord"

_TALK = (MessageType.default, MessageType.reply)
_PERSON = re.compile(r"<@!?(\d{1,20})>")
_OTHER = re.compile(r"<#(\d{1,20})>|<(a?:\w{1,32}:)\d{1,20}>")


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's own account, and the threads that it was asked in."""

    id: int
    threads: Container[str]


def read(message: Message, me: Me) -> Incoming | None:
    """What a message says. None: not addressed to the bot, or nothing that could be answered."""
    chat = conversation(message.channel)
    if chat is None or not _spoken(message) or not _addressed(message, chat, me):
        return None
    private = isinstance(message.channel, DMChannel)
    author = person(message.author, message.guild.preferred_locale.value if message.guild else "")
    text = _question(message, author, me)
    if not (text or private):
        return None
    return Incoming(
        chat=chat,
        bot=str(me.id),
        external_id=f"m:{message.id}",
        seq=message.id,
        author=author,
        text=text,
        private=private,
        at=sent_at(message.id),
    )


def conversation(channel: object) -> ChatId | None:
    """A thread belongs to its channel, whose settings it takes over. None for what is no place to talk in."""
    if isinstance(channel, Thread):
        return ChatId(PLATFORM, str(channel.parent_id), str(channel.id))
    if isinstance(channel, (DMChannel, GuildChannel)):
        return ChatId(PLATFORM, str(channel.id))
    return None


def person(user: Member | User, locale: str = "") -> Author:
    """Who wrote. Messages don't tell a person's language: his server's stands in for it."""
    return Author(str(user.id), user.display_name, locale)


def _spoken(message: Message) -> bool:
    """Whether a person said something."""
    return not (message.author.bot or message.webhook_id) and message.type in _TALK


def _addressed(message: Message, chat: ChatId, me: Me) -> bool:
    if isinstance(message.channel, DMChannel) or _named(message, me):
        return True
    if not isinstance(message.channel, Thread) or message.mentions:
        return False  # in a thread too, who speaks to somebody else does not speak to the bot
    own = message.channel.owner_id == me.id or chat.thread in me.threads
    return own and bool(_says(message) or message.attachments or message.stickers)


def _named(message: Message, me: Me) -> bool:
    """Whether it pings the bot: by its name, by a reply, or by the role that Discord made for it."""
    by_role = any(role.id == _own_role(message) for role in message.role_mentions)
    return by_role or any(user.id == me.id for user in message.mentions)


def _says(message: Message) -> str:
    """Its words, or those that it passes on."""
    passed_on = [snapshot.content for snapshot in message.message_snapshots]
    return message.content or "\n\n".join(filter(None, passed_on))


def _question(message: Message, author: Author, me: Me) -> str:
    """The text for the core; "" for nothing that a model could answer."""
    text = words(message, me)
    line = parse_command(text) or CommandLine("", text)
    name, asked = line.name, line.argument
    if name and not message.content:
        return f"/ask {text}"  # somebody else's command: no order of whoever passes it on
    if name not in ("", "ask"):
        return text
    body = with_quote(asked, replied(message, me))
    seen = not (message.attachments or message.stickers)
    if not (body or name):
        return GREETING if seen else ""
    if body and not seen:
        body += "\n\n" + t(choose_language("auto", author.locale), "media.unseen")
    # A command that somebody else wrote is a question here, not an order of whoever points at it.
    head = f"/{name}" if name else "/ask" if not asked and parse_command(body) else ""
    return f"{head} {body}".strip()


def words(message: Message, me: Me) -> str:
    """Its text as people see it: without the bot's name, others' names and channels spelt out."""
    left, *rest = re.split(rf"<@!?{me.id}>|<@&{_own_role(message)}>", _says(message))
    for right in rest:
        left = join_around_name(left, right)
    names = {user.id: user.display_name for user in message.mentions}
    text = _PERSON.sub(lambda found: f"@{names.get(int(found[1]), found[1])}", left)
    return _OTHER.sub(lambda found: _spelt(message, found), text).strip()


def replied(message: Message, me: Me) -> str:
    """What the question is about and history may not have: somebody's message, but not the bot's own."""
    reference = message.reference.resolved if message.reference else None
    if not isinstance(reference, Message) or reference.author.id == me.id:
        return ""
    return words(reference, me)


def _own_role(message: Message) -> int:
    role = message.guild.self_role if message.guild else None
    return role.id if role else 0


def _spelt(message: Message, found: re.Match[str]) -> str:
    if found[2]:
        return f":{found[2].split(':')[1]}:"
    channel = message.guild.get_channel_or_thread(int(found[1])) if message.guild else None
    return f"#{channel.name}" if channel else "#?"
