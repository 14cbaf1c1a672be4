"""A press on one of our buttons, a choice on the panel, the form of the panel: judged by the core, answered always."""

import asyncio
import logging
from typing import Any

from discord import Interaction

from bots.discord_bot import slash_commands as slash
from bots.discord_bot.api import Rest, call_shielded, payload
from bots.discord_bot.buttons import Acted, Chosen, Filled, Opened, Sent, prompt_form, read, settings_panel
from bots.discord_bot.formatting import messages
from bots.discord_bot.interaction_token import sent_at
from core.commands.buttons import Answer, ButtonActions, Press
from core.commands.settings_view import described
from core.domain.platform import DeliveryError
from core.domain.settings import Settings
from core.i18n import choose_language, t

log = logging.getLogger(__name__)

OPENED_WITHIN = 1.5
"""Seconds to find out who may change settings: a form must be opened within three."""


class Buttons:
    """Answers presses."""

    def __init__(self, rest: Rest, core: ButtonActions) -> None:
        self._rest, self._core = rest, core

    async def answer(self, interaction: Interaction[Any]) -> None:
        """One, whatever it carries."""
        data: dict[str, Any] = dict(interaction.data or {})
        sent = read(str(data.get("custom_id")))
        press = pressed(interaction, sent)
        if isinstance(sent, Opened) and press:
            return await self._open(interaction, press)
        await call_shielded(interaction.response.defer())
        try:
            answer, settings = await self._judge(press, sent, data)
        except Exception as error:
            log.error("a press can't be carried out: %s", type(error).__name__)
            busy = t(choose_language("auto", interaction.locale.value), "error.busy")
            answer, settings = Answer(busy, alert=True), None
        if settings is not None and press:
            await self._paint(interaction, press, settings)
        if answer.text and (answer.alert or not isinstance(sent, Acted)):
            await self._tell(interaction, answer)

    async def _judge(
        self, press: Press | None, sent: Sent | None, data: dict[str, Any]
    ) -> tuple[Answer, Settings | None]:
        """What the presser is told, and what a panel should show now."""
        match sent:
            case Acted(action, reply) if press:
                return await self._core.act(press, action, reply), None
            case Chosen(name, seen) if press:
                return await self._core.change(press, name, chosen(data), seen)
            case Filled(seen) if press:
                return await self._core.fill_in(press, slash.typed(data), seen)
        locale = press.author.locale if press else ""
        return Answer(t(choose_language("auto", locale), "press.stale"), alert=True), None

    async def _open(self, interaction: Interaction[Any], press: Press) -> None:
        """The form of the panel, for who may use it; where that can't be told in time, it is judged once filled in."""
        try:
            async with asyncio.timeout(OPENED_WITHIN):
                refused = await self._core.may_change(press)
        except TimeoutError:
            refused = None
        if refused is not None:
            await call_shielded(interaction.response.defer())
            return await self._tell(interaction, refused)
        settings, language = await self._core.settings(press.chat), await self._core.language(press)
        await call_shielded(interaction.response.send_modal(prompt_form(settings, press.chat, language)))

    async def _paint(self, interaction: Interaction[Any], press: Press, settings: Settings) -> None:
        language = await self._core.language(press)
        text = messages(described(settings, language), bare=True)[-1].content
        panel = settings_panel(settings, text, press.chat, language)
        try:
            await self._rest.respond(interaction.token, payload(None, panel))
        except DeliveryError as error:
            log.info("a panel can't be repainted: %s", type(error).__name__)

    async def _tell(self, interaction: Interaction[Any], answer: Answer) -> None:
        try:
            await self._rest.follow_up(interaction.token, payload(answer.text, None), hidden=True)
        except DeliveryError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)


def pressed(interaction: Interaction[Any], sent: Sent | None) -> Press | None:
    """The press as the core sees it. An answer that only one person sees belongs to a conversation of his own; a panel
    that only one sees shows the channel's."""
    message = interaction.message
    alone = isinstance(sent, Acted) and message is not None and message.flags.ephemeral
    place = slash.place_of(interaction, alone=alone)
    if place is None:
        return None
    chat, private = place
    return Press(
        str(interaction.id),
        chat,
        str(message.id) if message else "",
        0,
        slash.author(interaction),
        private,
        str(interaction.application_id),
        sent_at(interaction.id),
        str(slash.pressed(interaction)),
    )


def chosen(data: dict[str, Any]) -> str:
    """What was chosen of a list."""
    return next((str(value) for value in data.get("values", ())), "")
