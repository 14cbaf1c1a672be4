"""Every time and limit of the Discord adapter in one object, so that tests and trials can hand in smaller ones."""

from dataclasses import dataclass

from core.domain.platform import Pace
from core.runtime.retry import Backoff

CHANNEL_PACE = Pace(preview_interval_s=1.5, gap_s=1.0)
"""A channel takes about five messages and edits in five seconds."""
CONNECTION_BACKOFF = Backoff(1.0, 60.0, jitter=0.33)
"""Random, so that many bots don't come back at once."""
RETRY_BACKOFF = Backoff(1.0, 30.0)


@dataclass(frozen=True, slots=True)
class IdentifyLimits:
    """How often the bot may log in at the gateway ("identify").

    `per_day`: logins in 24 hours, at most. `unspaced_per_hour`: logins in an hour that follow one another as quickly as
    Discord allows, `least_spacing_ms` apart (its max_concurrency); further ones are `spacing_ms` apart. `reserve`:
    logins of Discord's own daily count that are left for the bot's owner.
    """

    per_day: int = 490
    unspaced_per_hour: int = 10
    least_spacing_ms: int = 5_000
    spacing_ms: int = 180_000
    reserve: int = 50


IDENTIFY_LIMITS = IdentifyLimits()


@dataclass(frozen=True, slots=True)
class DiscordTiming:
    """Times of the adapter.

    `pace`: what a channel takes. `connection`: pauses between tries to reach Discord. `retry`: pauses between tries to
    read back a channel or to publish the commands. `backfill_pause_s`: seconds before each page that is read back.
    `silence_s`: seconds without a word from Discord after which the connection counts as lost. `settled_after_s`:
    seconds without another server after which all servers are known. `stored_within_s`: seconds in which an interaction
    must be stored, `form_within_s`: seconds in which a form must be opened; Discord wants an answer within three.
    """

    pace: Pace = CHANNEL_PACE
    connection: Backoff = CONNECTION_BACKOFF
    retry: Backoff = RETRY_BACKOFF
    backfill_pause_s: float = 0.2
    silence_s: float = 60.0
    settled_after_s: float = 2.0
    stored_within_s: float = 1.5
    form_within_s: float = 2.3
    identify: IdentifyLimits = IDENTIFY_LIMITS


DISCORD_TIMING = DiscordTiming()
