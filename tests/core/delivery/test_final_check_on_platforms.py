"""What both platforms render of an answer that has passed the guard and the last gate is never blocked."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bots.discord_bot import formatting as discord
from bots.telegram_bot import formatting as telegram
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import Reply
from core.domain.platform import NO_CONTROLS, OutgoingMessage
from core.domain.reply_states import Lane, State
from core.domain.store import Store
from core.filters import ContentFilter, StreamGuard, blocked
from tests.core.filters.corpus import RUDE
from tests.fakes import ANN, CHAT, FakeChannel
from tests.tables import each_row


class Rendered(Protocol):
    """A message as a person reads it."""

    @property
    def text(self) -> str: ...


Render = Callable[[str], Sequence[Rendered]]


REPLY = Reply(1, CHAT, True, 1, Lane.ANSWER, State.GENERATING, 1, ANN, "hi", "bot", "m:1", 1)
NO_STORE = cast(Store, None)
"""Nothing is sent, so nothing is stored."""


class Page(FakeChannel):
    """A chat that shows texts as a platform does."""

    def __init__(self, render: Render) -> None:
        super().__init__()
        self._render = render

    def texts(self, text: str) -> list[str]:
        """Of every message."""
        return [message.text for message in self._render(text)]

    def format(self, markdown: str) -> list[OutgoingMessage]:
        return [OutgoingMessage(text) for text in self.texts(markdown)]


PIECES = st.sampled_from(
    [*RUDE, "f", "u", "ck", "fu", "sh", "it", "đị", "t mẹ", "**", "*", "_", "__", "~~", "||", "`", "```\n", "[",
     "](http://a.b)", "](x)", "\\", "<", ">", "&#102;", "&amp;", "\n", "\n\n", "# ", "- ", "> ", "| ", " ", "ok"]
)  # fmt: skip


@each_row("render", [telegram.messages, discord.messages], ids=["telegram", "discord"])
@given(said=st.lists(PIECES, max_size=14))
@example(said=["fu", "[", "ck", "](http://a.b)"])
@example(said=["f", "**", "u", "**", "ck"])
@example(said=["&#102;", "u", "ck"])
@example(said=["f", "\\", "u", "\\", "ck"])
def test_what_is_rendered_is_never_blocked(render: Render, said: list[str]) -> None:
    guard, page = StreamGuard(), Page(render)
    released = "".join(map(guard.feed, said)) + guard.finish()
    delivery = Delivery(NO_STORE, ChatRateLimiter(), "i", ContentFilter(), lambda: 0)
    message = StreamingMessage(delivery, REPLY, page, NO_CONTROLS, asyncio.Event())
    shown = asyncio.run(message.permitted(released))
    assert not any(map(blocked, page.texts(shown)))
    if not any(map(blocked, ["".join(said), *page.texts("".join(said))])):
        assert shown == "".join(said)


class WithFormulas(Page):
    """A chat that shows letters which stand among the signs of a formula."""

    def format(self, markdown: str) -> list[OutgoingMessage]:
        return [OutgoingMessage("a formula", hidden_text=markdown)]


@pytest.mark.slow
@each_row(("letters", "allowed"), [("luck", True), ("fuck", False)])
async def test_the_letters_of_formulas_are_judged(letters: str, allowed: bool) -> None:
    delivery = Delivery(NO_STORE, ChatRateLimiter(), "i", ContentFilter(), lambda: 0)
    channel = WithFormulas(telegram.messages)
    assert await StreamingMessage(delivery, REPLY, channel, NO_CONTROLS, asyncio.Event()).allows(letters) is allowed
