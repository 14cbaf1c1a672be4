"""Recognising a message that was sent though its id was never noted: which sign counts, and what is another's."""

from dataclasses import replace
from typing import Any

from bots.discord_bot.sent_message_lookup import SentMessage, find_sent_message
from tests.tables import each_row

Json = dict[str, Any]

SOUGHT = SentMessage(1, 7, "i-7-0", "Hello there.", 50, None, {"90"})


def told(id: int, content: str = "", by: int = 1, **more: Any) -> Json:
    return {"id": str(id), "author": {"id": str(by)}, "content": content, "flags": 4, "components": []} | more


def buttons(*ids: str) -> Json:
    row = {"type": 1, "components": [{"type": 2, "custom_id": id} for id in ids]}
    return {"components": [row]}


def quotes(message: int) -> Json:
    return {"message_reference": {"message_id": str(message), "channel_id": "3"}}


def responds(interaction: int) -> Json:
    return {"interaction_metadata": {"id": str(interaction)}}


@each_row(
    ("sought", "history", "found"),
    [
        (SOUGHT, [], None),
        (SOUGHT, [told(60, "x", nonce="i-7-0")], "60"),
        (SOUGHT, [told(60, "x", by=2, nonce="i-7-0")], None),  # whoever else
        (SOUGHT, [told(90, "x", nonce="i-7-0")], None),  # the reply has it already
        (SOUGHT, [told(60, "x", **buttons("a:s:7"))], "60"),
        (SOUGHT, [told(60, "x", **buttons("a:c:7", "a:r:7"))], "60"),
        (SOUGHT, [told(60, "x", **buttons("a:s:77"))], None),
        (SOUGHT, [told(60, "x", **buttons("p:t:00000000", "q:7"))], None),
        (SOUGHT, [told(60, "x", **quotes(50))], "60"),
        (SOUGHT, [told(60, "x", **quotes(51))], None),
        (replace(SOUGHT, question=None), [told(60, "x", **quotes(50))], None),
        (SOUGHT, [told(60, "Hello there.\n")], "60"),
        (SOUGHT, [told(60, "Hello there!")], None),
        (SOUGHT, [told(60, "Hello there.", **quotes(51))], None),  # said to somebody else
        (SOUGHT, [told(60, "Hello there.", **buttons("a:r:6"))], None),
        (SOUGHT, [told(60, "Hello there.", **responds(5))], None),
        (SOUGHT, [told(60, "Hello there.", nonce="i-6-0")], None),
        (replace(SOUGHT, content="…"), [told(60, "…")], None),  # a stub is like any other
        (replace(SOUGHT, content=""), [told(60, "")], None),
        (replace(SOUGHT, interaction=5), [told(60, "x", **responds(5))], "60"),
        (replace(SOUGHT, interaction=5), [told(60, "", flags=1 << 7, **responds(5))], None),  # only promised
        (SOUGHT, [told(62, "x", **quotes(50)), told(61, "x", **buttons("a:s:7"))], "61"),  # the surer sign
        (SOUGHT, [told(62, "x", **quotes(50)), told(61, "x", **quotes(50))], "61"),  # the older one
        (SOUGHT, [{"id": "60"}, told(61, "x", message_reference=None, components=None, nonce=None)], None),
    ],
)
def test_which_message_is_the_one(sought: SentMessage, history: list[Json], found: str | None) -> None:
    assert find_sent_message(sought, history) == found
