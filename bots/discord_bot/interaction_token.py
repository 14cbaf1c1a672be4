"""Where a slash command, a form or a press is answered: what is kept of an interaction, and which way leads there.

Pure. An interaction's token is good for 15 minutes (Discord, receiving-and-responding); it goes with the reply's end.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from discord.utils import snowflake_time

PERSONAL = "u"
"""Begins the thread of a conversation that one person has for himself, beside those of the channel."""
GOOD_FOR = 14 * 60 * 1000
"""Milliseconds that a token is trusted: a minute less than Discord takes it."""

_ORIGIN = re.compile(r"(\d+):([hpo]*):(\S+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """An interaction. `hidden`: what it was first answered with is for the asker's eyes only. `pressed`: it is a press,
    so its first response is the message with the button. `outside`: the bot can't write there by itself."""

    interaction: int
    token: str = field(repr=False)
    hidden: bool = False
    pressed: bool = False
    outside: bool = False

    def __str__(self) -> str:
        flags = ("h" if self.hidden else "") + ("p" if self.pressed else "") + ("o" if self.outside else "")
        return f"{self.interaction}:{flags}:{self.token}"

    def good(self, now: int) -> bool:
        """Whether its token still is. Milliseconds UTC."""
        return now - sent_at(self.interaction) < GOOD_FOR


def read(text: str) -> Origin | None:
    """The origin that `str` wrote; None where there is none."""
    match = _ORIGIN.fullmatch(text)
    return Origin(int(match[1]), match[3], *(flag in match[2] for flag in "hpo")) if match else None


def sent_at(snowflake: int) -> int:
    """When a message or interaction was made, in milliseconds UTC."""
    return int(snowflake_time(snowflake).timestamp() * 1000)


class Route(Enum):
    """How a new message gets to people."""

    CHANNEL = auto()
    """As a message of the bot's own."""
    ORIGINAL = auto()
    """As the response that Discord has been promised."""
    FOLLOWUP = auto()
    """As a further response."""
    DIRECT = auto()
    """As a private message to the asker: nothing else is left."""


def choose_route(origin: Origin | None, index: int, *, good: bool, hidden: bool) -> Route:
    """The way of a reply's `index`th message. `good`: the origin's token is. `hidden`: only the asker may see it."""
    if origin is None or not good:
        return Route.DIRECT if hidden or (origin is not None and origin.outside) else Route.CHANNEL
    if index == 0 and not origin.pressed and hidden == origin.hidden:
        return Route.ORIGINAL
    return Route.FOLLOWUP if hidden or origin.outside else Route.CHANNEL
