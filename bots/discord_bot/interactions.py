"""Slash commands, the menu on a message, and forms: stored first, and answered within Discord's three seconds.

A channel's commands are stored behind what is read back there: an older text must not win over a newer command.
"""

import asyncio
import itertools
import logging
import time
from contextlib import suppress
from typing import Any

from discord import Interaction, InteractionType

from bots.discord_bot import slash_commands as slash
from bots.discord_bot.api import NO_MENTIONS, call_shielded
from bots.discord_bot.backfill import channel_of
from bots.discord_bot.button_handler import ButtonHandler
from bots.discord_bot.buttons import question_form
from bots.discord_bot.channel_order import ChannelOrder
from bots.discord_bot.command_menu import PRIVATE_OPTION
from bots.discord_bot.errors import LIBRARY_ERRORS
from bots.discord_bot.incoming import PLATFORM
from bots.discord_bot.interaction_token import DeferredResponses, decode_token
from bots.discord_bot.message_events import Deliver
from core.commands.button_payloads import QuestionFormPayload, decode_payload
from core.domain.conversation import ChatId, Incoming
from core.domain.platform import DeliveryError
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.events import Acceptance, MessageReceived
from core.inbound.question_text import QuestionParts, compose_question
from core.runtime.failpoints import failpoint

log = logging.getLogger(__name__)

MAX_MENU_TARGETS = 1000
"""Messages that menus were opened on whose text is remembered until the question comes."""
FETCH_TIMEOUT_S = 0.75
"""For the text of such a message after a restart: there are three seconds in all."""

_MESSAGE_MENU = 3
"""Discord's type of a command in the menu on a message."""


class Interactions:
    """Handles interactions. `deferred` tells reply channels when a response may be filled in."""

    def __init__(
        self,
        deliver: Deliver,
        order: ChannelOrder,
        buttons: ButtonHandler,
        languages: PersonLanguages,
        deferred: DeferredResponses,
        stored_within_s: float,
    ) -> None:
        self._deliver, self._order, self._buttons, self._languages = deliver, order, buttons, languages
        self._deferred, self._stored_within_s = deferred, stored_within_s
        self._menu_targets: dict[tuple[int, int], str] = {}
        """The texts of messages, by the person who opened the menu and the message."""

    async def handle(self, interaction: Interaction[Any]) -> None:
        """Handle one of any kind. Raises nothing: where it fails, Discord tells the person, who can do it again."""
        try:
            await self._handle(interaction)
        except Exception as error:
            log.error("an interaction can't be answered: %s", type(error).__name__)

    async def _handle(self, interaction: Interaction[Any]) -> None:
        data: dict[str, Any] = dict(interaction.data or {})
        match interaction.type:
            case InteractionType.autocomplete:
                await self._suggest(interaction, data)
            case InteractionType.application_command if data.get("type") == _MESSAGE_MENU:
                await self._open_question_form(interaction)
            case InteractionType.application_command:
                await self._command(interaction)
            case InteractionType.modal_submit if isinstance(
                form := decode_payload(str(data.get("custom_id"))), QuestionFormPayload
            ):
                await self._ask_about(interaction, form.message_id, slash.form_text(data))
            case InteractionType.component | InteractionType.modal_submit:
                await self._buttons.handle(interaction)

    async def _command(self, interaction: Interaction[Any]) -> None:
        command, values = slash.command_of(interaction), slash.option_values(interaction)
        if command is None:
            return await self._refuse(interaction, "press.stale")
        private = command.name == "ask" and bool(values.get(PRIVATE_OPTION, slash.is_foreign(interaction)))
        hidden = command.ephemeral or (private and not slash.in_own_messages(interaction))
        if slash.is_foreign(interaction) and command.name != "ask":
            hidden = True
        options = {option.name: values[option.name] for option in command.options if option.name in values}
        text = command.written(options)
        await self._store(interaction, slash.to_incoming(interaction, text, options, hidden=hidden, alone=private))

    async def _store(self, interaction: Interaction[Any], message: Incoming | None) -> None:
        """Have it stored (C1), and only then defer the response. Where that takes too long, nothing of it is kept and
        the person is told so at once."""
        if message is None:
            return await self._refuse(interaction, "press.stale")
        responded = self._deferred.begin(interaction.id)
        if responded is None:
            return  # Discord has sent it twice: the first one is responded to
        try:
            await self._store_and_respond(interaction, message)
        finally:
            responded.set()

    async def _store_and_respond(self, interaction: Interaction[Any], message: Incoming) -> None:
        deadline_s = await self._wait_for_older(message.chat)
        if not deadline_s:
            return await self._respond(interaction, t(await self._language(interaction), "error.busy"))
        receipt = await self._deliver(MessageReceived(message, deadline_s=deadline_s))
        match receipt.acceptance:
            case Acceptance.STORED:
                failpoint("deferring")
                token = decode_token(message.reply_token)
                hidden = token is not None and token.hidden
                await call_shielded(interaction.response.defer(ephemeral=hidden, thinking=True))
            case Acceptance.NOT_ADMITTED:
                user = f"{PLATFORM}:{message.author.id}"
                await self._respond(interaction, t(receipt.language, "refused.access", user=user))
            case Acceptance.UNAVAILABLE | Acceptance.REJECTED:
                await self._respond(interaction, t(receipt.language, "error.busy"))

    async def _wait_for_older(self, chat: ChatId) -> float:
        """Wait until everything that was said before in a command's channel is stored, also what was missed: once the
        command is stored, they would seem to be read. Returns the seconds that are left to store it; 0 where none are:
        a crash would lose what is promised before it is stored."""
        channel_id, within_s = channel_of(chat), self._stored_within_s
        if channel_id is None or not self._order.is_behind(channel_id):
            return within_s
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                await self._order.wait_for(channel_id)
        except TimeoutError:
            log.info("%s: a command came before everything older was read back", chat)
            return 0.0
        return max(within_s - (time.monotonic() - began), 0.0)

    async def _refuse(self, interaction: Interaction[Any], key: str) -> None:
        """Tell the person alone why nothing comes of it. Nothing is stored."""
        await self._respond(interaction, t(await self._language(interaction), key))

    async def _respond(self, interaction: Interaction[Any], text: str) -> None:
        """Respond to the person alone. An interaction that has its first response already stays as it is."""
        response = interaction.response
        with suppress(DeliveryError):
            await call_shielded(
                response.send_message(text, ephemeral=True, allowed_mentions=NO_MENTIONS, suppress_embeds=True)
            )

    async def _language(self, interaction: Interaction[Any]) -> str:
        return await self._languages.of(PLATFORM, slash.author_of(interaction))

    # Asking about a message

    async def _open_question_form(self, interaction: Interaction[Any]) -> None:
        message_id, text = slash.menu_target(interaction)
        if not text:
            return await self._refuse(interaction, "media.only_text")
        self._menu_targets[interaction.user.id, message_id] = text
        for oldest in list(itertools.islice(self._menu_targets, max(len(self._menu_targets) - MAX_MENU_TARGETS, 0))):
            del self._menu_targets[oldest]
        form = question_form(message_id, await self._language(interaction))
        await call_shielded(interaction.response.send_modal(form))

    async def _ask_about(self, interaction: Interaction[Any], message_id: int, question: str) -> None:
        text = self._menu_targets.get((interaction.user.id, message_id)) or await self._fetch(interaction, message_id)
        if not text:
            return await self._refuse(interaction, "discord.gone")
        hidden = not slash.in_own_messages(interaction)
        asked = compose_question(QuestionParts(f"/ask {question}".strip(), quoted=text))
        await self._store(interaction, slash.to_incoming(interaction, asked, hidden=hidden, alone=True))

    async def _fetch(self, interaction: Interaction[Any], message_id: int) -> str:
        """A message's text after a restart; "" where the bot may not read it."""
        channel = interaction.client.get_partial_messageable(interaction.channel_id or 0)
        with suppress(DeliveryError):
            return str((await call_shielded(channel.fetch_message(message_id), FETCH_TIMEOUT_S)).content)
        return ""

    async def _suggest(self, interaction: Interaction[Any], data: dict[str, Any]) -> None:
        typed = next((str(option["value"]) for option in data.get("options", ()) if option.get("focused")), "")
        with suppress(*LIBRARY_ERRORS):
            await interaction.response.autocomplete(slash.suggestions(typed, await self._language(interaction)))
