"""The token of a slash command, a form or a press: how it is stored with a reply, and where it lets the bot answer.

A token is good for 15 minutes (Discord, receiving-and-responding). It is deleted with the end of its reply.
"""

import asyncio
import itertools
import re
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from discord.utils import snowflake_time

PERSONAL_PREFIX = "u"
"""Begins the thread of a ChatId that is one person's own conversation in a channel."""
VALID_FOR_MS = 14 * 60 * 1000
"""A token is used for a minute less than Discord takes it."""
FIRST_RESPONSE_TIMEOUT_S = 3.0
"""Discord takes the first response to an interaction for so long."""
MAX_REMEMBERED = 1000
"""Interactions of this process that are remembered."""

_ENCODED = re.compile(r"(\d+):([hpo]*):(\S+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class InteractionToken:
    """What answers an interaction.

    `hidden`: its deferred response is for the person who used it alone. `pressed`: it is a press, so its first response
    is the message with the button. `outside`: the bot can't write there without the token.
    """

    interaction_id: int
    token: str = field(repr=False)
    hidden: bool = False
    pressed: bool = False
    outside: bool = False

    def encode(self) -> str:
        """As a reply's `reply_token`."""
        flags = ("h" if self.hidden else "") + ("p" if self.pressed else "") + ("o" if self.outside else "")
        return f"{self.interaction_id}:{flags}:{self.token}"

    def is_valid(self, now: int) -> bool:
        """Whether Discord still takes it. `now` is in milliseconds UTC."""
        return now - sent_at(self.interaction_id) < VALID_FOR_MS


def decode_token(text: str) -> InteractionToken | None:
    """The token that `encode` wrote; None for any other text."""
    match = _ENCODED.fullmatch(text)
    return InteractionToken(int(match[1]), match[3], *(flag in match[2] for flag in "hpo")) if match else None


def sent_at(snowflake: int) -> int:
    """When a message or interaction was made, in milliseconds UTC."""
    return int(snowflake_time(snowflake).timestamp() * 1000)


class Route(Enum):
    """How a new message reaches people."""

    CHANNEL = auto()
    """As a message of the bot's own."""
    ORIGINAL = auto()
    """As the deferred response of the interaction."""
    FOLLOWUP = auto()
    """As a further response to the interaction."""
    DIRECT = auto()
    """As a private message to the person who asked: nothing else is left."""


def choose_route(token: InteractionToken | None, index: int, *, valid: bool, hidden: bool) -> Route:
    """How the message number `index` of a reply is sent. `valid`: Discord still takes the token. `hidden`: only the
    person who asked may see the message."""
    if token is None or not valid:
        return Route.DIRECT if hidden or (token is not None and token.outside) else Route.CHANNEL
    if index == 0 and not token.pressed and hidden == token.hidden:
        return Route.ORIGINAL
    return Route.FOLLOWUP if hidden or token.outside else Route.CHANNEL


class DeferredResponses:
    """The interactions that this process has taken in, and which of them have had their first response.

    A deferred response can be filled in only after Discord has taken the deferral.
    """

    def __init__(self) -> None:
        self._responded: dict[int, asyncio.Event] = {}

    def begin(self, interaction_id: int) -> asyncio.Event | None:
        """Remember an interaction; return what is to be set once it has its first response. None where it is remembered
        already: Discord has sent it twice."""
        if interaction_id in self._responded:
            return None
        responded = self._responded[interaction_id] = asyncio.Event()
        for oldest in list(itertools.islice(self._responded, max(len(self._responded) - MAX_REMEMBERED, 0))):
            del self._responded[oldest]
        return responded

    async def wait(self, interaction_id: int) -> None:
        """Return when the interaction has its first response, or Discord takes none any more. Return at once for one of
        an earlier process, which is not remembered."""
        responded = self._responded.get(interaction_id)
        if responded is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_RESPONSE_TIMEOUT_S):
                    await responded.wait()
