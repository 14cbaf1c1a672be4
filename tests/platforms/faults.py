"""Faults by script: what happens to the next calls of a kind. Both platform servers take them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import pytest


class FaultKind(StrEnum):
    """What may happen to a call, or to an event."""

    DROP_BEFORE = "drop_before"
    """The connection is lost before the call has an effect."""
    ACCEPT_THEN_DROP = "accept_then_drop"
    """The call has its effect; the connection is lost before the answer."""
    HANG = "hang"
    """The call has its effect; the answer never comes."""
    ERROR = "error"
    """The call is refused. Options: code, and on Telegram description and parameters, on Discord body."""
    RATE_LIMIT = "rate_limit"
    """Discord: 429. Options: seconds, everywhere. Telegram's is an ERROR with its words."""
    TRUNCATED = "truncated"
    """The call has its effect; half of the answer comes."""
    SLOW = "slow"
    """The call is carried out later: after `seconds`, or once the event `gate` is set."""
    DUPLICATE = "duplicate"
    """What comes in comes twice: the updates of a getUpdates, an event of the gateway."""
    REORDER = "reorder"
    """Telegram: the updates of a getUpdates come last first."""


ANY_CALL: Mapping[FaultKind, frozenset[str]] = {
    FaultKind.DROP_BEFORE: frozenset(),
    FaultKind.ACCEPT_THEN_DROP: frozenset(),
    FaultKind.HANG: frozenset(),
    FaultKind.TRUNCATED: frozenset(),
    FaultKind.SLOW: frozenset({"seconds", "gate"}),
}
"""What every call may meet on both platforms, and the options of each."""


def check_fault(kind: object, options: Mapping[str, Any], allowed: Mapping[FaultKind, frozenset[str]]) -> None:
    """Raise ValueError unless it is a kind of fault that is allowed there, with options that it has."""
    if not isinstance(kind, FaultKind):
        raise ValueError(f"no kind of fault: {kind!r}")
    if kind not in allowed:
        raise ValueError(f"{kind} does not happen there, only {', '.join(allowed)}")
    if unknown := options.keys() - allowed[kind]:
        raise ValueError(f"{kind} has no option {', '.join(sorted(unknown))}")


def sweep(calls: Mapping[str, object], faults: Sequence[tuple[str, FaultKind, Mapping[str, Any]]]) -> list[Any]:
    """Rows for parametrize: each call, by its name, with each fault, and the fault's options.

    Each fault is quick with one call, in turn; with the others it is slow.
    """
    return [
        pytest.param(
            call, kind, options, id=f"{fault}-{name}", marks=() if place == row % len(calls) else pytest.mark.slow
        )
        for place, (name, call) in enumerate(calls.items())
        for row, (fault, kind, options) in enumerate(faults)
    ]
