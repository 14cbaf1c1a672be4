"""All times of the service that a trial may make smaller."""

from dataclasses import dataclass

from core.delivery.streaming_message import SEND_BACKOFF, TYPING_EVERY_S
from core.runtime.retry import DATABASE_BACKOFF, Backoff


@dataclass(frozen=True, slots=True)
class ServiceTiming:
    """How long the service waits, and how often it looks.

    `database_backoff`, `send_backoff`: between attempts at the database, and at showing a final text. `sweep_s`:
    between two searches for orphaned replies. `orphaned_after_s`: from the claim of a reply that nobody runs until it
    counts as orphaned. `typing_every_s`: between typing indicators. `settled_after_s`: from the start of a platform
    until its questions are answered although not all that waited there has been handed over. `kept_days`: how long
    messages that are done are kept; 0 is for ever. `prune_every_s`: between two searches for older ones;
    `prune_pause_s`: between the steps of one.
    """

    database_backoff: Backoff = DATABASE_BACKOFF
    send_backoff: Backoff = SEND_BACKOFF
    sweep_s: float = 2.0
    orphaned_after_s: float = 3.0
    typing_every_s: float = TYPING_EVERY_S
    settled_after_s: float = 60.0
    kept_days: int = 0
    prune_every_s: float = 600.0
    prune_pause_s: float = 0.2


DEFAULT_TIMING = ServiceTiming()
