"""The bot of a trial: the real joint, store, adapters and sockets; a fake model, and smaller times, nothing else."""

import asyncio
import functools
import importlib
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Engine, event

from bots.bootstrap import Timing
from bots.discord_bot.timing import DiscordTiming, IdentifyLimits
from bots.telegram_bot.timing import TelegramTiming
from core.dispatch.timing import ServiceTiming
from core.domain.platform import Pace
from core.runtime import failpoints
from core.runtime.retry import Backoff
from tests.faults.models import TrialModel, asked_for

LOGINS, CLOCK = "FAULTS_LOGINS", "FAULTS_CLOCK"
"""Set where logins are to be counted as they really are; what time Discord's adapter takes it to be, in ms."""
REAL = "FAULTS_REAL"
"""Set to what is real: CONVERSION, a model's file is converted at the start; ENGINE, that, and the model answers."""
CONVERSION, ENGINE = "conversion", "engine"
CHECKPOINT = "bots.launch.open_checkpoint"
DISCORD = "bots.discord_bot.adapter.DiscordBot"
FULL, READ_ONLY = "full", "read-only"
"""Files in the data folder while SQLite may not grow, or not be written."""
ARM, ARMED = "crash-at", "armed"
"""Files in the data folder: where the process shall die from now on, and that it knows."""
STEP = "clock-ahead"
"""A file in the data folder: by how many seconds the clock is ahead, read at the start and at SIGUSR2."""
QUICK = Pace(preview_interval_s=0.15, gap_s=0.02)
QUICK_BACKOFF = Backoff(0.05, 0.05)
TIMING = Timing(
    service=ServiceTiming(
        database_backoff=Backoff(0.1, 0.1), send_backoff=QUICK_BACKOFF, sweep_s=0.1, orphaned_after_s=0.5
    ),
    telegram=TelegramTiming(
        private_pace=QUICK, group_pace=QUICK, connection_backoff=QUICK_BACKOFF, established_conflict_pause_s=0.2
    ),
    discord=DiscordTiming(
        pace=QUICK,
        connection=QUICK_BACKOFF,
        retry=QUICK_BACKOFF,
        backfill_pause_s=0.0,
        silence_s=2.0,
        settled_after_s=0.05,
    ),
)
"""Time alone is made smaller."""
MANY_LOGINS = IdentifyLimits(unspaced_per_hour=1000, least_spacing_ms=20)


_real: dict[str, Any] = {}
"""What the fakes took the places of."""


class NoEngine:
    """Where the engine would be."""

    def __init__(self, *_: object) -> None:
        self._never: list[Any] = []

    def launch(self) -> None:
        """Nothing to start."""

    async def failed(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to end."""


def prepare() -> None:
    """Import everything, and put the fakes in their places. A name that is not there any more ends the trial."""
    for name in ("bots.bootstrap", "bots.telegram_bot.adapter", "bots.discord_bot.adapter"):
        importlib.import_module(name)
    fakes: dict[str, Any] = {
        CHECKPOINT: lambda *_, **__: SimpleNamespace(folder=Path(), chat_template=""),
        "bots.bootstrap.Tokenizer": lambda *_: None,
        "bots.launch.Engine": NoEngine,
        "bots.bootstrap.LocalModel": lambda *_: TrialModel(asked_for()),
    }
    for name, fake in fakes.items():
        _real[name] = found(name)
        put(name, fake)
    event.listen(Engine, "begin", _hinder)
    found("bots.config.Config").model_config["env_file"] = None  # the owner's own is not for trials


def found(path: str) -> Any:
    """What stands under a dotted name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def put(path: str, value: Any) -> None:
    """Something else in its place."""
    found(path)
    module, _, name = path.rpartition(".")
    setattr(sys.modules[module], name, value)


def run() -> None:
    """The program from here to its end, as its owner starts it."""
    signal.signal(signal.SIGUSR1, _arm)
    step_clock()
    for name in {CONVERSION: [CHECKPOINT], ENGINE: [*_real]}.get(os.environ.get(REAL, ""), []):
        put(name, _real[name])
    discord = TIMING.discord if LOGINS in os.environ else replace(TIMING.discord, identify=MANY_LOGINS)
    put("bots.bootstrap.TIMING", replace(TIMING, discord=discord))
    if CLOCK in os.environ:
        ahead = int(os.environ[CLOCK]) - time.time_ns() // 1_000_000
        put(DISCORD, functools.partial(found(DISCORD), now=lambda: time.time_ns() // 1_000_000 + ahead))
    sys.argv = ["qwentin"]
    found("bots.cli.main")()


def step_clock() -> None:
    """From now on the clock of this process is as wrong as the trial says. The monotonic one is right."""
    file, real, real_ns, ahead = Path(os.environ["DATA_DIR"]) / STEP, time.time, time.time_ns, 0

    def step(*_: object) -> None:
        nonlocal ahead
        ahead = int(file.read_text()) if file.exists() else 0

    step()
    signal.signal(signal.SIGUSR2, step)
    put("time.time", lambda: real() + ahead)
    put("time.time_ns", lambda: real_ns() + ahead * 1_000_000_000)


def _arm(number: int, frame: object) -> None:
    """Die at a named point from now on: what has passed so far does not count."""
    folder = Path(os.environ["DATA_DIR"])
    failpoints._passed.clear()
    os.environ["QWENTIN_CRASH_AT"] = (folder / ARM).read_text()
    (folder / ARMED).touch()


def _hinder(connection: Connection) -> None:
    """A disk without room, a folder that became read-only: what SQLite makes of them."""
    if connection.dialect.name == "sqlite":
        folder = Path(os.environ["DATA_DIR"])
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages if (folder / FULL).exists() else 2**30}")
        connection.exec_driver_sql(f"PRAGMA query_only={int((folder / READ_ONLY).exists())}")
