"""Calls that are not cut in half, and blocks that end with a flag."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.runtime.cancellation import interrupted_by, uncancelled
from tests.patience import limit
from tests.tables import each_row


async def test_a_result_and_an_error_come_through() -> None:
    async def fine() -> int:
        return 7

    async def broken() -> int:
        raise ZeroDivisionError

    assert await uncancelled(fine()) == 7
    with pytest.raises(ZeroDivisionError):
        await uncancelled(broken())


@each_row("times", [1, 3])
async def test_a_call_ends_before_its_cancellation_goes_on(times: int) -> None:
    goes_on, ended = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        await goes_on.wait()
        ended.set()

    task = asyncio.create_task(uncancelled(call()))
    for _ in range(times):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


class Block:
    """A block that reads a queue until `stop` is set, in a task of its own."""

    def __init__(self) -> None:
        self.stop, self.queue, self.read = asyncio.Event(), asyncio.Queue[int](), list[int]()
        self.closed = False
        """Whether what the block had opened was closed."""
        self.went_on = False
        """Whether the code after the block ran."""
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        async with interrupted_by(self.stop):
            try:
                while (number := await self.queue.get()) >= 0:
                    self.read.append(number)
            finally:
                self.closed = True
        self.went_on = True

    async def settle(self) -> None:
        """Let the event loop run what is due."""
        for _ in range(10):
            await asyncio.sleep(0)


@asynccontextmanager
async def a_block() -> AsyncIterator[Block]:
    block = Block()
    await block.settle()
    yield block
    await block.settle()
    assert block.task.done() and asyncio.all_tasks() == {asyncio.current_task()}, "nothing is left running"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with a_block() as block:
        yield block


async def test_a_flag_ends_a_wait(block: Block) -> None:
    block.stop.set()
    async with limit():
        await block.task
    assert block.closed and block.went_on


async def test_what_came_before_the_flag_is_read(block: Block) -> None:
    for number in range(3):
        block.queue.put_nowait(number)
    await block.settle()
    block.stop.set()
    block.queue.put_nowait(3)
    async with limit():
        await block.task
    rest = [block.queue.get_nowait() for _ in range(block.queue.qsize())]
    assert [*block.read, *rest] == [0, 1, 2, 3], "nothing is lost"
    assert len(block.read) in (3, 4), "at most one more is read"
    assert block.went_on


@each_row("stopped_first", [True, False])
async def test_a_cancellation_from_outside_goes_through(stopped_first: bool) -> None:
    async with a_block() as block:
        if stopped_first:
            block.stop.set()
        block.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await block.task
        assert block.closed and not block.went_on


@each_row("turns", range(6))
async def test_a_cancellation_at_any_moment_of_the_end_is_not_swallowed(turns: int) -> None:
    async with a_block() as block:
        block.stop.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        was_running = block.task.cancel()
        await asyncio.wait({block.task})
        assert block.task.cancelled() == was_running


@each_row("flagged", [True, False])
@each_row("error", [ZeroDivisionError, TimeoutError])
async def test_an_error_in_the_block_comes_through(error: type[Exception], flagged: bool) -> None:
    stop = asyncio.Event()
    with pytest.raises(error):
        async with interrupted_by(stop):
            if flagged:
                stop.set()
            raise error
    assert len(asyncio.all_tasks()) == 1


async def test_a_block_that_ends_by_itself_is_not_cancelled_afterwards() -> None:
    stop = asyncio.Event()
    async with interrupted_by(stop):
        stop.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_a_flag_that_was_set_before_ends_the_first_wait() -> None:
    stop = asyncio.Event()
    stop.set()
    async with limit(), interrupted_by(stop):
        await asyncio.Event().wait()


async def test_a_long_block_has_one_task_beside_it() -> None:
    async with interrupted_by(asyncio.Event()):
        for _ in range(100):
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 2
