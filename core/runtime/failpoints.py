"""Named points at which the process can be made to die as by `kill -9`: QWENTIN_CRASH_AT=point[:n].

What is promised about crashes is tested at each of them (tests/faults). Where the variable is not set at the start,
passing a point costs nothing; the value may be set later, as long as the variable is there.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable

POINTS = (
    "fetched",  # Telegram has handed over updates, nothing is stored
    "heard",  # the same on Discord's gateway
    "admitting",  # C1: written, not committed
    "admitted",  # C1: committed, not acknowledged
    "confirming",  # stored, and about to be confirmed to Telegram
    "deferring",  # a slash command is stored, its response not promised to Discord
    "claimed",  # C2
    "intending",  # C3: not committed
    "intended",  # C3: committed, nothing is sent
    "sent",  # accepted by the platform, its id not stored: ambiguous
    "noted",  # C4
    "edited",  # a preview or a final edit is accepted
    "concluding",  # the model has ended, nothing is stored
    "concluded",  # C6
    "shown",  # all of the final text is accepted
    "delivered",  # C7
    "commanding",  # a command: before its transaction
    "commanded",  # after it: its confirmation is not sent
    "recovering",  # at start: not committed
    "merging",  # questions of a backlog are merged: not committed
    "copied",  # a migration: the database is copied
    "migrating",  # the tables are changed, not committed
)

_VARIABLE = "QWENTIN_CRASH_AT"
_passed: Counter[str] = Counter()


def _die_if_chosen(name: str) -> None:
    """Kill the process here, at the n-th time that this point is passed, if the environment says so."""
    chosen, _, nth = os.environ.get(_VARIABLE, "").partition(":")
    if chosen and chosen == name:
        _passed[name] += 1
        if _passed[name] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)


failpoint: Callable[[str], object] = _die_if_chosen if _VARIABLE in os.environ else bool
"""Pass a named point. `bool` stands for doing nothing: a call of something built in is as good as none."""
