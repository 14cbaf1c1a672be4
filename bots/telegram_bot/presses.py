"""A press on one of our buttons: judged by the core, answered always."""

import logging
import time

from telegram import Bot
from telegram.error import TelegramError

from bots.telegram_bot.buttons import NOTHING, Acted, Changed, keyboard, read
from bots.telegram_bot.failures import unchanged
from bots.telegram_bot.rendering import messages
from bots.telegram_bot.surface import NO_PREVIEW, Paces
from bots.telegram_bot.updates import Press
from core import presses
from core.panel import described
from core.presses import Answer, Presses
from core.rate import RateGate
from core.settings import Settings
from core.surface import Controls
from core.texts import say

log = logging.getLogger(__name__)

MOST = 200
"""Characters that an answer to a press may have."""


class Buttons:
    """Answers presses."""

    def __init__(self, bot: Bot, core: Presses, rate: RateGate, paces: Paces) -> None:
        self._bot, self._core, self._rate, self._paces = bot, core, rate, paces

    async def answer(self, press: Press) -> None:
        """One press, whatever it carries. Raises nothing: a press is no promise."""
        try:
            answer = await self._judge(press)
        except Exception as error:
            log.error("a press can't be carried out: %s", type(error).__name__)
            answer = Answer("")
        try:
            text = answer.text.replace("`", "")[:MOST]
            await self._bot.answer_callback_query(press.id, text or None, show_alert=answer.alert)
        except TelegramError as error:
            log.debug("a press stays unanswered: %s", type(error).__name__)

    async def _judge(self, press: Press) -> Answer:
        if press.data == NOTHING:
            return Answer("")
        asked, known = read(press.data), self._known(press)
        if known is None or asked is None:
            return Answer(say("vi" if press.author.locale.startswith("vi") else "en", "press.stale"), alert=True)
        if isinstance(asked, Acted):
            return await self._core.act(known, asked.action, asked.reply)
        return await self._change(known, asked)

    async def _change(self, press: presses.Press, asked: Changed) -> Answer:
        answer, settings = await self._core.change(press, asked.name, asked.value, asked.revision)
        if settings is not None:
            await self._repaint(press, settings)
        return answer

    async def _repaint(self, press: presses.Press, settings: Settings) -> None:
        """The panel as things are now. If that fails, the next press says that it is stale."""
        language = await self._core.language(press)
        panel, chat = messages(described(settings, language))[0], press.chat
        await self._rate.wait(f"telegram:{chat.chat}", self._paces.of(press.private))
        try:
            await self._bot.edit_message_text(
                panel.text,
                int(chat.chat),
                int(press.message_id),
                entities=panel.entities,
                reply_markup=keyboard(Controls(panel=settings, language=language), chat, 0),
                link_preview_options=NO_PREVIEW,
            )
        except TelegramError as error:
            if not unchanged(error):
                log.info("a panel can't be repainted: %s", type(error).__name__)

    def _known(self, press: Press) -> presses.Press | None:
        """The press as the core sees it."""
        if press.chat is None:
            return None
        return presses.Press(
            press.id,
            press.chat,
            press.message_id,
            int(press.message_id),
            press.author,
            press.private,
            str(self._bot.id),
            time.time_ns() // 1_000_000,
        )
