"""Telegram's command menus and the bot's profile, in English and Vietnamese. Only what changed is sent."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
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
from telegram.error import InvalidToken

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
"""As Telegram names them: "" is for everybody whose language has no menu of its own, and gets English."""


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
    """The commands that a scope offers, as name and description. `language` is one of LANGUAGES."""
    return tuple(
        (command.name, _text(language, f"about.{command.name}").replace("`", ""))
        for command in COMMANDS
        if _is_offered(command, scope)
    )


def _is_offered(command: Command, scope: Scope) -> bool:
    """Private chats are offered everything, groups no greeting, and their members nothing that needs an admin."""
    if scope == "all_private_chats":
        return True
    admins_only = command.admins_only or command.changes_settings
    return command.name != "start" and (scope == "all_chat_administrators" or not admins_only)


def _text(language: str, key: str) -> str:
    return t(language or "en", key)


async def publish_menus(bot: Account) -> int:
    """Bring menus and profile up to date; the number of calls that changed something.

    Raises nothing: the bot works without them, and the next start tries again.
    """
    updates = {
        "commands": [partial(_update_commands, bot, scope) for scope in SCOPES],
        "description": [partial(_update_description, bot)],
        "short description": [partial(_update_short_description, bot)],
    }
    changed, unknown = 0, set[str]()
    try:
        for language in LANGUAGES:
            for name, calls in updates.items():
                for call in calls:
                    try:
                        changed += await call(language)
                    except InvalidToken:  # what the library makes of "not found": a Bot API server without this method
                        unknown.add(name)
    except Exception as error:  # also what a library makes of an answer that it did not expect
        log.warning("menus not updated: %s", type(error).__name__)
    if unknown:
        log.warning(
            "this Bot API server has no %s of the bot; the rest of the menus is tried", " and no ".join(sorted(unknown))
        )
    return changed


async def _update_commands(bot: Account, scope: Scope, language: str) -> bool:
    current = await bot.get_my_commands(SCOPES[scope], language)
    offered = menu(scope, language)
    if offered == tuple((command.command, command.description) for command in current):
        return False
    return await bot.set_my_commands(offered, SCOPES[scope], language)


async def _update_description(bot: Account, language: str) -> bool:
    text = _text(language, "profile.description")
    if (await bot.get_my_description(language)).description == text:
        return False
    return await bot.set_my_description(text, language)


async def _update_short_description(bot: Account, language: str) -> bool:
    text = _text(language, "profile.short")
    if (await bot.get_my_short_description(language)).short_description == text:
        return False
    return await bot.set_my_short_description(text, language)
