"""What both platforms render of an answer that has passed the guard and the last gate is never blocked."""

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bots.discord_bot import formatting as discord
from bots.telegram_bot import formatting as telegram
from core.delivery.final_check import FinalCheck
from core.filters import STANDARD, ContentFilter, StreamGuard, blocked
from tests.core.filters.corpus import RUDE


class Rendered(Protocol):
    """A message as a person reads it."""

    @property
    def text(self) -> str: ...


Render = Callable[[str], Sequence[Rendered]]


class Page:
    """See core.delivery.final_check."""

    def __init__(self, render: Render) -> None:
        self._render = render

    def texts(self, text: str) -> list[str]:
        """Of every message."""
        return [message.text for message in self._render(text)]

    def allows(self, text: str) -> bool:
        return not any(map(blocked, self.texts(text)))

    def rendered(self, text: str) -> str:
        return "\n".join(self.texts(text))


PIECES = st.sampled_from(
    [*RUDE, "f", "u", "ck", "fu", "sh", "it", "đị", "t mẹ", "**", "*", "_", "__", "~~", "||", "`", "```\n", "[",
     "](http://a.b)", "](x)", "\\", "<", ">", "&#102;", "&amp;", "\n", "\n\n", "# ", "- ", "> ", "| ", " ", "ok"]
)  # fmt: skip


@pytest.mark.parametrize("render", [telegram.messages, discord.messages], ids=["telegram", "discord"])
@given(said=st.lists(PIECES, max_size=14))
@example(said=["fu", "[", "ck", "](http://a.b)"])
@example(said=["f", "**", "u", "**", "ck"])
@example(said=["&#102;", "u", "ck"])
@example(said=["f", "\\", "u", "\\", "ck"])
def test_what_is_rendered_is_never_blocked(render: Render, said: list[str]) -> None:
    guard, page = StreamGuard(), Page(render)
    released = "".join(map(guard.feed, said)) + guard.finish()
    shown = FinalCheck(ContentFilter()).permitted(released, page, STANDARD)
    assert not any(map(blocked, page.texts(shown)))
    if not any(map(blocked, ["".join(said), *page.texts("".join(said))])):
        assert shown == "".join(said)
