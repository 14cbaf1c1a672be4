"""The traced bot: the program around a model that says the question back, in front of the tests' servers.

SIGUSR1 starts a count of what runs. SIGUSR1 and SIGUSR2 write what has been counted since, as JSON, to the file that
TRACE_FILE names.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import Engine, event

import bots.bootstrap
from bots.config import read_config
from core.domain.prompt import Prompt
from core.domain.sampling import Sampling
from core.llm.model import Stream
from storage import sqlite_watch
from storage.database import ROOT
from tests.fakes import FakeModel

FILE = "TRACE_FILE"
WAIT = "wait"
"""A question that has this word is answered with one word, and then with nothing until it is stopped."""
OURS = tuple(str(ROOT / folder) + os.sep for folder in ("bots", "core", "storage"))
NEVER_S = 24 * 3600.0
"""Some loops look every few seconds, whatever people do: for orphaned replies, for questions that wait, to show that
somebody types, and at the database's file. In a scene they would be counted in some runs and not in others. This is
their interval here."""


class Model(FakeModel):
    """See WAIT."""

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        self.gate = asyncio.Semaphore(1) if WAIT in prompt[-1].content.split() else None
        async with super().stream(prompt, sampling, owner) as stream:
            yield stream


class Recorder:
    """What has been called since `start`, in all threads."""

    def __init__(self) -> None:
        self._on = False
        self._clear()

    def install(self) -> None:
        """From now on calls are seen, and transactions of every database."""
        sys.setprofile(self._called)
        threading.setprofile(self._called)
        event.listen(Engine, "begin", self._begun)
        event.listen(Engine, "before_cursor_execute", self._executed)
        signal.signal(signal.SIGUSR1, lambda number, frame: self.start())
        signal.signal(signal.SIGUSR2, lambda number, frame: self.write())

    def start(self) -> None:
        """Begin anew."""
        self._clear()
        self.write()

    def write(self) -> None:
        """Write the counts and our functions in the order of their first calls; this work is not counted."""
        self._on, file = False, Path(os.environ[FILE])
        ours = [code for code in self._codes.values() if code.co_filename.startswith(OURS) and code.co_name[0] != "<"]
        functions = [f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_qualname}" for code in ours]
        counts = {"transactions": self._transactions, "statements": self._statements, "calls": self._calls}
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(counts | {"functions": functions}))
        unfinished.rename(file)
        self._on = True

    def _clear(self) -> None:
        self._codes: dict[int, CodeType] = {}
        self._calls = self._statements = self._transactions = 0

    def _called(self, frame: FrameType, what: str, arg: Any) -> None:
        if not self._on or what != "call":
            return
        code = frame.f_code
        self._calls += 1
        self._codes.setdefault(id(code), code)

    def _begun(self, connection: object) -> None:
        self._transactions += self._on

    def _executed(self, connection: object, cursor: object, statement: str, *arguments: object) -> None:
        if not statement.startswith("BEGIN"):  # some drivers are told to begin by a statement, others are not
            self._statements += self._on


def main() -> None:
    """Run until SIGTERM."""
    Recorder().install()
    sqlite_watch.WATCH_EVERY_S = NEVER_S
    timing = bots.bootstrap.TIMING
    service = replace(timing.service, sweep_s=NEVER_S, typing_every_s=NEVER_S, prune_every_s=NEVER_S)
    bots.bootstrap.TIMING = replace(timing, service=service)
    asyncio.run(bots.bootstrap.run_with_database(read_config(), Model()))


if __name__ == "__main__":
    main()
