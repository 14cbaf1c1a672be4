"""What is read of a slash command, a menu on a message, or a form. Pure."""

from collections.abc import Mapping
from typing import Any

from discord import Interaction, Thread
from discord.app_commands import Choice

from bots.discord_bot.incoming import INTERACTION_PREFIX, PLATFORM, conversation, person
from bots.discord_bot.interaction_token import PERSONAL_PREFIX, InteractionToken, sent_at
from core.commands.context import Command
from core.commands.registry import COMMANDS, find
from core.domain.conversation import Author, ChatId, Incoming, OptionValue
from core.i18n import t

MAX_CHOICES = 25
"""Suggestions that Discord shows while an option is typed."""

OptionValues = Mapping[str, OptionValue]
NO_OPTIONS: OptionValues = {}


def command_of(interaction: Interaction[Any]) -> Command | None:
    """The command that was given; None for one that there is no more."""
    data: Mapping[str, Any] = interaction.data or {}
    return find(str(data.get("name", "")))


def option_values(interaction: Interaction[Any]) -> OptionValues:
    """The values of a command's options by name, with the types that Discord gives them."""
    data: Mapping[str, Any] = interaction.data or {}
    values = {str(option["name"]): option.get("value") for option in data.get("options", ())}
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float))}


def suggestions(typed: str, language: str) -> list[Choice[str]]:
    """Commands whose names begin with what is typed so far, then those whose names contain it."""
    start = typed.strip().removeprefix("/").lower()
    rows = [(command.name, t(language, f"slash.{command.name}")) for command in COMMANDS]
    begin = [row for row in rows if any(name.startswith(start) for name in row)]
    contain = [row for row in rows if row not in begin and any(start in name for name in row)]
    return [Choice(name=f"/{local}", value=name) for name, local in [*begin, *contain]][:MAX_CHOICES]


def menu_target(interaction: Interaction[Any]) -> tuple[int, str]:
    """The id and the text of the message that a menu was opened on; of a forwarding one, the text that it forwards."""
    data: Mapping[str, Any] = interaction.data or {}
    message_id = int(data.get("target_id", 0))
    message = data.get("resolved", {}).get("messages", {}).get(str(message_id), {})
    forwarded = [snapshot.get("message", {}).get("content", "") for snapshot in message.get("message_snapshots", ())]
    return message_id, (message.get("content", "") or "\n\n".join(filter(None, forwarded))).strip()


def form_text(data: Mapping[str, Any]) -> str:
    """What was typed into a form's only field."""
    for row in data.get("components", ()):
        for field in (row.get("component"), *row.get("components", ())):
            if field and "value" in field:
                return str(field["value"]).strip()
    return ""


def to_incoming(
    interaction: Interaction[Any], text: str, options: OptionValues = NO_OPTIONS, *, hidden: bool, alone: bool
) -> Incoming | None:
    """A command, or a question from a form, as a message to the core. None where it has no place to be answered in.

    `text`: the command as a person would write it. `options`: its typed values. `hidden`: only the person who gave it
    sees the answer. `alone`: it belongs to a conversation of their own.
    """
    place = place_of(interaction, alone=alone)
    if place is None:
        return None
    chat, private = place
    token = InteractionToken(interaction.id, interaction.token, hidden, outside=is_outside(interaction))
    return Incoming(
        chat=chat,
        bot=str(interaction.application_id),
        external_id=f"{INTERACTION_PREFIX}{interaction.id}",
        seq=0,  # no message: it says nothing of how far the channel has been read
        author=author_of(interaction),
        text=text,
        private=private,
        at=sent_at(interaction.id),
        reply_token=token.encode(),
        options=options,
    )


def author_of(interaction: Interaction[Any]) -> Author:
    """Who used it, with the language of their client."""
    return person(interaction.user, interaction.locale.value)


def place_of(interaction: Interaction[Any], *, alone: bool = False) -> tuple[ChatId, bool] | None:
    """The conversation, and whether it is private. Where the bot is no member, every person has one of their own. None
    where Discord names no channel."""
    channel = interaction.channel
    if channel is None:
        return None
    own = ChatId(PLATFORM, str(channel.id), f"{PERSONAL_PREFIX}{interaction.user.id}")
    if is_foreign(interaction) or (alone and interaction.guild_id):
        return own, True
    chat = conversation(channel)
    return (chat, interaction.guild_id is None) if chat else (own, True)


def is_outside(interaction: Interaction[Any]) -> bool:
    """Whether the bot can't write there without the interaction's token."""
    if is_foreign(interaction):
        return True
    if interaction.guild_id is None:
        return False
    may = interaction.app_permissions
    may_write = may.send_messages_in_threads if isinstance(interaction.channel, Thread) else may.send_messages
    return not (may.view_channel and may_write)


def is_foreign(interaction: Interaction[Any]) -> bool:
    """Whether the bot is no member there: in another server, or between people."""
    if interaction.guild_id is None:
        return not in_own_messages(interaction)
    # A server can have installed the commands without the bot.
    is_member = interaction.client.get_guild(interaction.guild_id) is not None
    return not (is_member and interaction.is_guild_integration())


def in_own_messages(interaction: Interaction[Any]) -> bool:
    """Whether it comes from a person's private messages with the bot."""
    return interaction.guild_id is None and bool(interaction.context.dm_channel)


def press_token(interaction: Interaction[Any]) -> InteractionToken:
    """The token of a press. What is said in response is for the person who pressed alone."""
    outside = is_outside(interaction)
    return InteractionToken(interaction.id, interaction.token, hidden=True, pressed=True, outside=outside)
