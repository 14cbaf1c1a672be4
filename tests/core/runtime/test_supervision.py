"""Watching tasks and handing messages on: what ends whom, and what is tried for how long."""

import asyncio

import pytest

from core.runtime.supervision import logged, must_not_end, running_loops
from tests.patience import limit


async def test_what_must_not_end_raises_where_it_does() -> None:
    async def ends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="the loop has ended"):
        await must_not_end("the loop", ends)


async def test_a_cancellation_from_within_is_an_end_too() -> None:
    """A task group would take it for one of its own."""

    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="the loop has ended"):
        await asyncio.create_task(must_not_end("the loop", gives_up))


async def test_who_is_cancelled_from_outside_just_ends() -> None:
    begun = asyncio.Event()

    async def goes_on() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(must_not_end("the loop", goes_on))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_an_error_of_its_own_is_told_as_it_is() -> None:
    async def fails() -> None:
        raise OSError

    with pytest.raises(OSError):
        await must_not_end("the loop", fails)


async def test_a_loop_that_ends_ends_those_beside_it_and_the_block() -> None:
    """With an error or without, or cancelled from within."""
    others = list[asyncio.Task[object]]()

    async def goes_on() -> None:
        task = asyncio.current_task()
        assert task
        others.append(task)
        await asyncio.Event().wait()

    async def returns() -> None:
        await asyncio.sleep(0)

    async def fails() -> None:
        raise OSError("gone")

    async def gives_up() -> None:
        raise asyncio.CancelledError

    for loop, error in ((returns, RuntimeError), (fails, OSError), (gives_up, RuntimeError)):
        with pytest.raises(error, match=r"gone|the loop has ended"):
            async with limit(), running_loops({"another": goes_on, "the loop": loop}):
                await asyncio.Event().wait()
        assert others.pop().cancelled() and len(asyncio.all_tasks()) == 1


async def test_loops_end_with_their_block() -> None:
    async def goes_on() -> None:
        await asyncio.Event().wait()

    async with running_loops({"one": goes_on, "two": goes_on}):
        await asyncio.sleep(0)
    with pytest.raises(ValueError):
        async with running_loops({"one": goes_on}):
            raise ValueError
    assert len(asyncio.all_tasks()) == 1


async def test_what_may_fail_ends_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        text = "what somebody wrote"
        raise ValueError(text)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(logged("a press", fails))
    assert "a press failed" in caplog.text and "ValueError" in caplog.text and "ValueError: what" not in caplog.text
