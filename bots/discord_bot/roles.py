"""Who may do what in a server: people, asked of Discord at that moment, and the bot itself."""

from discord import Client, Member, Message, NotFound, Thread
from discord.abc import GuildChannel

from bots.discord_bot.api import call_shielded
from core.domain.conversation import Author, ChatId, Role
from core.domain.platform import Unacceptable, Unreachable

ROLE_CALL_TIMEOUT_S = 5.0
"""For each call that a role needs: all people's commands share a few slots."""


class Members:
    """Roles by the permissions that a person has in the channel, and by who owns the thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do there. Raises DeliveryError where Discord can't be asked."""
        channel = await self._channel(int(chat.chat))
        if not isinstance(channel, GuildChannel):
            raise Unreachable  # no channel of a server
        member = await self._member(channel, int(author.id))
        if member is None:
            return Role.MEMBER
        thread = await self._channel(int(chat.thread)) if chat.thread else None
        return role_in(channel, thread if isinstance(thread, Thread) else None, member)

    async def _channel(self, channel_id: int) -> object:
        if (cached := self._client.get_channel(channel_id)) is not None:
            return cached
        channel = await call_shielded(self._client.fetch_channel(channel_id), ROLE_CALL_TIMEOUT_S)
        if not isinstance(channel, GuildChannel):
            return channel
        cached_guild = self._client.get_guild(channel.guild.id)
        if cached_guild is not None and not cached_guild.unavailable:
            return channel
        # Right after a start the library has not cached the server yet; without its roles nobody may do anything.
        guild = await call_shielded(self._client.fetch_guild(channel.guild.id), ROLE_CALL_TIMEOUT_S)
        return await call_shielded(guild.fetch_channel(channel_id), ROLE_CALL_TIMEOUT_S)

    async def _member(self, channel: GuildChannel, user: int) -> Member | None:
        """None for a person who has left the server."""
        try:
            return await call_shielded(channel.guild.fetch_member(user), ROLE_CALL_TIMEOUT_S)
        except Unacceptable as error:
            if isinstance(error.__cause__, NotFound):
                return None
            raise


def role_in(channel: GuildChannel, thread: Thread | None, member: Member) -> Role:
    """ADMIN for who may manage the channel or its server; in a thread also for its owner and who may manage threads."""
    may = channel.permissions_for(member)
    admin = may.manage_channels or may.manage_guild
    return Role.ADMIN if admin or (thread and (thread.owner_id == member.id or may.manage_threads)) else Role.MEMBER


def can_answer(message: Message) -> bool:
    """Whether the bot may write where a message was written. True where that is unknown: sending shows it."""
    channel, bot = message.channel, message.guild.me if message.guild else None
    place = channel.parent if isinstance(channel, Thread) else channel
    if bot is None or not isinstance(place, GuildChannel):
        return True
    may = place.permissions_for(bot)
    if isinstance(channel, Thread):
        may_write = may.send_messages_in_threads and (may.manage_threads or not channel.locked)
    else:
        may_write = may.send_messages
    return may.view_channel and may_write
