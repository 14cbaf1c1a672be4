"""Places of a long life: chats with several people, topics, threads, and what people do there besides talking."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.faults.answers import CANARY
from tests.faults.evidence import Said, Seen
from tests.faults.talks import COMMANDS, BaseTalk, DiscordTalk, TelegramTalk, seen_on_discord, seen_on_telegram
from tests.platforms.bot_api_chats import Person as TelegramPerson
from tests.platforms.discord_channels import SELECTS, THREAD, Channel, Message, walk
from tests.platforms.discord_interactions import COMMAND, Interaction
from tests.platforms.discord_world import Person as DiscordPerson

EVERY_END = frozenset({"done", "merged", "stopped", "cancelled", "refused", "failed"})
"""What may become of a message in a place where others may stop, clear, retry and take back."""
DEFERRED = 5
"""The callback that promises an answer."""


class Place(BaseTalk):
    """What the places of both platforms have in common. The first of the people is an admin."""

    people: Sequence[Any]
    person: Any
    group: bool
    closed = False
    """Whether nobody can write there."""

    def change(self, said: Said, **changes: Any) -> None:
        """What was said is another thing now."""
        self.said[self.said.index(said)] = replace(said, altered=True, **changes)

    def pressable(self) -> list[tuple[str, str, str]]:
        """Every button there is: its message, what stands on it, what it carries."""
        return [(seen.id, label, data) for seen in self.seen() for label, data in seen.buttons]

    @abstractmethod
    def press(self, by: Any, message: str, data: str) -> None:
        """Somebody presses a button, which may be there no more."""

    @abstractmethod
    def edit(self, said: Said) -> None:
        """Its author adds a word."""

    @abstractmethod
    def delete(self, said: Said) -> None:
        """Its author deletes it."""

    @abstractmethod
    def close(self) -> None:
        """Nobody may write there any more, the bot neither. Only a topic or thread can be closed."""

    @abstractmethod
    def open(self) -> None:
        """They may again."""


class TelegramPlace(TelegramTalk, Place):
    """A private chat, a group, or a topic of one."""

    def __init__(self, talk: TelegramTalk, people: Sequence[TelegramPerson], topic: int | None = None) -> None:
        BaseTalk.__init__(self, talk.tokens)
        self.server, self.chat, self.person, self.group = talk.server, talk.chat, people[0], talk.group
        self.people, self.topic = people, topic
        self.where = f"{talk.where}/{topic}" if topic else talk.where

    def seen(self) -> list[Seen]:
        return [seen_on_telegram(self.where, each) for each in self.chat.messages if each.thread == self.topic]

    def removed(self) -> list[Seen]:
        return [seen_on_telegram(self.where, each) for each in self.chat.removed if each.thread == self.topic]

    def press(self, by: TelegramPerson, message: str, data: str) -> None:
        self.server.press(by, self.chat, data=data, message=int(message))

    def edit(self, said: Said) -> None:
        text = f"{said.text} please"
        self.change(said, text=text)
        self.chat.revise(int(said.id.rpartition(":")[2]), self.addressed(text))

    def delete(self, said: Said) -> None:
        """Telegram tells the bot nothing: it finds out where it replies to the message."""
        self.change(said)
        self.chat.known.pop(int(said.id.rpartition(":")[2]), None)

    def close(self) -> None:
        if self.topic:
            self.closed = True
            self.chat.closed.add(self.topic)

    def open(self) -> None:
        self.closed = False
        self.chat.closed.discard(self.topic)

    def forward(self, words: str) -> Said:
        """What somebody else said, with a comment, which is a question."""
        origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Eve"}
        self.chat.say(words, self.person, forward_origin=origin)
        return self.ask(ends=EVERY_END)

    def _say(self, text: str, **more: Any) -> str:
        return super()._say(text, **more, **({"topic": self.topic} if self.topic else {}))


class DiscordPlace(DiscordTalk, Place):
    """A DM, a channel of a server, or a thread."""

    def __init__(self, talk: DiscordTalk, people: Sequence[DiscordPerson], channel: Channel) -> None:
        BaseTalk.__init__(self, talk.tokens)
        self.server, self.person, self.group, self.channel = talk.server, people[0], talk.group, channel
        self.people = people
        parent = f"{channel.parent.id}/" if channel.parent else ""
        self.where = f"discord/{parent}{channel.id}"
        self._promised: list[tuple[Said, Interaction]] = []
        self._deleted: list[Said] = []

    def seen(self) -> list[Seen]:
        """What one person alone sees keeps its buttons: nobody can change it after a quarter of an hour. What a presser
        is told is no reply."""
        hidden = {str(each.id): each.interaction for each in self.channel.messages if each.ephemeral}
        told = {id for id, interaction in hidden.items() if interaction is not None and interaction.kind != COMMAND}
        seen = [each for each in super().seen() if each.id not in told]
        return [replace(each, buttons=()) if each.id in hidden else each for each in seen]

    def owed(self) -> list[Said]:
        """A command from the menu is owed something once its answer is promised; before that Discord says it failed."""
        return [*self.said, *(said for said, interaction in self._promised if _is_promised(interaction))]

    def unsure(self) -> list[Said]:
        return [*self._deleted, *(said for said, interaction in self._promised if not _is_promised(interaction))]

    def removed(self) -> list[Seen]:
        gone = [each for each in self.channel.known.values() if each.own and each.deleted]
        return [seen_on_discord(self.where, each) for each in gone]

    def menu(self, by: DiscordPerson, name: str, **values: Any) -> None:
        """A command from the menu, or a question as one."""
        token = ""
        if name == "ask":
            token = f"q{next(self.tokens)}"
            values = {"question": f"{token} {CANARY}"}
        interaction = self.server.slash(by, self.channel, name, **values)
        setting, value = COMMANDS.get(f"/{name}"), next(iter(values.values()), None)
        sets = (setting, str(value)) if setting and value is not None else None
        text = f"/{name} {value or ''}".strip()
        self._promised.append((Said(self.where, f"i:{interaction.id}", text, token, EVERY_END, sets), interaction))

    def press(self, by: DiscordPerson, message: str, data: str) -> None:
        self.server.press(by, self.channel, message=self._message(message), custom_id=data)

    def choices(self) -> list[tuple[str, str, str]]:
        """Every choice of a list there is: its message, the list, the value."""
        return [
            (str(message.id), each["custom_id"], option["value"])
            for message in self.channel.messages
            for each in walk(message.components)
            if each["type"] in SELECTS and not message.ephemeral
            for option in each.get("options", [])
        ]

    def choose(self, by: DiscordPerson, message: str, name: str, value: str) -> None:
        """Somebody chooses from a list."""
        self.server.choose(by, self.channel, name, value, message=self._message(message))

    def edit(self, said: Said) -> None:
        text = f"{said.text} please"
        self.change(said, text=text)
        self._message(said.id).revise(f"<@{self.server.me['id']}> {text}" if self.group else text)

    def delete(self, said: Said) -> None:
        """The bot may never have heard of it."""
        self.said.remove(said)
        self._deleted.append(said)
        self._message(said.id).remove()

    def close(self) -> None:
        if self.channel.kind == THREAD:
            self.closed = self.channel.locked = True

    def open(self) -> None:
        self.closed = self.channel.locked = False

    def _message(self, id: str) -> Message:
        return self.channel.known[int(id.rpartition(":")[2])]


def _is_promised(interaction: Interaction) -> bool:
    return interaction.response is not None and interaction.response.type == DEFERRED
