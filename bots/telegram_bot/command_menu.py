"""What Telegram's menus and the bot's profile show, in English and Vietnamese; only what changed is sent."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from telegram import (
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotDescription,
    BotShortDescription,
)

from core.commands.context import Command
from core.commands.registry import COMMANDS
from core.i18n import t

log = logging.getLogger(__name__)

Scope = Literal["all_private_chats", "all_group_chats", "all_chat_administrators"]
Menu = tuple[tuple[str, str], ...]

SCOPES: Mapping[Scope, BotCommandScope] = {
    "all_private_chats": BotCommandScopeAllPrivateChats(),
    "all_group_chats": BotCommandScopeAllGroupChats(),
    "all_chat_administrators": BotCommandScopeAllChatAdministrators(),
}
LANGUAGES = ("", "vi")
"""As Telegram names them: "" is for everybody whose language has nothing of its own, and gets English."""


class Account(Protocol):
    """The calls that read and change menus and profile; telegram.Bot has them."""

    async def get_my_commands(
        self, scope: BotCommandScope | None = None, language_code: str | None = None
    ) -> tuple[BotCommand, ...]: ...

    async def set_my_commands(
        self,
        commands: Sequence[tuple[str, str]],
        scope: BotCommandScope | None = None,
        language_code: str | None = None,
    ) -> bool: ...

    async def get_my_description(self, language_code: str | None = None) -> BotDescription: ...

    async def set_my_description(self, description: str | None = None, language_code: str | None = None) -> bool: ...

    async def get_my_short_description(self, language_code: str | None = None) -> BotShortDescription: ...

    async def set_my_short_description(
        self, short_description: str | None = None, language_code: str | None = None
    ) -> bool: ...


def menu(scope: Scope, language: str) -> Menu:
    """Name and description of the commands to offer."""
    return tuple(
        (command.name, _say(language, f"about.{command.name}").replace("`", ""))
        for command in COMMANDS
        if _offered(command, scope)
    )


def _offered(command: Command, scope: Scope) -> bool:
    """In private everything; in groups no greeting, and to members nothing that only admins may use to the full."""
    if scope == "all_private_chats":
        return True
    admins_only = command.admins_only or command.changes_settings
    return command.name != "start" and (scope == "all_chat_administrators" or not admins_only)


def _say(language: str, key: str) -> str:
    return t(language or "en", key)


async def publish(bot: Account) -> int:
    """Make menus and profile what they should be; the number of calls that changed something.

    The bot works without them: a failure is a line in the log, and the next start tries again.
    """
    changed = 0
    try:
        for language in LANGUAGES:
            for scope in SCOPES:
                changed += await _commands(bot, scope, language)
            changed += await _description(bot, language)
            changed += await _short_description(bot, language)
    except Exception as error:  # also what a library makes of an answer that it did not expect
        log.warning("menus not updated: %s", type(error).__name__)
    return changed


async def _commands(bot: Account, scope: Scope, language: str) -> bool:
    shown = await bot.get_my_commands(SCOPES[scope], language)
    wanted = menu(scope, language)
    if wanted == tuple((command.command, command.description) for command in shown):
        return False
    return await bot.set_my_commands(wanted, SCOPES[scope], language)


async def _description(bot: Account, language: str) -> bool:
    wanted = _say(language, "profile.description")
    if (await bot.get_my_description(language)).description == wanted:
        return False
    return await bot.set_my_description(wanted, language)


async def _short_description(bot: Account, language: str) -> bool:
    wanted = _say(language, "profile.short")
    if (await bot.get_my_short_description(language)).short_description == wanted:
        return False
    return await bot.set_my_short_description(wanted, language)
