"""What all parts of the dispatch package work with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.reply_control import ReplyControl
from core.dispatch.engine_deaths import EngineDeaths
from core.dispatch.timing import ServiceTiming
from core.domain.platform import Platform
from core.domain.store import Store


@dataclass(frozen=True, slots=True)
class Environment:
    """Shared by the dispatcher, the runner and the recovery of one service. `now`: milliseconds UTC."""

    store: Store
    control: ReplyControl
    rate_limiter: ChatRateLimiter
    now: Callable[[], int]
    timing: ServiceTiming
    platforms: dict[str, Platform] = field(default_factory=dict)
    """The platforms that are served, by name."""
    settled: set[str] = field(default_factory=set)
    """Names of platforms whose backlog is merged: questions are answered only there."""
    engine_deaths: EngineDeaths = field(default_factory=EngineDeaths)
    started: dict[str, int] = field(default_factory=dict)
    """When the bot started, by each served platform's own clock; milliseconds UTC."""
