"""A press on one of our buttons: judged by the core, answered always."""

import logging
import time

from telegram import Bot
from telegram.error import BadRequest, RetryAfter, TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import to_delivery_error, unchanged
from bots.telegram_bot.formatting import messages
from bots.telegram_bot.incoming import Press
from bots.telegram_bot.outgoing import NO_PREVIEW, Paces
from core.commands import press as presses
from core.commands.button_payloads import decode_payload
from core.commands.buttons import ButtonActions
from core.commands.press import NO_RESULT, PressResult
from core.commands.settings_view import describe_settings
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import ChatId
from core.domain.platform import Controls, MessageGone, NotSent
from core.domain.settings import Settings
from core.i18n import choose_language, t

log = logging.getLogger(__name__)

MOST = 200
"""Characters that an answer to a press may have."""


class Buttons:
    """Answers presses."""

    def __init__(self, bot: Bot, core: ButtonActions, rate: ChatRateLimiter, paces: Paces) -> None:
        self._bot, self._core, self._rate, self._paces = bot, core, rate, paces
        self._panels: dict[tuple[str, str], Settings | None] = {}
        """Panels that are being painted, and what they are to show next."""
        self.removed = 0
        """Stubs that nobody knew."""

    async def answer(self, press: Press) -> None:
        """One press, whatever it carries: judged, answered, and then shown. Raises nothing: a press is no promise."""
        known = self._known(press)
        try:
            result = await self._judge(press, known)
        except Exception as error:
            log.error("a press can't be carried out: %s", type(error).__name__)
            result = NO_RESULT
        try:
            text = result.text.replace("`", "")[:MOST]
            await self._bot.answer_callback_query(press.id, text or None, show_alert=result.alert)
        except TelegramError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)
        if known is None:
            return
        if result.remove_message:
            await self._remove(known)
        if result.panel is not None:
            await self._repaint(known, result.panel)

    async def _judge(self, press: Press, known: presses.Press | None) -> PressResult:
        """What comes of a press."""
        if known is None:
            return PressResult(t(choose_language("auto", press.author.locale), "press.stale"), alert=True)
        return await self._core.press(known)

    async def _repaint(self, press: presses.Press, settings: Settings) -> None:
        """The panel as things are when its turn comes: many presses are one edit, and one edit at a time."""
        key, chat = (press.chat.chat, press.message_id), f"telegram:{press.chat.chat}"
        painting, self._panels[key] = key in self._panels, settings
        if painting:
            return
        try:
            while self._panels[key] is not None:
                await self._rate.wait(chat, self._paces.of(press.private))
                newest, self._panels[key] = self._panels[key] or settings, None
                language = await self._core._languages.of(press.chat.platform, press.author)
                await self._paint(press.chat, int(press.message_id), newest, language)
        except RetryAfter as error:
            failure = to_delivery_error(error)
            self._rate.hold(chat, failure.wait if isinstance(failure, NotSent) else 0)
        except Exception as error:
            log.info("a panel can't be repainted: %s", type(error).__name__)
        finally:
            del self._panels[key]

    async def _remove(self, press: presses.Press) -> None:
        """A stub that a crash has left. Where it can't be deleted any more, it loses its button at least."""
        chat, message_id, key = int(press.chat.chat), int(press.message_id), f"telegram:{press.chat.chat}"
        for way in (self._bot.delete_message, self._bot.edit_message_reply_markup):
            try:
                await self._rate.wait(key, self._paces.of(press.private))
                await way(chat_id=chat, message_id=message_id)
            except TelegramError as error:
                failure = to_delivery_error(error)
                if isinstance(failure, MessageGone):
                    return
                if isinstance(failure, NotSent):
                    self._rate.hold(key, failure.wait)
                log.info("a stub that nobody knows can't be removed: %s", type(error).__name__)
            else:
                self.removed += 1
                log.info("an empty stub that nobody knew is removed; %d since the start", self.removed)
                return

    async def _paint(self, chat: ChatId, message_id: int, settings: Settings, language: str) -> None:
        panel = messages(describe_settings(settings, language))[0]
        try:
            await self._bot.edit_message_text(
                panel.text,
                int(chat.chat),
                message_id,
                entities=panel.entities,
                reply_markup=keyboard(Controls(panel=settings, language=language), chat, 0),
                link_preview_options=NO_PREVIEW,
            )
        except BadRequest as error:
            if not unchanged(error):
                raise

    def _known(self, press: Press) -> presses.Press | None:
        """The press as the core sees it."""
        if press.chat is None:
            return None
        return presses.Press(
            press.id,
            press.chat,
            press.message_id,
            press.author,
            press.private,
            str(self._bot.id),
            time.time_ns() // 1_000_000,
            decode_payload(press.data),
            seq=int(press.message_id),
            message_text=press.text,
        )
