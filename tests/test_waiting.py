"""Waiting without a clock: a condition is seen in the very step of the loop that makes it true."""

import asyncio

import pytest

from tests import patience
from tests.waiting import idle, until, until_answer


async def test_what_lasts_for_one_step_is_seen() -> None:
    values, before = list[int](), list[int]()

    async def flicker() -> None:
        for value in range(3):
            values[:] = [value]
            await asyncio.sleep(0)

    task = asyncio.create_task(flicker())

    def seen() -> bool:
        before.extend(values)
        return values == [1]

    await until(seen)
    await task
    assert before == [0, 1]


async def test_what_fails_while_it_is_looked_at_fails_the_wait() -> None:
    holder = dict[str, int]()
    asyncio.get_running_loop().call_soon(holder.update, {"x": 1})
    with pytest.raises(ZeroDivisionError):
        await until(lambda: holder and 1 // 0)


async def test_what_never_comes_is_told_with_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LIMIT_S", 0.01)
    with pytest.raises(AssertionError, match="never so: nothing"):
        await until(lambda: False, lambda: "nothing")


async def test_an_answer_is_asked_for_again_at_each_change() -> None:
    asked, count = list[int](), [0]

    async def is_three() -> bool:
        asked.append(count[0])
        return count[0] == 3

    async def change() -> None:
        for _ in range(3):
            for _ in range(5):
                await asyncio.sleep(0)
            count[0] += 1

    task = asyncio.create_task(change())
    await until_answer(is_three, lambda: count[0])
    await task
    assert asked == [0, 1, 2, 3]


async def test_idle_waits_for_what_is_under_way_on_a_socket() -> None:
    got = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(20):
            writer.write(await reader.readexactly(1))
        writer.close()

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            writer.write(b"x")
            got.append(await reader.readexactly(1))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        task = asyncio.create_task(talk(server.sockets[0].getsockname()[1]))
        await idle()
        assert len(got) == 20
        await task
