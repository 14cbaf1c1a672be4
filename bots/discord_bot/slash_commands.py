"""The commands as Discord shows them, in English and Vietnamese, and what is read of one that was given. Pure."""

from collections.abc import Mapping
from typing import Any

from discord import Interaction, Thread
from discord.app_commands import Choice

from bots.discord_bot.incoming import PLATFORM, conversation, person
from bots.discord_bot.interaction_token import PERSONAL, Origin, sent_at
from core.commands.context import Command
from core.commands.registry import COMMANDS, find
from core.domain.conversation import Author, ChatId, Incoming
from core.i18n import t

CHOICES = 25


# What was given


def given(interaction: Interaction[Any]) -> tuple[Command | None, Mapping[str, object]]:
    """The command and the values of its options."""
    data: Mapping[str, Any] = interaction.data or {}
    values = {option["name"]: option.get("value") for option in data.get("options", ())}
    return find(str(data.get("name", ""))), values


def suggestions(typed: str, language: str) -> list[Choice[str]]:
    """Commands whose names begin as was typed, then those that have it in them."""
    wanted = typed.strip().removeprefix("/").lower()
    rows = [(command.name, t(language, f"slash.{command.name}")) for command in COMMANDS]
    begin = [row for row in rows if any(name.startswith(wanted) for name in row)]
    within = [row for row in rows if row not in begin and any(wanted in name for name in row)]
    return [Choice(name=f"/{shown}", value=name) for name, shown in [*begin, *within]][:CHOICES]


def target(interaction: Interaction[Any]) -> tuple[int, str]:
    """The message that a menu was opened on, with its text; of one that is passed on, what it passes on."""
    data: Mapping[str, Any] = interaction.data or {}
    message_id = int(data.get("target_id", 0))
    message = data.get("resolved", {}).get("messages", {}).get(str(message_id), {})
    passed_on = [snapshot.get("message", {}).get("content", "") for snapshot in message.get("message_snapshots", ())]
    return message_id, (message.get("content", "") or "\n\n".join(filter(None, passed_on))).strip()


def incoming(interaction: Interaction[Any], text: str, *, hidden: bool, alone: bool) -> Incoming | None:
    """A command, or what was typed into a form, for the core. None where there is no place to answer.

    `hidden`: only the asker sees what answers it. `alone`: it belongs to a conversation of his own.
    """
    place = place_of(interaction, alone=alone)
    if place is None:
        return None
    chat, private = place
    outside = is_outside(interaction)
    return Incoming(
        chat=chat,
        bot=str(interaction.application_id),
        external_id=f"i:{interaction.id}",
        seq=0,  # no message: it says nothing of how far the channel has been read
        author=author(interaction),
        text=text,
        private=private,
        at=sent_at(interaction.id),
        reply_token=str(Origin(interaction.id, interaction.token, hidden, outside=outside)),
    )


def typed(data: dict[str, Any]) -> str:
    """What was typed into a form's only field."""
    for row in data.get("components", ()):
        for field in (row.get("component"), *row.get("components", ())):
            if field and "value" in field:
                return str(field["value"]).strip()
    return ""


def author(interaction: Interaction[Any]) -> Author:
    """Who it comes from, in the language of his client."""
    return person(interaction.user, interaction.locale.value)


def place_of(interaction: Interaction[Any], *, alone: bool = False) -> tuple[ChatId, bool] | None:
    """The conversation, and whether it is private: where the bot is no member, everybody has one of his own."""
    channel = interaction.channel
    if channel is None:
        return None
    own = ChatId(PLATFORM, str(channel.id), f"{PERSONAL}{interaction.user.id}")
    if is_foreign(interaction) or (alone and interaction.guild_id):
        return own, True
    chat = conversation(channel)
    return (chat, interaction.guild_id is None) if chat else (own, True)


def is_outside(interaction: Interaction[Any]) -> bool:
    """Whether the bot can't write there by itself."""
    if is_foreign(interaction):
        return True
    if interaction.guild_id is None:
        return False
    may = interaction.app_permissions
    write = may.send_messages_in_threads if isinstance(interaction.channel, Thread) else may.send_messages
    return not (may.view_channel and write)


def is_foreign(interaction: Interaction[Any]) -> bool:
    """Whether it comes from where the bot is no member: another server, or people's own conversation."""
    if interaction.guild_id is None:
        return not in_own_messages(interaction)
    # A server can have taken in the commands without the bot.
    known = interaction.client.get_guild(interaction.guild_id) is not None
    return not (known and interaction.is_guild_integration())


def in_own_messages(interaction: Interaction[Any]) -> bool:
    """Whether it comes from a person's private messages with the bot."""
    return interaction.guild_id is None and bool(interaction.context.dm_channel)


def pressed(interaction: Interaction[Any]) -> Origin:
    """The origin of a press. What it is told is for the presser alone."""
    return Origin(interaction.id, interaction.token, hidden=True, pressed=True, outside=is_outside(interaction))
