"""What people do in a long life, one act at a time, as a seed has it."""

import time
from collections.abc import Callable
from typing import Any

from core.commands.button_payloads import SettingPayload, decode_payload
from tests.faults.answers import BOOM, ENDLESS, LONG, MARKS, SWEAR
from tests.faults.evidence import ANSWERED, Said
from tests.faults.places import EVERY_END, DiscordPlace, Place, TelegramPlace
from tests.faults.talks import DiscordTalk, TelegramTalk
from tests.faults.world import World

LOOKS = ("/help", "/settings", "/status", "/whoami", "/lang", "/temp", "/memory", "/filter", "/start", "/help memory")
MENU = ("help", "settings", "status", "whoami", "stop", "retry", "continue", "undo", "clear", "lang", "temp", "memory")
QUIET = 9
NAMES = ("Ann", "Bob", "Cid")
APART_S = 2.5
"""Between what is forwarded and anything else that is said in a private chat of Telegram's."""
REMEMBERED = 40
"""Buttons that may be pressed again when they are gone."""


class People:
    """Everybody, and what they do. `places` is where much happens, `quiet` where an answer is awaited in peace."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random
        self.places: list[Place] = [*self._on_telegram(), *self._on_discord()]
        for place in self.places:
            world.talks.add(place)
        self.quiet = [world.talks.on(world.platforms[n % 2]) for n in range(QUIET)]
        self.acted = 0
        """How many acts there were."""
        self._acted_in: dict[Place, float] = {}
        self._forwarded: dict[Place, float] = {}
        """When somebody last did something in a place, and forwarded something there; monotonic."""
        self._old: list[tuple[Place, str, str]] = []
        self._acts: dict[Callable[[Place], object], float] = {
            self._ask: 8, self._ask_for_more: 3, self._command: 5, self._look: 2, self._stop: 2, self._clear: 0.6,
            self._undo: 1, self._repeat: 2, self._repeat_and_end: 1.5, self._edit: 1, self._delete: 1, self._press: 5,
            self._press_what_was: 1, self._menu: 4, self._menu_and_end: 1, self._forward: 1, self._close: 0.4,
            self._open: 1.2, self._poison: 0.1,
        }  # fmt: skip

    def _on_telegram(self) -> list[Place]:
        server, tokens = self.world.telegram, self.world.talks.tokens
        people = [server.person(name) for name in NAMES]
        group = TelegramTalk(server, tokens, group=True)
        forum = TelegramTalk(server, tokens, group=True)
        forum.chat.details["is_forum"] = True
        for talk in (group, forum):
            talk.chat.members = {people[0].id: "administrator"} | {each.id: "member" for each in people[1:]}
        private = [TelegramTalk(server, tokens) for _ in range(2)]
        topics = [TelegramPlace(forum, people, topic) for topic in (forum.chat.topic(), forum.chat.topic(), None)]
        return [TelegramPlace(group, people), *topics, *(TelegramPlace(talk, [talk.person]) for talk in private)]

    def _on_discord(self) -> list[Place]:
        server, tokens = self.world.discord, self.world.talks.tokens
        people = [server.person(name) for name in NAMES]
        talk = DiscordTalk(server, tokens, group=True)
        guild = talk.channel.guild
        assert guild is not None
        guild.join(people[0], admin=True)
        guild.join(*people[1:])
        channels = [guild.channel(), talk.channel.thread(None, "thread")]
        private = [DiscordTalk(server, tokens) for _ in range(2)]
        return [
            *(DiscordPlace(talk, people, channel) for channel in channels),
            *(DiscordPlace(each, [each.person], each.channel) for each in private),
        ]

    def greet(self) -> None:
        """A first word in each place: one that the bot doesn't know is not read back after an absence."""
        for talk in (*self.places, *self.quiet):
            talk.command("/memory 5")

    def ask_quietly(self) -> None:
        """The quiet ones, a question each. Theirs has an answer, whatever the others do."""
        for talk in self.quiet:
            talk.ask(ends=ANSWERED)

    def act(self) -> None:
        """Somebody does something."""
        now = time.monotonic()
        open_places = [
            place for place in self.places if not place.closed and now - self._forwarded.get(place, -APART_S) >= APART_S
        ]
        place = self.random.choice(open_places)
        act = self.random.choices(list(self._acts), list(self._acts.values()))[0]
        self.acted += 1
        act(place)
        self._acted_in[place] = now

    def reopen(self) -> None:
        """Nothing is closed any more."""
        for place in self.places:
            place.open()

    def _someone(self, place: Place) -> Any:
        return self.random.choice(place.people)

    # Questions

    def _ask(self, place: Place) -> None:
        place.ask(ends=EVERY_END, by=self._someone(place))

    def _ask_for_more(self, place: Place) -> None:
        special = self.random.choice((LONG, LONG, ENDLESS, MARKS, MARKS, MARKS, SWEAR))
        place.ask(special, ends=EVERY_END, by=self._someone(place))

    def _poison(self, place: Place) -> None:
        place.ask(BOOM, ends=EVERY_END, by=self._someone(place))

    def _forward(self, place: Place) -> None:
        """What is said within a second of it would belong to it."""
        now = time.monotonic()
        if isinstance(place, TelegramPlace) and not place.group and now - self._acted_in.get(place, 0) >= APART_S:
            self._forwarded[place] = now
            place.forward("a fact that somebody told")

    def _edit(self, place: Place) -> None:
        if said := self._question(place):
            place.edit(said)

    def _delete(self, place: Place) -> None:
        if (said := self._question(place)) and (isinstance(place, DiscordPlace) or place.group):
            place.delete(said)

    def _question(self, place: Place) -> Said | None:
        """One of the last few."""
        found = [said for said in place.said[-4:] if said.token and not said.altered]
        return self.random.choice(found) if found else None

    # Commands

    def _command(self, place: Place) -> None:
        value = self.random.randint(1, 9)
        text = self.random.choice((f"/temp {value / 10:g}", f"/memory {value}", "/maxtokens 256", "/maxtokens 512"))
        place.command(text, ends=EVERY_END, by=self._someone(place))

    def _look(self, place: Place) -> None:
        place.command(self.random.choice(LOOKS), ends=EVERY_END, by=self._someone(place))

    def _stop(self, place: Place) -> None:
        place.command("/stop", ends=EVERY_END, by=self._someone(place))

    def _clear(self, place: Place) -> None:
        place.command("/clear", ends=EVERY_END, by=place.person)

    def _undo(self, place: Place) -> None:
        place.command("/undo", ends=EVERY_END, by=self._someone(place))

    def _repeat(self, place: Place) -> None:
        by = self._someone(place)
        place.command(self.random.choice(("/retry", "/retry", "/continue")), ends=EVERY_END, by=by)

    def _repeat_and_end(self, place: Place) -> None:
        """A repeat that waits for another's answer, and is ended while it does."""
        by = place.person
        place.ask(ends=EVERY_END, by=by)
        place.command(self.random.choice(("/retry", "/continue")), ends=EVERY_END, by=by)
        place.command(self.random.choice(("/stop", "/undo", "/clear")), ends=EVERY_END, by=by)

    def _menu(self, place: Place) -> None:
        if not isinstance(place, DiscordPlace) or not self.world.discord.commands:
            return
        by, name = self._someone(place), self.random.choice((*MENU, "ask", "ask", "ask"))
        if place.group and by is not place.person and name == "clear":
            return  # Discord does not offer it
        values: dict[str, dict[str, Any]] = {
            "temp": {"value": self.random.randint(1, 9) / 10},
            "memory": {"value": self.random.randint(1, 9)},
        }
        place.menu(by, name, **values.get(name, {}))

    def _menu_and_end(self, place: Place) -> None:
        """Questions from the menu that wait, and are stopped or cleared while they do."""
        if not isinstance(place, DiscordPlace) or not self.world.discord.commands:
            return
        for _ in range(3):
            place.menu(place.person, "ask")
        name = self.random.choice(("stop", "clear"))
        if self.random.random() < 0.5:
            place.menu(place.person, name)
        else:
            place.command(f"/{name}", ends=EVERY_END)

    # Buttons

    def _press(self, place: Place) -> None:
        """Any button by anybody: the one who asked, another, an admin."""
        if isinstance(place, DiscordPlace) and self.random.random() < 0.2 and (choices := place.choices()):
            message, name, value = self.random.choice(choices[-60:])
            self._set(place, name, value)
            place.choose(self._someone(place), message, name, value)
        elif buttons := place.pressable():
            message, _, data = self.random.choice(buttons[-15:])
            self._old = [*self._old[-REMEMBERED:], (place, message, data)]
            self._set(place, data)
            place.press(self._someone(place), message, data)

    def _press_what_was(self, place: Place) -> None:
        """A button that may be there no more, or under a message that is not."""
        if self._old:
            where, message, data = self.random.choice(self._old)
            if any(seen.id == message for seen in where.seen()):
                self._set(where, data)
                where.press(self._someone(where), message, data)

    def _set(self, place: Place, data: str, value: str = "") -> None:
        payload = decode_payload(data)
        if isinstance(payload, SettingPayload):
            self.world.talks.pressed.append((place.where, payload.name, payload.value or value))

    # Topics and threads

    def _close(self, place: Place) -> None:
        place.close()

    def _open(self, place: Place) -> None:
        self.reopen()
