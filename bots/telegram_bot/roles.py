"""The roles of people in groups, asked of Telegram and remembered for a minute."""

import time
from collections.abc import Callable
from typing import Protocol

from telegram import ChatMember
from telegram.error import BadRequest

from bots.telegram_bot.errors import delivery_errors
from core.domain.conversation import Author, ChatId, Role

ROLE_LIFETIME_S = 60.0
"""Seconds for which an answer of Telegram's is used."""
_ADMIN_STATUSES = (ChatMember.OWNER, ChatMember.ADMINISTRATOR)
_NO_MEMBER_TEXTS = ("user not found", "participant_id_invalid")
"""What Telegram answers about a person who has left."""


class MemberApi(Protocol):
    """What roles need of the library's bot."""

    async def get_chat_member(self, chat_id: int, user_id: int) -> ChatMember: ...


class ChatRoles:
    """Looks up roles by getChatMember."""

    def __init__(self, bot: MemberApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot, self._clock = bot, clock
        self._cache: dict[tuple[str, str], tuple[float, Role]] = {}
        """By chat and person: until when the role is used (the clock's seconds), and the role; the oldest first."""

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do in a chat. Raises DeliveryError where Telegram can't be asked."""
        if author.id.startswith("-"):  # no person: the group itself (an anonymous admin), or somebody's channel
            return Role.ADMIN if author.id == chat.chat else Role.MEMBER
        now, key = self._clock(), (chat.chat, author.id)
        while self._cache and self._cache[oldest := next(iter(self._cache))][0] <= now:
            del self._cache[oldest]
        if key in self._cache:
            return self._cache[key][1]
        role = await self._fetch(int(chat.chat), int(author.id))
        self._cache.pop(key, None)  # somebody else may have asked meanwhile
        self._cache[key] = self._clock() + ROLE_LIFETIME_S, role
        return role

    async def _fetch(self, chat: int, user: int) -> Role:
        with delivery_errors():
            try:
                member = await self._bot.get_chat_member(chat, user)
            except BadRequest as error:
                if any(text in str(error).lower() for text in _NO_MEMBER_TEXTS):
                    return Role.MEMBER
                raise
        return Role.ADMIN if member.status in _ADMIN_STATUSES else Role.MEMBER
