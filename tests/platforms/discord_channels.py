"""Channels and messages on a Discord server of the tests: what people say becomes events, what the bot says is kept."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.platforms.discord_world import Payload, Person, World
from tests.waiting import until

if TYPE_CHECKING:
    from tests.platforms.discord_guilds import Guild
    from tests.platforms.discord_interactions import Interaction

SUPPRESS_EMBEDS, EPHEMERAL, LOADING, SILENT, V2 = 1 << 2, 1 << 6, 1 << 7, 1 << 12, 1 << 15
TEXT, DM, GROUP, THREAD, PRIVATE_THREAD = 0, 1, 3, 11, 12
GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 12, 1 << 15
BUTTON, TEXT_DISPLAY, SELECTS = 2, 10, (3, 5, 6, 7, 8)
NOTHING = {"content": "", "embeds": [], "attachments": [], "components": []}
"""What is left of a message without the message content intent."""


@dataclass(slots=True, eq=False)
class Message:
    """A message, of a person or of the bot, as it stands."""

    id: int
    channel: "Channel"
    author: Payload
    content: str = ""
    components: list[Payload] = field(default_factory=list)
    flags: int = 0
    kind: int = 0
    reference: Payload | None = None
    nonce: str | None = None
    interaction: "Interaction | None" = None
    pinged: Payload | None = None
    """Whose message it answers, where that one is told."""
    extra: Payload = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    """Everything it ever showed."""
    deleted: bool = False
    at: str = ""
    edited: str | None = None

    @property
    def ephemeral(self) -> bool:
        """Whether only one person sees it."""
        return bool(self.flags & EPHEMERAL)

    @property
    def thinking(self) -> bool:
        """Whether it is promised and not yet filled."""
        return bool(self.flags & LOADING)

    @property
    def own(self) -> bool:
        """Whether the bot wrote it."""
        return bool(self.author["id"] == self.channel.world.me["id"])

    @property
    def reply_to(self) -> int | None:
        """The message that it answers."""
        return int(self.reference["message_id"]) if self.reference else None

    @property
    def buttons(self) -> list[str]:
        """What stands on them."""
        return [each.get("label") or "" for each in walk(self.components) if each["type"] == BUTTON]

    @property
    def selects(self) -> dict[str, tuple[list[str], list[str]]]:
        """Select menus by custom_id: the values to choose from, and those chosen."""
        return {
            each["custom_id"]: (
                [option["value"] for option in each.get("options", [])],
                [option["value"] for option in each.get("options", []) if option.get("default")],
            )
            for each in walk(self.components)
            if each["type"] in SELECTS
        }

    @property
    def labels(self) -> dict[str, list[str]]:
        """Select menus by custom_id: what people read there."""
        return {
            each["custom_id"]: [option["label"] for option in each.get("options", [])]
            for each in walk(self.components)
            if each["type"] in SELECTS
        }

    @property
    def display(self) -> str:
        """What its layout says."""
        return "\n".join(each["content"] for each in walk(self.components) if each["type"] == TEXT_DISPLAY)

    @property
    def shown(self) -> str:
        """What it says, in whichever way."""
        return self.content or self.display

    def payload(self, *, readable: bool = True) -> Payload:
        """As Discord shows it, to an application that may read messages or to one that may not."""
        mentions = {user["id"]: user for user in self._named()}
        if self.pinged:
            mentions[self.pinged["id"]] = self.pinged
        data = {
            "id": str(self.id), "channel_id": str(self.channel.id), "author": self.author, "content": self.content,
            "timestamp": self.at, "edited_timestamp": self.edited, "tts": False, "pinned": False,
            "mention_everyone": not self.own and bool(re.search("@everyone|@here", self.content)),
            "mentions": list(mentions.values()), "mention_roles": re.findall(r"<@&(\d+)>", self.content),
            "attachments": [], "embeds": [], "components": self.components, "type": self.kind, "flags": self.flags,
        } | self.extra  # fmt: skip
        if self.nonce is not None:
            data["nonce"] = self.nonce
        if self.interaction:
            data |= {"interaction_metadata": self.interaction.metadata, "webhook_id": self.channel.world.me["id"]}
        if self.reference:
            data["message_reference"] = self.reference
            answered = self.channel.known.get(int(self.reference["message_id"]))
            if self.kind == 19:
                alive = answered is not None and not answered.deleted
                data["referenced_message"] = answered._alone(readable) if answered and alive else None
        hidden = not (readable or self.own or self.channel.guild is None or self.channel.world.me["id"] in mentions)
        return data | NOTHING if hidden else data

    def event(self, *, readable: bool = True) -> Payload:
        """As the gateway tells of it."""
        guild = self.channel.guild
        if guild is None:
            return self.payload(readable=readable)
        member = guild.member(int(self.author["id"]))
        data = self.payload(readable=readable) | {"guild_id": str(guild.id)}
        return data | ({"member": member} if member and "webhook_id" not in data else {})

    def dispatch(self, name: str) -> None:
        """Tell the bot, where it may see."""
        if not (self.ephemeral or self.channel.hidden):
            intent = DIRECT_MESSAGES if self.channel.guild is None else GUILD_MESSAGES
            self.channel.world.dispatch(name, self.event(), intent, self.event(readable=False))

    def revise(self, content: str) -> None:
        """Its author edits it."""
        self.content, self.edited = content, self.channel.world.iso()
        self.history.append(content)
        self.dispatch("MESSAGE_UPDATE")

    def remove(self) -> None:
        """It is deleted."""
        self.deleted = True
        guild, intent = self.channel.guild, DIRECT_MESSAGES if self.channel.guild is None else GUILD_MESSAGES
        if not (self.ephemeral or self.channel.hidden):
            data = {"id": str(self.id), "channel_id": str(self.channel.id)}
            data |= {"guild_id": str(guild.id)} if guild else {}
            self.channel.world.dispatch("MESSAGE_DELETE", data, intent)

    def change(self, content: str, components: list[Payload], flags: int) -> bool:
        """The bot edits it; whether that changed anything."""
        before = (self.content, self.components, self.flags)
        self.content, self.components, self.flags = content, components, flags
        if before == (content, components, flags):
            return False
        self.edited = self.channel.world.iso()
        if not self.history or self.history[-1] != self.shown:
            self.history.append(self.shown)
        self.dispatch("MESSAGE_UPDATE")
        return True

    def _alone(self, readable: bool) -> Payload:
        """A message that is replied to does not carry the one that it replies to."""
        return {key: value for key, value in self.payload(readable=readable).items() if key != "referenced_message"}

    def _named(self) -> list[Payload]:
        world = self.channel.world
        known = {person.id: person.user for person in world.people.values()} | {int(world.me["id"]): world.me}
        ids = [int(id) for id in re.findall(r"<@!?(\d+)>", self.content)] if not self.own else []
        return [known[id] for id in ids if id in known]


class Channel:
    """A channel, a thread or a DM, with what was said in it. `say` and its like are what people do."""

    def __init__(self, world: World, kind: int, name: str = "", guild: "Guild | None" = None) -> None:
        self.id = world.snowflake()
        self.world, self.kind, self.name, self.guild = world, kind, name, guild
        self.parent: Channel | None = None
        self.owner = 0
        self.locked = False
        """A thread that is archived and locked."""
        self.recipients: list[Person] = []
        self.blocked = False
        """A DM whose person takes no messages from the bot."""
        self.deleted = False
        self.without_bot = False
        """A conversation of people."""
        self.overwrites: dict[int, tuple[int, int, int]] = {}
        """By role or member: kind (0 role, 1 member), allowed, denied."""
        self.known: dict[int, Message] = {}
        """Every message by its id."""
        self.typing = 0
        world.channels[self.id] = self

    @property
    def is_thread(self) -> bool:
        """Whether it hangs on another channel."""
        return self.parent is not None

    @property
    def foreign(self) -> bool:
        """Whether the bot is not in there: only commands that people brought along come from such a place."""
        return self.without_bot or (self.guild is not None and not self.guild.bot_in)

    @property
    def hidden(self) -> bool:
        """Whether the bot sees nothing of it."""
        if self.guild is None or self.foreign:
            return self.foreign
        return not self.guild.may(self.world.application_id, self).view_channel

    @property
    def about(self) -> Payload:
        """As Discord shows it."""
        data: Payload = {"id": str(self.id), "type": self.kind, "flags": 0, "last_message_id": None}
        if self.known:
            data["last_message_id"] = str(max(self.known))
        if self.guild is None:
            return data | {"recipients": [person.user for person in self.recipients]} | self._group()
        data |= {"guild_id": str(self.guild.id), "name": self.name, "rate_limit_per_user": 0}
        if self.parent is not None:
            return data | {"parent_id": str(self.parent.id), "owner_id": str(self.owner), "message_count": 0,
                           "member_count": 1, "total_message_sent": 0, "thread_metadata": {
                               "archived": self.locked, "auto_archive_duration": 1440, "locked": self.locked,
                               "archive_timestamp": self.world.iso()}}  # fmt: skip
        overwrites = [
            {"id": str(id), "type": kind, "allow": str(allowed), "deny": str(denied)}
            for id, (kind, allowed, denied) in self.overwrites.items()
        ]
        return data | {"position": 0, "topic": None, "nsfw": False, "parent_id": None,
                       "permission_overwrites": overwrites}  # fmt: skip

    # What people do

    def say(self, text: str = "", by: Person | None = None, *, mention: bool = False,
            reply_to: Message | None = None, ping: bool = True, **more: Any) -> Message:  # fmt: skip
        """A message. More: author, attachments, type, flags, webhook_id, whatever a payload has."""
        author = more.pop("author", None) or (by or self.recipients[0]).user
        content = f"<@{self.world.me['id']}> {text}" if mention else text
        reference, kind = None, 0
        if reply_to is not None:
            reference, kind = self.refer(reply_to.id), 19
        message = Message(self.world.snowflake(), self, author, content, kind=more.pop("type", kind),
                          flags=more.pop("flags", 0), reference=more.pop("message_reference", reference),
                          extra=more, at=self.world.iso(), history=[content])  # fmt: skip
        message.pinged = reply_to.author if reply_to is not None and ping else None
        self.known[message.id] = message
        message.dispatch("MESSAGE_CREATE")
        return message

    def thread(self, by: Person | None, name: str, *, public: bool = True) -> "Channel":
        """A thread that hangs here, opened by a person or, by None, by the bot."""
        assert self.guild is not None
        thread = Channel(self.world, THREAD if public else PRIVATE_THREAD, name, self.guild)
        thread.parent, thread.owner = self, by.id if by else self.world.application_id
        if not thread.hidden:
            self.world.dispatch("THREAD_CREATE", thread.about | {"newly_created": True}, GUILDS)
        return thread

    def delete(self) -> None:
        """Away with it."""
        hidden, self.deleted = self.hidden, True
        if not hidden and self.guild is not None:
            self.world.dispatch("THREAD_DELETE" if self.is_thread else "CHANNEL_DELETE", self.about, GUILDS)

    # What a person sees

    @property
    def messages(self) -> list[Message]:
        """The bot's messages that are still there, ephemeral ones too."""
        return [message for message in self.known.values() if message.own and not message.deleted]

    @property
    def last(self) -> Message:
        """The bot's newest message."""
        assert self.messages, "the bot has said nothing here"
        return self.messages[-1]

    @property
    def texts(self) -> list[str]:
        """What the bot's messages show."""
        return [message.shown for message in self.messages]

    async def until(self, true: Callable[["Channel"], object]) -> None:
        """Wait until it is so; says what was seen instead."""

        def seen() -> object:
            shown = [(each.id, each.shown, each.buttons, each.thinking, each.history) for each in self.messages]
            return self.name or self.id, shown, self.world.ledger[-3:]

        await until(lambda: true(self), seen)

    async def ended(self, count: int = 1) -> Message:
        """Wait for so many messages, the last of which no longer grows; that one."""
        await self.until(lambda _: len(self.messages) >= count and not _growing(self.last))
        return self.last

    # What the bot does

    def create(self, content: str, components: list[Payload], flags: int, **more: Any) -> Message:
        """The bot's message. More: kind, reference, nonce, interaction."""
        message = Message(self.world.snowflake(), self, self.world.me, content, components, flags,
                          at=self.world.iso(), **more)  # fmt: skip
        if not message.thinking:
            message.history.append(message.shown)
        self.known[message.id] = message
        message.dispatch("MESSAGE_CREATE")
        return message

    def typed(self) -> None:
        """The bot is seen typing."""
        self.typing += 1

    def refer(self, id: int) -> Payload:
        """What points to a message here."""
        guild = {"guild_id": str(self.guild.id)} if self.guild else {}
        return {"type": 0, "channel_id": str(self.id), "message_id": str(id), **guild}

    def _group(self) -> Payload:
        return {"name": self.name, "icon": None, "owner_id": str(self.recipients[0].id)} if self.kind == GROUP else {}


def walk(components: list[Payload]) -> Iterator[Payload]:
    """Components and all in them, in order."""
    for component in components:
        yield component
        inner = [component[key] for key in ("accessory", "component") if component.get(key)]
        yield from walk([*component.get("components", []), *inner])


def attachment(name: str, size: int = 1, kind: str = "text/plain") -> Payload:
    """A file beside a message, as Discord shows it. Nobody serves it."""
    return {"id": "1", "filename": name, "size": size, "content_type": kind, "url": f"https://cdn.invalid/{name}",
            "proxy_url": f"https://cdn.invalid/{name}"}  # fmt: skip


def _growing(message: Message) -> bool:
    return message.thinking or any(label.startswith("⏹") for label in message.buttons)
