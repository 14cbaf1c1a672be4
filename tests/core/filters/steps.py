"""Counting the steps of a piece of work, which are the same on every machine."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Within the block, counts the calls of functions, those written in C included; yields a reader of the count."""
    steps = 0

    def step(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(step)
    try:
        yield lambda: steps
    finally:
        sys.setprofile(None)
