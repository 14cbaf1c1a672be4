"""The commands as Discord's menus show them; published where they have changed."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from discord import AppCommandOptionType, AppCommandType, Locale, Permissions

from bots.discord_bot.api import call_shielded
from bots.discord_bot.channel_order import pauses
from bots.discord_bot.gateway import EVERYBODY, PEOPLE, Gateway
from bots.discord_bot.incoming import PLATFORM
from core.commands.context import Command
from core.commands.options import Kind, Option
from core.commands.registry import COMMANDS
from core.domain.platform import Ambiguous, DeliveryError, NotSent
from core.domain.store import Store
from core.i18n import t

log = logging.getLogger(__name__)


async def publish(client: Gateway, store: Store, account: str) -> None:
    """The commands, where they have changed; until Discord has taken them. The bot works without."""
    commands = menu(client.installed_by)
    wanted = fingerprint(commands)
    for pause in pauses():
        try:
            async with store.begin() as tx:
                if await tx.accounts.menu_fingerprint(PLATFORM, account) == wanted:
                    return
            await call_shielded(client.http.bulk_upsert_global_commands(int(account), commands))
            async with store.begin() as tx:
                await tx.accounts.set_menu_fingerprint(PLATFORM, account, wanted)
            log.info("Discord: %d commands published", len(commands))
            return
        except DeliveryError as error:
            log.warning("commands not published: %s", type(error.__cause__ or error).__name__)
            if not isinstance(error, (NotSent, Ambiguous)):
                return
        except Exception as error:
            log.warning("commands not published: %s", type(error).__name__)
        await asyncio.sleep(pause)


PRIVATE = "private"
"""The option of /ask that keeps question and answer to the asker."""


_LOCALIZED = {"vi": Locale.vietnamese.value}


_TYPES = {
    Kind.TEXT: AppCommandOptionType.string,
    Kind.NUMBER: AppCommandOptionType.number,
    Kind.INTEGER: AppCommandOptionType.integer,
    Kind.FLAG: AppCommandOptionType.boolean,
    Kind.COMMAND: AppCommandOptionType.string,
}


Payload = dict[str, Any]


def menu(installed_by: Sequence[int] = EVERYBODY) -> list[Payload]:
    """Every command of the table, and the menu on a message, for servers and private messages; where people may install
    the bot for themselves, for all their conversations."""
    ask_about = {"type": AppCommandType.message.value, **_named("menu.ask")}
    contexts = [0, 1, 2] if PEOPLE in installed_by else [0, 1]
    where = {"integration_types": list(installed_by), "contexts": contexts}
    return [command | where for command in (*(_command(command) for command in COMMANDS), ask_about)]


def fingerprint(commands: Sequence[Payload]) -> str:
    """Differs as soon as they do."""
    return hashlib.sha256(json.dumps(commands, sort_keys=True).encode()).hexdigest()


def _command(command: Command) -> Payload:
    options = [_option(option) for option in command.options]
    if command.name == "ask":
        options.append({"type": AppCommandOptionType.boolean.value, **_field(PRIVATE)})
    # Whose command it is alone is known to Discord, too. A thread's owner, whom it doesn't know, has "@bot /clear".
    admins = str(Permissions(manage_channels=True).value) if command.admins_only else None
    return {
        "type": AppCommandType.chat_input.value,
        **_named(f"slash.{command.name}"),
        **_described(f"about.{command.name}"),
        "default_member_permissions": admins,
        "options": options,
    }


def _option(option: Option) -> Payload:
    kind = _TYPES[option.kind]
    made: Payload = {"type": kind.value, **_field(option.name), "required": option.required}
    if option.choices:
        number = option.kind is Kind.INTEGER
        made["choices"] = [{"name": choice, "value": int(choice) if number else choice} for choice in option.choices]
    bounds = ("min_length", "max_length") if option.kind is Kind.TEXT else ("min_value", "max_value")
    made |= {name: bound for name, bound in zip(bounds, (option.least, option.most), strict=True) if bound is not None}
    return made | ({"autocomplete": True} if option.kind is Kind.COMMAND else {})


def _named(key: str) -> Payload:
    return {"name": t("en", key), "name_localizations": {code: t(name, key) for name, code in _LOCALIZED.items()}}


def _described(key: str) -> Payload:
    texts = {language: t(language, key).replace("`", "") for language in ("en", *_LOCALIZED)}
    localized = {code: texts[language] for language, code in _LOCALIZED.items()}
    return {"description": texts["en"], "description_localizations": localized}


def _field(name: str) -> Payload:
    return {**_named(f"option.{name}"), **_described(f"field.{name}")}
