"""The commands as Discord's menus show them, in English and Vietnamese; published where they have changed."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from discord import AppCommandOptionType, AppCommandType, Locale, Permissions

from bots.discord_bot.api import Payload, call_shielded
from bots.discord_bot.errors import longer_pause
from bots.discord_bot.gateway import ALL_INSTALLS, FOR_PEOPLE, Gateway
from bots.discord_bot.incoming import PLATFORM
from core.commands.context import Command
from core.commands.options import Kind, Option
from core.commands.registry import COMMANDS
from core.domain.platform import Ambiguous, DeliveryError, NotSent
from core.domain.store import Store
from core.i18n import t
from core.runtime.retry import Backoff

log = logging.getLogger(__name__)

PRIVATE_OPTION = "private"
"""The option of /ask that shows question and answer to the person who asks alone."""

_LOCALES = {"vi": Locale.vietnamese.value}
"""Discord's locale for each language besides English."""
_OPTION_TYPES = {
    Kind.TEXT: AppCommandOptionType.string,
    Kind.NUMBER: AppCommandOptionType.number,
    Kind.INTEGER: AppCommandOptionType.integer,
    Kind.FLAG: AppCommandOptionType.boolean,
    Kind.COMMAND: AppCommandOptionType.string,
}


async def publish(client: Gateway, store: Store, account: str, backoff: Backoff) -> None:
    """Publish the commands where they have changed. Tries until Discord takes or refuses them; the bot works
    without."""
    commands = menu(client.installed_by)
    current = fingerprint(commands)
    for pause in backoff.pauses():
        try:
            async with store.begin() as tx:
                if await tx.accounts.menu_fingerprint(PLATFORM, account) == current:
                    return
            await call_shielded(client.http.bulk_upsert_global_commands(int(account), commands))
            async with store.begin() as tx:
                await tx.accounts.set_menu_fingerprint(PLATFORM, account, current)
            log.info("Discord: %d commands published", len(commands))
            return
        except DeliveryError as error:
            log.warning("commands not published: %s", type(error.__cause__ or error).__name__)
            if not isinstance(error, (NotSent, Ambiguous)):
                return
            await asyncio.sleep(longer_pause(error, pause))
        except Exception as error:
            log.warning("commands not published: %s", type(error).__name__)
            await asyncio.sleep(pause)


def menu(installed_by: Sequence[int] = ALL_INSTALLS) -> list[Payload]:
    """Every command of the table, and the menu on a message, for servers and private messages. Where people may install
    the bot for themselves, for all their conversations."""
    ask_about = {"type": AppCommandType.message.value, **_named("menu.ask")}
    contexts = [0, 1, 2] if FOR_PEOPLE in installed_by else [0, 1]
    where = {"integration_types": list(installed_by), "contexts": contexts}
    return [command | where for command in (*(_command(command) for command in COMMANDS), ask_about)]


def fingerprint(commands: Sequence[Payload]) -> str:
    """A hash of the commands."""
    return hashlib.sha256(json.dumps(commands, sort_keys=True).encode()).hexdigest()


def _command(command: Command) -> Payload:
    options = [_option(option) for option in command.options]
    if command.name == "ask":
        options.append({"type": AppCommandOptionType.boolean.value, **_field(PRIVATE_OPTION)})
    # Discord hides admins' commands from others. It does not count a thread's owner as one, who writes "@bot /clear".
    admins = str(Permissions(manage_channels=True).value) if command.admins_only else None
    return {
        "type": AppCommandType.chat_input.value,
        **_named(f"slash.{command.name}"),
        **_described(f"about.{command.name}"),
        "default_member_permissions": admins,
        "options": options,
    }


def _option(option: Option) -> Payload:
    kind = _OPTION_TYPES[option.kind]
    field: Payload = {"type": kind.value, **_field(option.name), "required": option.required}
    if option.choices:
        number = option.kind is Kind.INTEGER
        field["choices"] = [{"name": choice, "value": int(choice) if number else choice} for choice in option.choices]
    bounds = ("min_length", "max_length") if option.kind is Kind.TEXT else ("min_value", "max_value")
    field |= {name: bound for name, bound in zip(bounds, (option.least, option.most), strict=True) if bound is not None}
    return field | ({"autocomplete": True} if option.kind is Kind.COMMAND else {})


def _named(key: str) -> dict[str, Any]:
    return {"name": t("en", key), "name_localizations": {locale: t(name, key) for name, locale in _LOCALES.items()}}


def _described(key: str) -> dict[str, Any]:
    texts = {language: t(language, key).replace("`", "") for language in ("en", *_LOCALES)}
    localized = {locale: texts[language] for language, locale in _LOCALES.items()}
    return {"description": texts["en"], "description_localizations": localized}


def _field(name: str) -> dict[str, Any]:
    return {**_named(f"option.{name}"), **_described(f"field.{name}")}
