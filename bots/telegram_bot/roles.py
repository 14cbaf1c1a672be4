"""Who may do what in a group, asked of Telegram."""

import time
from collections.abc import Callable
from typing import Protocol

from telegram import ChatMember
from telegram.error import BadRequest, TelegramError

from bots.telegram_bot.errors import to_delivery_error
from core.domain.conversation import Author, ChatId, Role

KEPT = 60.0
"""Seconds for which an answer holds."""
_ADMINS = (ChatMember.OWNER, ChatMember.ADMINISTRATOR)


class Asked(Protocol):
    """What roles need of the library's bot."""

    async def get_chat_member(self, chat_id: int, user_id: int) -> ChatMember: ...


class Members:
    """Roles by getChatMember. Who writes in the group's own name is an anonymous admin."""

    def __init__(self, bot: Asked, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot, self._clock = bot, clock
        self._known: dict[tuple[str, str], tuple[float, Role]] = {}

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do there. Raises DeliveryError where Telegram can't be asked."""
        if author.id.startswith("-"):  # no person: a chat that speaks, the group itself or somebody's channel
            return Role.ADMIN if author.id == chat.chat else Role.MEMBER
        now, key = self._clock(), (chat.chat, author.id)
        self._known = {who: found for who, found in self._known.items() if found[0] > now}
        if key not in self._known:
            self._known[key] = (now + KEPT, await self._ask(*key))
        return self._known[key][1]

    async def _ask(self, chat: str, user: str) -> Role:
        try:
            member = await self._bot.get_chat_member(int(chat), int(user))
        except BadRequest as error:
            if any(words in str(error).lower() for words in ("user not found", "participant_id_invalid")):
                return Role.MEMBER  # has left since
            raise to_delivery_error(error) from error
        except TelegramError as error:
            raise to_delivery_error(error) from error
        return Role.ADMIN if member.status in _ADMINS else Role.MEMBER
