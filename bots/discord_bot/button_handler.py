"""A press on one of our buttons, a choice on the panel, the form of the panel: judged by the core, answered always."""

import logging
from typing import Any

from discord import Interaction

from bots.discord_bot import slash_commands as slash
from bots.discord_bot.api import Rest, call_shielded, payload
from bots.discord_bot.buttons import prompt_form, settings_panel
from bots.discord_bot.formatting import messages
from bots.discord_bot.interaction_token import sent_at
from core.commands.button_payloads import ActionPayload, FormPayload, OpenFormPayload, decode_payload
from core.commands.buttons import ButtonActions
from core.commands.press import Press, PressResult
from core.commands.settings_view import describe_settings
from core.domain.platform import DeliveryError
from core.domain.settings import Settings
from core.i18n import t

log = logging.getLogger(__name__)


class Buttons:
    """Answers presses."""

    def __init__(self, rest: Rest, core: ButtonActions) -> None:
        self._rest, self._core = rest, core

    async def answer(self, interaction: Interaction[Any]) -> None:
        """One, whatever it carries."""
        data: dict[str, Any] = dict(interaction.data or {})
        press = pressed(interaction, data)
        sent = press.payload if press else None
        if not isinstance(sent, OpenFormPayload):
            await call_shielded(interaction.response.defer())
        result = await self._judge(press)
        if result.form is not None and press:
            form = prompt_form(result.form, press.chat, await self._language(press))
            await call_shielded(interaction.response.send_modal(form))
            return
        if isinstance(sent, OpenFormPayload):
            await call_shielded(interaction.response.defer())
        if result.panel is not None and press:
            await self._paint(interaction, press, result.panel)
        if result.text and (result.alert or not isinstance(sent, ActionPayload)):
            await self._tell(interaction, result)

    async def _judge(self, press: Press | None) -> PressResult:
        return await self._core.press(press) if press else PressResult(t("en", "press.stale"), alert=True)

    async def _language(self, press: Press) -> str:
        return await self._core._languages.of(press.chat.platform, press.author)

    async def _paint(self, interaction: Interaction[Any], press: Press, settings: Settings) -> None:
        language = await self._language(press)
        text = messages(describe_settings(settings, language), bare=True)[-1].content
        panel = settings_panel(settings, text, press.chat, language)
        try:
            await self._rest.respond(interaction.token, payload(None, panel))
        except DeliveryError as error:
            log.info("a panel can't be repainted: %s", type(error).__name__)

    async def _tell(self, interaction: Interaction[Any], answer: PressResult) -> None:
        try:
            await self._rest.follow_up(interaction.token, payload(answer.text, None), hidden=True)
        except DeliveryError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)


def pressed(interaction: Interaction[Any], data: dict[str, Any]) -> Press | None:
    """The press as the core sees it. An answer that only one person sees belongs to a conversation of their own; a
    panel that only one sees shows the channel's."""
    message, sent = interaction.message, decode_payload(str(data.get("custom_id")))
    alone = isinstance(sent, ActionPayload) and message is not None and message.flags.ephemeral
    place = slash.place_of(interaction, alone=alone)
    if place is None:
        return None
    chat, private = place
    return Press(
        str(interaction.id),
        chat,
        str(message.id) if message else "",
        slash.author(interaction),
        private,
        str(interaction.application_id),
        sent_at(interaction.id),
        sent,
        value=slash.typed(data) if isinstance(sent, FormPayload) else chosen(data),
        reply_token=str(slash.pressed(interaction)),
    )


def chosen(data: dict[str, Any]) -> str:
    """What was chosen of a list."""
    return next((str(value) for value in data.get("values", ())), "")
