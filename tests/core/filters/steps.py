"""How much work something is, in steps: the same on every machine."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Counts calls of functions, also of those written in C."""
    steps = 0

    def step(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(step)
    try:
        yield lambda: steps
    finally:
        sys.setprofile(None)
