"""Shows what came of a press: an answer to the person who pressed, a panel painted anew, a message removed."""

import logging
from dataclasses import dataclass

from telegram import Bot
from telegram.error import TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import delivery_errors
from bots.telegram_bot.formatting import messages
from bots.telegram_bot.incoming import ChatlessPress
from bots.telegram_bot.outgoing import NO_PREVIEW, Paces, rate_key
from core.commands.button_payloads import InertPayload
from core.commands.press import NO_RESULT, Press
from core.commands.settings_view import describe_settings
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.platform import Controls, DeliveryError, MessageGone, NotSent
from core.domain.settings import Settings
from core.i18n import choose_language, t
from core.inbound.events import ButtonPressed, PressReceipt

log = logging.getLogger(__name__)

MAX_ANSWER_CHARACTERS = 200
"""Characters of an answer to a press, at most."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """What a panel is to show."""

    settings: Settings
    language: str


class ButtonHandler:
    """Answers presses. A press is no promise: failures are logged and not repeated."""

    def __init__(self, bot: Bot, rate_limiter: ChatRateLimiter, paces: Paces) -> None:
        self._bot, self._rate_limiter, self._paces = bot, rate_limiter, paces
        self._panels: dict[tuple[str, str], _Panel | None] = {}
        """The panels that are being painted, by chat and message; with the newest state that is not painted yet."""
        self._removed_count = 0

    async def handle(self, event: ButtonPressed) -> None:
        """Wait until the core has carried out a press, and show what came of it. Raises nothing."""
        receipt = await event.acknowledged()
        result = receipt.result if isinstance(receipt, PressReceipt) else NO_RESULT
        await self._answer(event.press.id, result.text, alert=result.alert)
        if result.remove_message:
            await self._remove_message(event.press)
        if result.panel is not None:
            await self._repaint(event.press, _Panel(result.panel, receipt.language))

    async def refuse(self, press: ChatlessPress) -> None:
        """Answer a press of which Telegram does not tell where it was. Raises nothing."""
        if isinstance(press.payload, InertPayload):
            await self._answer(press.id, "", alert=False)
            return
        # The one text in the client's language instead of the person's: no event can be made of a press without a
        # chat, so the core, which knows the language that the person has chosen, never hears of it.
        text = t(choose_language("auto", press.author.locale), "press.stale")
        await self._answer(press.id, text, alert=True)

    async def _answer(self, press_id: str, text: str, *, alert: bool) -> None:
        try:
            shown = text.replace("`", "")[:MAX_ANSWER_CHARACTERS]
            await self._bot.answer_callback_query(press_id, shown or None, show_alert=alert)
        except TelegramError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)

    # Panels

    async def _repaint(self, press: Press, panel: _Panel) -> None:
        """Paint a panel's newest state when the chat's turn comes: many presses are one edit, one edit at a time."""
        key = press.chat.chat, press.message_id
        is_painting, self._panels[key] = key in self._panels, panel
        if is_painting:
            return
        try:
            while self._panels[key] is not None:
                await self._wait_for_turn(press)
                newest, self._panels[key] = self._panels[key], None
                assert newest is not None, "nobody else paints it"
                await self._paint(press, newest)
        except Exception as error:
            self._hold(press, error)
            log.info("a panel can't be repainted: %s", type(error).__name__)
        finally:
            del self._panels[key]

    async def _paint(self, press: Press, panel: _Panel) -> None:
        rendered = messages(describe_settings(panel.settings, panel.language))[0]
        with delivery_errors(unchanged_is_success=True):
            await self._bot.edit_message_text(
                rendered.text,
                int(press.chat.chat),
                int(press.message_id),
                entities=rendered.entities,
                reply_markup=keyboard(Controls(panel=panel.settings, language=panel.language), press.chat, 0),
                link_preview_options=NO_PREVIEW,
            )

    # Placeholders that a crash has left

    async def _remove_message(self, press: Press) -> None:
        """Delete the message; where it can't be deleted any more, remove its button at least."""
        for call in (self._bot.delete_message, self._bot.edit_message_reply_markup):
            await self._wait_for_turn(press)
            try:
                with delivery_errors():
                    await call(chat_id=int(press.chat.chat), message_id=int(press.message_id))
            except MessageGone:
                return
            except DeliveryError as error:
                self._hold(press, error)
                log.info("a placeholder without a reply can't be removed: %s", type(error).__name__)
            else:
                self._removed_count += 1
                log.info("a placeholder without a reply is removed; %d since the start", self._removed_count)
                return

    def _hold(self, press: Press, error: Exception) -> None:
        """Keep to the wait that Telegram asks for."""
        if isinstance(error, NotSent):
            self._rate_limiter.hold(rate_key(press.chat.chat), error.wait)

    async def _wait_for_turn(self, press: Press) -> None:
        await self._rate_limiter.wait(rate_key(press.chat.chat), self._paces.of(press.private))
