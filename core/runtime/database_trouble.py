"""What the log says while the database can't be used: one line at once, then one a minute with the number of tries."""

import logging
import time
from collections.abc import Callable

from core.domain.store import Unavailable

log = logging.getLogger(__name__)

REPORT_EVERY_S = 60.0


class DatabaseTrouble:
    """Counts failed tries, whoever made them. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reported_at = float("-inf")
        self._reason, self._unreported = "", 0

    def report(self, what: str, error: Unavailable) -> None:
        """Log that `what` could not be stored or read and is tried again; only counted where a line about the same
        trouble is less than REPORT_EVERY_S old."""
        now, reason = self._clock(), str(error)
        if reason == self._reason and now < self._reported_at + REPORT_EVERY_S:
            self._unreported += 1
            return
        more = f" ({self._unreported} other tries failed since the last line)" if self._unreported else ""
        log.error("%s: the database can't be used, trying again: %s%s", what, reason, more)
        self._reported_at, self._reason, self._unreported = now, reason, 0


DATABASE_TROUBLE = DatabaseTrouble()
"""The one of this process."""
