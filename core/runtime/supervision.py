"""Tasks that are watched: one that must not end ends the program, one that may fail ends nobody else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
"""Begun only where it is waited for: a task may be cancelled before its first step."""


async def must_not_end(what: str, work: Work) -> None:
    """What goes on for ever. Raises RuntimeError where it ends all the same, or is cancelled by nobody of ours."""
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    raise RuntimeError(f"{what} has ended")


async def logged(what: str, work: Work) -> None:
    """What one message or event needs: a failure is told, and its task group lives on."""
    try:
        await work()
    except Exception as error:
        log.error("%s failed:\n%s", what, safe_traceback(error))
