"""Servers on a Discord server of the tests: members, roles, permissions as Discord reckons them."""

from dataclasses import dataclass

import discord

from tests.platforms.discord_channels import GUILDS, TEXT, Channel
from tests.platforms.discord_world import Payload, Person, World

EVERYONE = discord.Permissions(
    view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True, embed_links=True,
    attach_files=True, add_reactions=True, use_application_commands=True, create_public_threads=True,
    use_external_emojis=True, change_nickname=True, connect=True, speak=True,
)  # fmt: skip
ADMIN = discord.Permissions(manage_channels=True)


@dataclass(slots=True)
class Role:
    """What its holders may do."""

    id: int
    name: str
    permissions: int
    managed: bool = False

    @property
    def about(self) -> Payload:
        """As Discord shows it."""
        return {"id": str(self.id), "name": self.name, "permissions": str(self.permissions), "position": 0,
                "color": 0, "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
                "hoist": False, "managed": self.managed, "mentionable": False, "flags": 0, "icon": None,
                "unicode_emoji": None}  # fmt: skip


class Guild:
    """A server. Its owner is nobody whom a test knows."""

    def __init__(self, world: World, name: str, *, bot_in: bool = True) -> None:
        self.id = world.snowflake()
        self.world, self.name, self.bot_in = world, name, bot_in
        self.locale = "en-US"
        self.owner = Person(world.snowflake(), "Owner")
        self.roles = {self.id: Role(self.id, "@everyone", EVERYONE.value)}
        self.members: dict[int, set[int]] = {self.owner.id: set()}
        """The roles of each member."""
        world.people[self.owner.id] = self.owner
        self.admins = self.role("Admins", ADMIN)
        self.bot_role = self.role("Qwentin", discord.Permissions.none(), managed=True)
        """The role that came with the bot."""
        if bot_in:
            self.members[world.application_id] = {self.bot_role.id}
        world.guilds[self.id] = self

    @property
    def channels(self) -> list[Channel]:
        """Its channels and threads."""
        return [each for each in self.world.channels.values() if each.guild is self and not each.deleted]

    @property
    def about(self) -> Payload:
        """As Discord shows it over REST."""
        return {
            "id": str(self.id), "name": self.name, "owner_id": str(self.owner.id), "icon": None, "splash": None,
            "discovery_splash": None, "banner": None, "description": None, "afk_channel_id": None, "afk_timeout": 300,
            "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0,
            "premium_tier": 0, "preferred_locale": self.locale, "system_channel_id": None, "system_channel_flags": 0,
            "rules_channel_id": None, "public_updates_channel_id": None, "vanity_url_code": None, "nsfw_level": 0,
            "application_id": None, "features": [], "emojis": [], "stickers": [], "nsfw": False,
            "roles": [role.about for role in self.roles.values()], "premium_progress_bar_enabled": False,
        }  # fmt: skip

    @property
    def created(self) -> Payload:
        """As the gateway tells of it to a bot without the members intent: itself alone among the members."""
        seen = [each for each in self.channels if not each.hidden]
        return self.about | {
            "member_count": len(self.members), "large": False, "unavailable": False, "joined_at": self.world.iso(),
            "members": [self.member(self.world.application_id)], "presences": [], "voice_states": [],
            "channels": [each.about for each in seen if not each.is_thread],
            "threads": [each.about for each in seen if each.is_thread],
            "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
        }  # fmt: skip

    def channel(self, name: str = "general") -> Channel:
        """Its channel of that name, made where there is none."""
        for each in self.channels:
            if each.name == name and not each.is_thread:
                return each
        channel = Channel(self.world, TEXT, name, self)
        if not channel.hidden:
            self.world.dispatch("CHANNEL_CREATE", channel.about, GUILDS)
        return channel

    def role(self, name: str, permissions: discord.Permissions, *, managed: bool = False) -> Role:
        """A new role."""
        role = Role(self.world.snowflake(), name, permissions.value, managed)
        self.roles[role.id] = role
        return role

    def member(self, id: int, channel: Channel | None = None) -> Payload | None:
        """A member as Discord shows one; in an interaction, with what they may do in the channel."""
        if id not in self.members:
            return None
        user = self.world.me if id == self.world.application_id else self.world.people[id].user
        data = {"user": user, "roles": [str(role) for role in self.members[id]], "nick": None, "avatar": None,
                "joined_at": self.world.iso(), "premium_since": None, "deaf": False, "mute": False, "flags": 0,
                "pending": False, "communication_disabled_until": None}  # fmt: skip
        return data | ({"permissions": str(self.may(id, channel).value)} if channel else {})

    def join(self, *people: Person, admin: bool = False) -> None:
        """They become members, or admins."""
        for person in people:
            self.members[person.id] = {self.admins.id} if admin else set()

    def leave(self, person: Person) -> None:
        """No member any more."""
        self.members.pop(person.id)

    def kick_bot(self) -> None:
        """The bot is put out."""
        self.world.dispatch("GUILD_DELETE", {"id": str(self.id)}, GUILDS)
        self.bot_in = False
        self.members.pop(self.world.application_id)

    def add_bot(self) -> None:
        """The bot is let in. Only of a server that it was in before Discord says that it is available again."""
        self.bot_in = True
        self.members[self.world.application_id] = {self.bot_role.id}
        joined = {name: value for name, value in self.created.items() if name != "unavailable"}
        self.world.dispatch("GUILD_CREATE", joined, GUILDS)

    def deny(self, channel: Channel, *names: str, person: Person | None = None) -> None:
        """Take permissions from the bot, or from a person, in a channel."""
        self._overwrite(channel, person, names, given=False)

    def allow(self, channel: Channel, *names: str, person: Person | None = None) -> None:
        """Give them back."""
        self._overwrite(channel, person, names, given=True)

    def may(self, id: int, channel: Channel | None = None) -> discord.Permissions:
        """What a member may do there."""
        if id == self.owner.id:
            return discord.Permissions.all()
        if id not in self.members:
            return discord.Permissions.none()
        roles = self.members[id]
        value = self.roles[self.id].permissions
        for role in roles:
            value |= self.roles[role].permissions
        if discord.Permissions(value).administrator:
            return discord.Permissions.all()
        place = channel.parent or channel if channel else None
        return discord.Permissions(self._overwritten(value, place, roles, id) if place else value)

    def _overwritten(self, value: int, channel: Channel, roles: set[int], id: int) -> int:
        """Everyone's overwrite, then those of the roles together, then the member's own."""
        groups = [[self.id], sorted(roles), [id]]
        for group in groups:
            found = [channel.overwrites[each] for each in group if each in channel.overwrites]
            allowed = denied = 0
            for _, allow, deny in found:
                allowed, denied = allowed | allow, denied | deny
            value = value & ~denied | allowed
        return value

    def _overwrite(self, channel: Channel, person: Person | None, names: tuple[str, ...], *, given: bool) -> None:
        id = person.id if person else self.world.application_id
        bits = discord.Permissions(**dict.fromkeys(names, True)).value
        _, allowed, denied = channel.overwrites.get(id, (1, 0, 0))
        seen = not channel.hidden
        channel.overwrites[id] = (1, allowed & ~bits, denied & ~bits if given else denied | bits)
        if seen or not channel.hidden:
            self.world.dispatch("CHANNEL_UPDATE", channel.about, GUILDS)
