"""Who may do what in a server, asked of Discord at that moment."""

from discord import Client, Member, NotFound, Thread
from discord.abc import GuildChannel

from bots.discord_bot.api import call_shielded
from core.domain.conversation import Author, ChatId, Role
from core.domain.platform import Unacceptable, Unreachable

ASKED_WITHIN = 5.0
"""Seconds: commands of everybody wait for few hands."""


class Members:
    """Roles by the permissions that a person has in the channel, and by whose thread it is."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do there. Raises DeliveryError where Discord can't be asked."""
        channel = await self._place(int(chat.chat))
        if not isinstance(channel, GuildChannel):
            raise Unreachable  # no place with roles
        member = await self._member(channel, int(author.id))
        if member is None:
            return Role.MEMBER
        thread = await self._place(int(chat.thread)) if chat.thread else None
        return role_in(channel, thread if isinstance(thread, Thread) else None, member)

    async def _place(self, channel_id: int) -> object:
        if (known := self._client.get_channel(channel_id)) is not None:
            return known
        channel = await call_shielded(self._client.fetch_channel(channel_id), ASKED_WITHIN)
        if not isinstance(channel, GuildChannel):
            return channel
        known_guild = self._client.get_guild(channel.guild.id)
        if known_guild is not None and not known_guild.unavailable:
            return channel
        # Right after a start Discord has not told of the server yet; without its roles nobody may anything.
        guild = await call_shielded(self._client.fetch_guild(channel.guild.id), ASKED_WITHIN)
        return await call_shielded(guild.fetch_channel(channel_id), ASKED_WITHIN)

    async def _member(self, channel: GuildChannel, user: int) -> Member | None:
        try:
            return await call_shielded(channel.guild.fetch_member(user), ASKED_WITHIN)
        except Unacceptable as error:
            if isinstance(error.__cause__, NotFound):
                return None  # has left since
            raise


def role_in(channel: GuildChannel, thread: Thread | None, member: Member) -> Role:
    """An admin may manage the channel or its server; a thread's owner, and who may manage threads, manages that."""
    may = channel.permissions_for(member)
    admin = may.manage_channels or may.manage_guild
    return Role.ADMIN if admin or (thread and (thread.owner_id == member.id or may.manage_threads)) else Role.MEMBER
