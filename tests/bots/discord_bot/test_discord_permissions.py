"""Who may do what: held against another implementation of Discord's permissions (simcord's)."""

import datetime
import itertools
from typing import Any

import discord
from discord import Permissions
from hypothesis import given, settings
from hypothesis import strategies as st
from simcord.backend import permissions as reference
from simcord.backend.models import Channel, Guild, Member, Overwrite, Role
from simcord.enums import ChannelType, OverwriteType

from bots.discord_bot.roles import role_in
from core.domain import conversation as chat
from tests.tables import each_row

NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
OWNER, ANN, GUILD, PLACE, THREAD = 1, 2, 100, 200, 300
ROLES = (101, 102)
FLAGS = [
    Permissions(**{name: True}).value
    for name in ("manage_channels", "manage_guild", "manage_threads", "administrator", "send_messages")
]
BITS = st.lists(st.sampled_from(FLAGS), max_size=3).map(lambda bits: sum(set(bits)))


class World:
    """The same server in both implementations."""

    def __init__(
        self, roles: dict[int, int], overwrites: list[tuple[int, int, int]], mine: list[int], owner: int
    ) -> None:
        state: Any = discord.Client(intents=discord.Intents(guilds=True))._connection
        everyone = {"id": str(GUILD), "name": "@everyone", "permissions": str(roles[GUILD]), "position": 0}
        own = [{"id": str(id), "name": "r", "permissions": str(roles[id]), "position": 1} for id in ROLES]
        wire = [{"id": str(id), "type": 1 if id == ANN else 0, "allow": str(allow), "deny": str(deny)}
                for id, allow, deny in overwrites]  # fmt: skip
        payload: Any = {
            "id": str(GUILD), "name": "g", "owner_id": str(owner), "roles": [full(each) for each in (everyone, *own)],
            "channels": [{"id": str(PLACE), "type": 0, "name": "c", "position": 0, "permission_overwrites": wire}],
            "members": [], "emojis": [], "stickers": [], "features": [],
        }  # fmt: skip
        self.guild = discord.Guild(data=payload, state=state)
        channel = self.guild.get_channel(PLACE)
        assert isinstance(channel, discord.TextChannel)
        self.channel = channel
        user = {"id": str(ANN), "username": "ann", "discriminator": "0", "avatar": None}
        data: Any = {"user": user, "roles": [str(id) for id in mine], "joined_at": NOW.isoformat(), "flags": 0}
        self.member = discord.Member(data=data, guild=self.guild, state=state)

    def thread(self, owner: int) -> discord.Thread:
        """A thread in the channel."""
        data: Any = {"id": str(THREAD), "parent_id": str(PLACE), "owner_id": str(owner), "name": "t", "type": 11,
                     "guild_id": str(GUILD), "message_count": 0, "member_count": 0, "rate_limit_per_user": 0,
                     "thread_metadata": {"archived": False, "auto_archive_duration": 60, "locked": False,
                                         "archive_timestamp": NOW.isoformat()}}  # fmt: skip
        return discord.Thread(guild=self.guild, state=self.guild._state, data=data)


def full(role: dict[str, Any]) -> dict[str, Any]:
    return role | {
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


SEEN = Permissions(view_channel=True).value
"""Who can't see a channel can't speak there: everybody sees it."""


def judged(roles: dict[int, int], overwrites: list[tuple[int, int, int]], mine: list[int], owner: int) -> Permissions:
    """What simcord makes of it."""
    guild = Guild(id=GUILD, name="g", owner_id=owner)
    guild.roles = {id: Role(id=id, name="r", permissions=bits) for id, bits in roles.items()}
    guild.members = {ANN: Member(user_id=ANN, role_ids=list(mine))}
    channel = Channel(id=PLACE, type=ChannelType.TEXT, guild_id=GUILD, name="c")
    channel.overwrites = [
        Overwrite(target_id=id, type=OverwriteType.MEMBER if id == ANN else OverwriteType.ROLE, allow=allow, deny=deny)
        for id, allow, deny in overwrites
    ]
    return Permissions(reference.compute(guild, ANN, channel, now=NOW))


@settings(max_examples=300)
@given(
    st.fixed_dictionaries({id: BITS for id in (GUILD, *ROLES)}),
    st.lists(st.tuples(st.sampled_from([GUILD, *ROLES, ANN]), BITS, BITS), max_size=4, unique_by=lambda each: each[0]),
    st.lists(st.sampled_from(ROLES), unique=True),
    st.sampled_from([OWNER, ANN]),
)
def test_admins_are_who_discord_says(
    roles: dict[int, int], overwrites: list[tuple[int, int, int]], mine: list[int], owner: int
) -> None:
    roles |= {GUILD: roles[GUILD] | SEEN}
    world, may = World(roles, overwrites, mine, owner), judged(roles, overwrites, mine, owner)
    admin = may.manage_channels or may.manage_guild
    assert (role_in(world.channel, None, world.member) is chat.Role.ADMIN) is admin
    assert (role_in(world.channel, world.thread(OWNER), world.member) is chat.Role.ADMIN) is (
        admin or may.manage_threads
    )
    assert role_in(world.channel, world.thread(ANN), world.member) is chat.Role.ADMIN, "his own thread"


@each_row(
    ("name", "admin", "in_threads"),
    [
        ("manage_channels", True, True),
        ("manage_guild", True, True),
        ("administrator", True, True),
        ("manage_threads", False, True),
        ("manage_messages", False, False),
        ("kick_members", False, False),
        ("send_messages", False, False),
    ],
)
def test_what_makes_an_admin(name: str, admin: bool, in_threads: bool) -> None:
    roles = {GUILD: Permissions(view_channel=True).value, ROLES[0]: Permissions(**{name: True}).value, ROLES[1]: 0}
    world = World(roles, [], [ROLES[0]], OWNER)
    found = [role_in(world.channel, thread, world.member) for thread in (None, world.thread(OWNER))]
    assert [role is chat.Role.ADMIN for role in found] == [admin, in_threads]


def test_every_flag_alone_and_in_pairs() -> None:
    for count in (1, 2):
        for flags in itertools.combinations(FLAGS, count):
            roles = {GUILD: SEEN, ROLES[0]: sum(flags), ROLES[1]: 0}
            may = judged(roles, [], [ROLES[0]], OWNER)
            world = World(roles, [], [ROLES[0]], OWNER)
            assert world.channel.permissions_for(world.member).manage_channels is may.manage_channels
