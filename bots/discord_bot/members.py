"""Who may do what in a server, asked of Discord at that moment."""

from discord import Client, Member, NotFound, Thread
from discord.abc import GuildChannel

from bots.discord_bot.rest import reached
from core.chat import Author, ChatId, Role
from core.surface import Unacceptable, Unreachable


class Members:
    """Roles by the permissions that a person has in the channel, and by whose thread it is."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do there. Raises Undelivered where Discord can't be asked."""
        channel = await self._channel(int(chat.thread or chat.chat))
        member = await self._member(channel, int(author.id))
        return Role.MEMBER if member is None else role_in(channel, member)

    async def _channel(self, channel_id: int) -> GuildChannel | Thread:
        channel = self._client.get_channel(channel_id) or await reached(self._client.fetch_channel(channel_id))
        if not isinstance(channel, (GuildChannel, Thread)):
            raise Unreachable  # no place with roles
        return channel

    async def _member(self, channel: GuildChannel | Thread, user: int) -> Member | None:
        try:
            return await reached(channel.guild.fetch_member(user))
        except Unacceptable as error:
            if isinstance(error.__cause__, NotFound):
                return None  # has left since
            raise


def role_in(channel: GuildChannel | Thread, member: Member) -> Role:
    """An admin may manage the channel or its server; a thread's owner manages his thread."""
    may = channel.permissions_for(member)
    if may.manage_channels or may.manage_guild:
        return Role.ADMIN
    thread = isinstance(channel, Thread) and (channel.owner_id == member.id or may.manage_threads)
    return Role.ADMIN if thread else Role.MEMBER
