"""Roles of people in chats, asked of the platforms at the moment they matter."""

from collections.abc import Mapping

from core.domain.conversation import Author, ChatId, Role
from core.domain.errors import Refused
from core.domain.permissions import Access
from core.domain.platform import ChatIdChanged, DeliveryError, Platform, Unreachable


class RoleLookup:
    """Looks up roles. `platforms`, by name, may grow later. `access`: who is admitted, and who owns the deployment."""

    def __init__(self, platforms: Mapping[str, Platform], access: Access) -> None:
        self._platforms, self.access = platforms, access

    async def role(self, chat: ChatId, author: Author, private: bool, *, matters: bool = True) -> Role:
        """The role of a person in a chat now. In a private chat everyone is an admin, and no platform is asked.

        Nor is it where nothing depends on the role (`matters`): then it is OWNER or MEMBER. Raises Refused where the
        platform can't tell, ChatIdChanged and Unreachable.
        """
        role = Role.ADMIN if private else Role.MEMBER
        if matters and not private:
            try:
                role = await self._platforms[chat.platform].role(chat, author)
            except (ChatIdChanged, Unreachable):
                raise
            except DeliveryError as error:
                raise Refused("error.role") from error
        return self.access.role(chat.platform, author, role)
