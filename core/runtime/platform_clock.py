"""The time by a platform's own clock, by which it dates messages: this machine's may be wrong."""

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

log = logging.getLogger(__name__)

NOTABLE_S = 60.0
"""The owner is told where this machine's clock is wrong by more."""


class PlatformClock:
    """A platform's clock, as the platform told it last; this machine's until then. Times are milliseconds UTC.

    `name`: the platform's, for the log. `now`: this machine's clock. `monotonic`: seconds.
    """

    def __init__(self, name: str, now: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._name, self._host_now, self._monotonic = name, now, monotonic
        self._ahead: int | None = None
        """How far the platform's clock is ahead of the monotonic one; None where it was never told."""

    def set(self, date: str | None) -> None:
        """Take the time from the Date header of an answer (RFC 9110, 6.6.1; whole seconds). What is no date changes
        nothing. The first that differs much from this machine's clock is logged."""
        try:
            at = round(parsedate_to_datetime(date or "").timestamp() * 1000)
        except ValueError:
            return
        wrong_s = (self._host_now() - at) / 1000
        if self._ahead is None and abs(wrong_s) > NOTABLE_S:
            relation = "ahead of" if wrong_s > 0 else "behind"
            log.warning("this machine's clock is %.0f s %s %s's", abs(wrong_s), relation, self._name)
        self._ahead = at - round(self._monotonic() * 1000)

    def now(self) -> int:
        """The time there."""
        return self._host_now() if self._ahead is None else self._ahead + round(self._monotonic() * 1000)
