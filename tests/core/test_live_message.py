"""A growing message: what is planned, what is shown, what is stored about it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Chunk, Reply
from core.live_message import EMPTY, Edit, LiveMessage, RateGate, Send, plan
from core.states import Event, Lane
from storage.store import DatabaseStore
from tests.fakes import FakeSurface, incoming

PARTS = st.lists(st.text(min_size=1, max_size=5), max_size=5)


@given(PARTS, st.lists(st.one_of(st.none(), st.text(min_size=1, max_size=3)), max_size=5), PARTS)
def test_a_plan_carried_out_leaves_nothing_to_do(parts: list[str], ids: list[str | None], shown: list[str]) -> None:
    chunks = [Chunk(f"n{i}", message_id) for i, message_id in enumerate(ids)]
    known = shown[: len(chunks)]
    for action in plan(parts, chunks, known):
        match action:
            case Send(index, text):
                new = Chunk(f"n{index}", f"id{index}")
                chunks[index : index + 1] = [new]
            case Edit(index, message_id, text):
                assert chunks[index].message_id == message_id
        known += [""] * (index + 1 - len(known))
        known[index] = text
    after = [action for action in plan(parts, chunks, known) if not (isinstance(action, Edit) and action.text == EMPTY)]
    assert after == []


PLANS = [
    ("first text", ["a"], [], [], [Send(0, "a")]),
    ("unchanged", ["a"], [Chunk("n", "7")], ["a"], []),
    ("changed", ["b"], [Chunk("n", "7")], ["a"], [Edit(0, "7", "b")]),
    ("grown into a second", ["a", "b"], [Chunk("n", "7")], ["a"], [Send(1, "b")]),
    ("after a restart", ["a"], [Chunk("n", "7")], [], [Edit(0, "7", "a")]),
    ("intent only: sent again", ["a"], [Chunk("n")], [], [Send(0, "a")]),
    ("shorter than before", ["a"], [Chunk("n", "7"), Chunk("m", "8")], ["a", "b"], [Edit(1, "8", EMPTY)]),
    ("shorter, and the rest never sent", ["a"], [Chunk("n", "7"), Chunk("m")], ["a"], []),
]


@pytest.mark.parametrize(("parts", "chunks", "shown", "expected"), [p[1:] for p in PLANS], ids=[p[0] for p in PLANS])
def test_plans(parts: list[str], chunks: list[Chunk], shown: list[str], expected: list[object]) -> None:
    assert plan(parts, chunks, shown) == expected


async def claimed(store: DatabaseStore) -> Reply:
    async with store.begin() as tx:
        reply = await tx.replies.add(incoming("hello"), Lane.ANSWER)
        assert reply
        return await tx.replies.move(reply, Event.CLAIM)


def message(store: DatabaseStore, reply: Reply, surface: FakeSurface, blocked: str = "\0") -> LiveMessage:
    return LiveMessage(store, reply, surface, RateGate(), "i", lambda text: blocked not in text)


async def settled(live: LiveMessage, surface: FakeSurface, text: str) -> None:
    """Write, and wait until it is shown."""
    live.write(text)
    async with asyncio.timeout(5):
        while not surface.history or not surface.history[-1].endswith(text.strip()):
            await asyncio.sleep(0.001)


async def test_it_grows_in_one_message_and_ends_with_the_final_text(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    async with message(store, reply, surface) as live:
        await settled(live, surface, "one")
        await settled(live, surface, " two")
        await live.finish("one two three")
    assert surface.messages == {"1": "one two three"}
    assert surface.nonces == [f"i-{reply.id}-0"]
    async with store.begin() as tx:
        assert (await tx.replies.get(reply.id)).chunks == (Chunk(f"i-{reply.id}-0", "1"),)


async def test_the_final_text_is_shown_without_any_preview(store: DatabaseStore) -> None:
    surface = FakeSurface()
    async with message(store, await claimed(store), surface) as live:
        await live.finish("all at once")
    assert surface.history == ["all at once"]


async def test_an_intent_is_stored_before_the_send(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    surface.fails = ConnectionError
    async with message(store, reply, surface) as live:
        with pytest.raises(ConnectionError):
            await live.finish("lost")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
        assert reply.chunks == (Chunk(f"i-{reply.id}-0"),)
    surface.fails = None
    async with message(store, reply, surface) as live:
        await live.finish("again")
    assert (surface.messages, surface.nonces) == ({"1": "again"}, [f"i-{reply.id}-0"])


async def test_after_a_restart_the_same_message_is_edited(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    async with message(store, reply, surface) as live:
        await live.finish("half")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with message(store, reply, surface) as live:
        await live.finish("whole")
    assert surface.messages == {"1": "whole"}


async def test_failing_previews_do_not_cost_the_final_text(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    surface.fails = ConnectionError
    async with message(store, reply, surface) as live:
        live.write("preview")
        await asyncio.sleep(0.05)
        surface.fails = None
        await live.finish("final")
    assert surface.messages == {"1": "final"}


async def test_what_the_last_gate_refuses_is_never_previewed(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    async with message(store, reply, surface, blocked="bad") as live:
        live.write("b*a*d")  # harmless until it is rendered
        await asyncio.sleep(0.05)
        assert surface.history == []
        assert not live.allows("b*a*d") and live.allows("b-a-d")


async def test_a_long_text_becomes_several_messages_and_a_shorter_one_empties_them(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface(limit=60)
    long = " ".join(["word"] * 30)
    async with message(store, reply, surface) as live:
        await live.finish(long)
    assert " ".join(surface.messages.values()) == long and len(surface.messages) == 3
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with message(store, reply, surface) as live:
        await live.finish("short")
    assert list(surface.messages.values()) == ["short", EMPTY, EMPTY]


async def test_a_preview_closes_its_code(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    async with message(store, reply, surface) as live:
        live.write("```py\nprint(1)")
        async with asyncio.timeout(5):
            while not surface.history:
                await asyncio.sleep(0.001)
    assert surface.history == ["```py\nprint(1)\n```"]


async def test_typing_is_shown_until_there_is_text(store: DatabaseStore) -> None:
    reply, surface = await claimed(store), FakeSurface()
    async with message(store, reply, surface):
        await asyncio.sleep(0.01)
    assert surface.typed == 1 and surface.history == []


async def test_every_call_to_a_chat_keeps_the_interval(store: DatabaseStore) -> None:
    reply, surface, loop = await claimed(store), FakeSurface(limit=60), asyncio.get_running_loop()
    surface.interval = 0.05
    start = loop.time()
    async with message(store, reply, surface) as live:
        await live.finish(" ".join(["word"] * 30))
    assert len(surface.messages) == 3 and loop.time() - start >= 0.09


async def test_the_gate_spaces_calls_of_a_chat_and_of_no_other() -> None:
    gate, loop = RateGate(), asyncio.get_running_loop()
    start = loop.time()
    await gate.wait("a", 0.05)
    await gate.wait("b", 0.05)
    assert loop.time() - start < 0.05
    await gate.wait("a", 0.05)
    assert loop.time() - start >= 0.049
