"""Named points at which the process may be told to die, as `kill -9` would have it: QWENTIN_CRASH_AT=point[:n].

What is promised about crashes is tested at each of them (tests/faults). Where the variable is not set nothing happens.
"""

import os
import signal
from collections import Counter

POINTS = (
    "fetched",  # Telegram has handed over updates, nothing is stored
    "heard",  # the same on Discord's gateway
    "admitting",  # C1: all is written, not committed
    "admitted",  # C1: committed, nobody knows
    "confirming",  # stored, and about to be confirmed to Telegram
    "deferring",  # a slash command is stored, its answer not promised to Discord
    "claimed",  # C2
    "intending",  # C3: not committed
    "intended",  # C3: committed, nothing is sent
    "sent",  # taken by the platform, its id not stored: ambiguous
    "noted",  # C4
    "edited",  # a preview or a final edit is taken
    "concluding",  # the model has ended, nothing is stored
    "concluded",  # C6
    "shown",  # all of the final text is taken
    "delivered",  # C7
    "commanding",  # a command: before its transaction
    "commanded",  # after it: its confirmation is not sent
    "recovering",  # at start: not committed
    "merging",  # what piled up is put together: not committed
    "copied",  # a migration: the database is copied
    "migrating",  # the tables are changed, not committed
)
AMBIGUOUS = frozenset({"sent"})
"""Where a first send may have been taken without our knowing: a stub may be left there, and nowhere else."""

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here, at the n-th time that this point is passed, if the environment says so."""
    wanted, _, nth = os.environ.get("QWENTIN_CRASH_AT", "").partition(":")
    if wanted and wanted == name:
        _passed[name] += 1
        if _passed[name] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
