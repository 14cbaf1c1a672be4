"""Roles of people in chats, asked of the platforms at the moment they matter."""

from collections.abc import Mapping

from core.domain.conversation import Author, ChatId, Role
from core.domain.errors import Refused
from core.domain.permissions import Access
from core.domain.platform import ChatIdChanged, DeliveryError, Platform, Unreachable


class RoleLookup:
    """Looks up roles. `platforms` by name may grow later; `access` tells who owns the deployment."""

    def __init__(self, platforms: Mapping[str, Platform], access: Access) -> None:
        self._platforms, self._access = platforms, access

    def unasked(self, platform: str, author: Author) -> Role:
        """The role that a person has anywhere on a platform, which need not be asked for: OWNER or MEMBER."""
        return self._access.role(platform, author, Role.MEMBER)

    def admits(self, chat: ChatId, author: Author) -> bool:
        """Whether the bot answers this person in this chat at all."""
        return self._access.admits(chat, author)

    async def role(self, chat: ChatId, author: Author, private: bool) -> Role:
        """The role of a person in a chat now. In a private chat everyone is an admin, and no platform is asked.

        Raises Refused where the platform can't tell, ChatIdChanged and Unreachable.
        """
        role = Role.ADMIN if private else await self._ask(chat, author)
        return self._access.role(chat.platform, author, role)

    async def _ask(self, chat: ChatId, author: Author) -> Role:
        try:
            return await self._platforms[chat.platform].role(chat, author)
        except (ChatIdChanged, Unreachable):
            raise
        except DeliveryError as error:
            raise Refused("error.role") from error
