"""Slash commands, the menu on a message, and forms: stored first, promised an answer within Discord's three seconds."""

import asyncio
import itertools
import logging
from contextlib import suppress
from typing import Any, Protocol

from discord import Interaction, InteractionType
from discord.app_commands import Choice

from bots.discord_bot import slash_commands as slash
from bots.discord_bot.api import NOBODY, call_shielded
from bots.discord_bot.button_handler import Buttons
from bots.discord_bot.buttons import About, question_form, read
from bots.discord_bot.command_menu import PRIVATE
from bots.discord_bot.errors import FAILURES
from core.domain.conversation import Incoming, Reply
from core.domain.permissions import Access
from core.domain.platform import DeliveryError
from core.i18n import choose_language, t
from core.inbound.question_text import with_quote
from core.runtime.failpoints import failpoint

log = logging.getLogger(__name__)

STORED_WITHIN = 1.5
"""Seconds: what takes longer might miss the three in which Discord wants an answer."""
REMEMBERED = 1000
"""Interactions, and messages that are being asked with_quote, at most."""


class Desk(Protocol):
    """What interactions need of the dispatcher."""

    access: Access

    async def accept(self, incoming: Incoming) -> Reply | None: ...


class Interactions:
    """Takes them in. `promised` tells surfaces when a response may be filled in; interactions are kept there."""

    def __init__(self, desk: Desk, buttons: Buttons, promised: dict[int, asyncio.Event]) -> None:
        self._desk, self._buttons, self._promised = desk, buttons, promised
        self._asked_about: dict[tuple[int, int], str] = {}

    async def take(self, interaction: Interaction[Any]) -> None:
        """One, whatever it is. Raises nothing: what fails is told to the person, who can do it again."""
        try:
            await self._take(interaction)
        except Exception as error:
            log.error("an interaction can't be answered: %s", type(error).__name__)

    async def _take(self, interaction: Interaction[Any]) -> None:
        data: dict[str, Any] = dict(interaction.data or {})
        match interaction.type:
            case InteractionType.autocomplete:
                await self._suggest(interaction, data)
            case InteractionType.application_command if data.get("type") == 3:
                await self._open_question(interaction)
            case InteractionType.application_command:
                await self._command(interaction)
            case InteractionType.modal_submit if isinstance(asked := read(str(data.get("custom_id"))), About):
                await self._ask_about(interaction, asked.message, slash.typed(data))
            case InteractionType.component | InteractionType.modal_submit:
                await self._buttons.answer(interaction)

    async def _command(self, interaction: Interaction[Any]) -> None:
        command, values = slash.given(interaction)
        if command is None:
            return await self._refuse(interaction, "press.stale")
        private = command.name == "ask" and bool(values.get(PRIVATE, slash.is_foreign(interaction)))
        hidden = command.ephemeral or (private and not slash.in_own_messages(interaction))
        if slash.is_foreign(interaction) and command.name != "ask":
            hidden = True
        message = slash.incoming(interaction, command.written(values), hidden=hidden, alone=private)
        await self._store(interaction, message)

    async def _store(self, interaction: Interaction[Any], message: Incoming | None) -> None:
        """C1, and only then the promise. Who has to wait too long is told so at once, and nothing of it is kept."""
        if message is None:
            return await self._refuse(interaction, "press.stale")
        if interaction.id in self._promised:
            return  # told twice: whoever took the first answers it, and says when it is promised
        promised = self._promise(interaction.id)
        hidden = "h" in message.reply_token.split(":")[1]
        try:
            async with asyncio.timeout(STORED_WITHIN):
                reply = await self._desk.accept(message)
        except Exception as error:
            log.error("an interaction can't be stored: %s", type(error).__name__)
            await self._refuse(interaction, "error.busy")
        else:
            if reply is None:
                return await self._refuse_stranger(interaction, message)
            failpoint("deferring")
            await call_shielded(interaction.response.defer(ephemeral=hidden, thinking=True))
        finally:
            promised.set()

    async def _refuse_stranger(self, interaction: Interaction[Any], message: Incoming) -> None:
        """Nothing is owed: to a stranger in a server, or again for what is stored already."""
        if not self._desk.access.admits(message.chat, message.author):
            user = f"{message.chat.platform}:{message.author.id}"
            await self._refuse(interaction, "refused.access", user=user)

    def _promise(self, interaction: int) -> asyncio.Event:
        promised = self._promised[interaction] = asyncio.Event()
        _forget(self._promised)
        return promised

    async def _refuse(self, interaction: Interaction[Any], key: str, **values: object) -> None:
        """Told to the person alone, and stored nowhere. One that was answered before stays as it is."""
        language = choose_language("auto", interaction.locale.value)
        text = t(language, key, **values)
        response = interaction.response
        with suppress(DeliveryError):
            await call_shielded(
                response.send_message(text, ephemeral=True, allowed_mentions=NOBODY, suppress_embeds=True)
            )

    # Asking about a message

    async def _open_question(self, interaction: Interaction[Any]) -> None:
        message, text = slash.target(interaction)
        if not text:
            return await self._refuse(interaction, "media.only_text")
        self._asked_about[interaction.user.id, message] = text
        _forget(self._asked_about)
        form = question_form(message, choose_language("auto", interaction.locale.value))
        await call_shielded(interaction.response.send_modal(form))

    async def _ask_about(self, interaction: Interaction[Any], message: int, question: str) -> None:
        text = self._asked_about.get((interaction.user.id, message)) or await self._fetched(interaction, message)
        if not text:
            return await self._refuse(interaction, "discord.gone")
        hidden = not slash.in_own_messages(interaction)
        asked = f"/ask {with_quote(question, text)}"
        await self._store(interaction, slash.incoming(interaction, asked, hidden=hidden, alone=True))

    async def _fetched(self, interaction: Interaction[Any], message: int) -> str:
        """After a restart, where the bot may read it."""
        channel = interaction.client.get_partial_messageable(interaction.channel_id or 0)
        with suppress(DeliveryError):
            return str((await call_shielded(channel.fetch_message(message), STORED_WITHIN / 2)).content)
        return ""

    async def _suggest(self, interaction: Interaction[Any], data: dict[str, Any]) -> None:
        typed_so_far = next((str(option["value"]) for option in data.get("options", ()) if option.get("focused")), "")
        choices: list[Choice[str]] = slash.suggestions(typed_so_far, choose_language("auto", interaction.locale.value))
        with suppress(*FAILURES):
            await interaction.response.autocomplete(choices)


def _forget(kept: dict[Any, Any]) -> None:
    """The oldest, where there are too many."""
    for key in list(itertools.islice(kept, max(len(kept) - REMEMBERED, 0))):
        del kept[key]
