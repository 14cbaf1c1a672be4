"""Shows what came of a press: an answer to the person who pressed, a panel painted anew, a message removed."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from telegram import Bot
from telegram.error import TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import delivery_errors
from bots.telegram_bot.formatting import messages
from bots.telegram_bot.incoming import PLATFORM, ChatlessPress
from bots.telegram_bot.outgoing import NO_PREVIEW
from bots.telegram_bot.timing import TelegramTiming
from core.commands.button_payloads import InertPayload
from core.commands.press import NO_RESULT, Press
from core.commands.settings_view import describe_settings
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import ChatId
from core.domain.platform import Controls, DeliveryError, MessageGone, NotSent
from core.domain.settings import Settings
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.events import ButtonPressed, PressReceipt

log = logging.getLogger(__name__)

MAX_ANSWER_CHARACTERS = 200
"""Characters of an answer to a press, at most."""


@dataclass(frozen=True, slots=True)
class PressServices:
    """What presses need of the core, besides their receipts."""

    rate_limiter: ChatRateLimiter
    languages: PersonLanguages
    read_settings: Callable[[ChatId], Awaitable[Settings]]
    """The settings of a conversation as they are now. Raises what the store raises."""


class ButtonHandler:
    """Answers presses. A press is no promise: failures are logged and not repeated."""

    def __init__(self, bot: Bot, services: PressServices, timing: TelegramTiming) -> None:
        self._bot, self._services, self._timing = bot, services, timing
        self._rate_limiter = services.rate_limiter
        self._panels: dict[tuple[str, str], bool] = {}
        """The panels that are being painted, by chat and message; and whether something was pressed since."""
        self._removed_count = 0

    async def handle(self, event: ButtonPressed) -> None:
        """Wait until the core has carried out a press, and show what came of it. Raises nothing."""
        receipt = await event.acknowledged()
        result = receipt.result if isinstance(receipt, PressReceipt) else NO_RESULT
        await self._answer(event.press.id, result.text, alert=result.alert)
        if result.remove_message:
            await self._remove_message(event.press)
        if result.panel is not None:
            await self._repaint(event.press, receipt.language)

    async def refuse(self, press: ChatlessPress) -> None:
        """Answer a press of which Telegram does not tell where it was. Raises nothing."""
        if isinstance(press.payload, InertPayload):
            await self._answer(press.id, "", alert=False)
            return
        language = await self._services.languages.of(PLATFORM, press.author)
        await self._answer(press.id, t(language, "press.stale"), alert=True)

    async def _answer(self, press_id: str, text: str, *, alert: bool) -> None:
        try:
            shown = text.replace("`", "")[:MAX_ANSWER_CHARACTERS]
            await self._bot.answer_callback_query(press_id, shown or None, show_alert=alert)
        except TelegramError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)

    # Panels

    async def _repaint(self, press: Press, language: str) -> None:
        """Paint a panel as the settings are when the chat's turn comes: many presses are one edit, one at a time."""
        key = press.chat.chat, press.message_id
        is_painting, self._panels[key] = key in self._panels, True
        if is_painting:
            return
        try:
            while self._panels[key]:
                await self._wait_for_turn(press)
                self._panels[key] = False
                settings = await self._services.read_settings(press.chat)
                rendered = messages(describe_settings(settings, language))[0]
                with delivery_errors(unchanged_is_success=True):
                    await self._bot.edit_message_text(
                        rendered.text,
                        int(press.chat.chat),
                        int(press.message_id),
                        entities=rendered.entities,
                        reply_markup=keyboard(Controls(panel=settings, language=language), press.chat, 0),
                        link_preview_options=NO_PREVIEW,
                    )
        except Exception as error:
            self._hold(press, error)
            log.info("a panel can't be repainted: %s", type(error).__name__)
        finally:
            del self._panels[key]

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
            self._rate_limiter.hold(f"{PLATFORM}:{press.chat.chat}", error.wait)

    async def _wait_for_turn(self, press: Press) -> None:
        pace = self._timing.private_pace if press.private else self._timing.group_pace
        await self._rate_limiter.wait(f"{PLATFORM}:{press.chat.chat}", pace)
