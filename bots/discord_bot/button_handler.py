"""A press on a button, a choice on the panel, the panel's form: the core judges it, Discord always gets a response."""

import logging
from typing import Any

from discord import Interaction

from bots.discord_bot import slash_commands as slash
from bots.discord_bot.api import Rest, call_shielded, payload
from bots.discord_bot.buttons import prompt_form, settings_panel
from bots.discord_bot.formatting import messages
from bots.discord_bot.incoming import PLATFORM
from bots.discord_bot.interaction_token import sent_at
from bots.discord_bot.message_events import Deliver
from core.commands.button_payloads import (
    ActionPayload,
    ButtonPayload,
    FormPayload,
    OpenFormPayload,
    SettingPayload,
    decode_payload,
)
from core.commands.press import Press
from core.commands.settings_view import describe_settings
from core.domain.platform import DeliveryError
from core.domain.settings import Settings
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.events import ButtonPressed, PressReceipt, Receipt

log = logging.getLogger(__name__)


class ButtonHandler:
    """Handles presses. `form_within_s`: seconds in which the core must know whether a form may be opened."""

    def __init__(self, rest: Rest, deliver: Deliver, languages: PersonLanguages, form_within_s: float) -> None:
        self._rest, self._deliver, self._languages, self._form_within_s = rest, deliver, languages, form_within_s

    async def handle(self, interaction: Interaction[Any]) -> None:
        """Handle one press, whatever it carries. Raises DeliveryError where Discord does not take the response."""
        press = to_press(interaction)
        if press is None:
            await call_shielded(interaction.response.defer())
            language = await self._languages.of(PLATFORM, slash.author_of(interaction))
            await self._tell(interaction, t(language, "press.stale"))
        elif isinstance(press.payload, OpenFormPayload):
            await self._open_form(interaction, press)
        else:
            await call_shielded(interaction.response.defer())
            await self._carry_out(interaction, press)

    async def _carry_out(self, interaction: Interaction[Any], press: Press) -> None:
        receipt = _press_receipt(await self._deliver(ButtonPressed(press)))
        result = receipt.result
        if result.panel is not None:
            await self._paint(interaction, press, result.panel, receipt.language)
        if result.text and (result.alert or not isinstance(press.payload, ActionPayload)):
            await self._tell(interaction, result.text)

    async def _open_form(self, interaction: Interaction[Any], press: Press) -> None:
        """A form can only be the first response, so the core is asked before there is one."""
        receipt = _press_receipt(await self._deliver(ButtonPressed(press, deadline_s=self._form_within_s)))
        if receipt.result.form is not None:
            form = prompt_form(receipt.result.form, press.chat, receipt.language)
            await call_shielded(interaction.response.send_modal(form))
            return
        await call_shielded(interaction.response.defer())
        if receipt.result.text:
            await self._tell(interaction, receipt.result.text)

    async def _paint(self, interaction: Interaction[Any], press: Press, settings: Settings, language: str) -> None:
        """Show the settings on the panel under which the person pressed."""
        text = messages(describe_settings(settings, language), bare=True)[-1].content
        panel = settings_panel(settings, text, press.chat, language)
        try:
            await self._rest.respond(interaction.token, payload(None, panel))
        except DeliveryError as error:
            log.info("a panel can't be repainted: %s", type(error).__name__)

    async def _tell(self, interaction: Interaction[Any], text: str) -> None:
        """Tell the person who pressed alone."""
        try:
            await self._rest.follow_up(interaction.token, payload(text, None), hidden=True)
        except DeliveryError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)


def to_press(interaction: Interaction[Any]) -> Press | None:
    """The press as the core's. None where Discord names no channel.

    An answer that only one person sees belongs to a conversation of their own; a panel that only one person sees shows
    the channel's settings.
    """
    data: dict[str, Any] = dict(interaction.data or {})
    button, message = decode_payload(str(data.get("custom_id"))), interaction.message
    alone = isinstance(button, ActionPayload) and message is not None and message.flags.ephemeral
    place = slash.place_of(interaction, alone=alone)
    if place is None:
        return None
    chat, private = place
    return Press(
        id=str(interaction.id),
        chat=chat,
        message_id=str(message.id) if message else "",
        author=slash.author_of(interaction),
        private=private,
        bot=str(interaction.application_id),
        at=sent_at(interaction.id),
        payload=button,
        value=_value(button, data),
        reply_token=slash.press_token(interaction).encode(),
    )


def _value(button: ButtonPayload | None, data: dict[str, Any]) -> str:
    """What was chosen in a list, or typed into a form."""
    match button:
        case SettingPayload():
            return next((str(value) for value in data.get("values", ())), "")
        case FormPayload():
            return slash.form_text(data)
    return ""


def _press_receipt(receipt: Receipt) -> PressReceipt:
    """The core acknowledges a press with a PressReceipt; any other has nothing to show."""
    if isinstance(receipt, PressReceipt):
        return receipt
    return PressReceipt(receipt.acceptance, receipt.language)
