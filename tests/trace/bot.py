"""The traced bot: the program around a model that says the question back, in front of the tests' servers.

SIGUSR1 starts a count of what runs, SIGUSR2 writes it as JSON to the file that TRACE_FILE names.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import Engine, event

from bots.bootstrap import run_with_database
from bots.config import read_config
from core.domain.prompt import Prompt
from core.domain.sampling import Sampling
from core.llm.model import Stream
from storage.database import ROOT
from tests.fakes import FakeModel

FILE = "TRACE_FILE"
WAIT = "wait"
"""A question that has this word is answered with one word, and then with nothing until it is stopped."""
OURS = tuple(str(ROOT / folder) + os.sep for folder in ("bots", "core", "storage"))
DRIVER = f"{os.sep}aiosqlite{os.sep}"
FIRST_INSTRUCTIONS = 8
"""Where a coroutine stands that has just been called, in bytes of its code."""


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
        self.start()

    def install(self) -> None:
        """From now on calls are seen, and transactions of every database."""
        sys.setprofile(self._called)
        threading.setprofile(self._called)
        event.listen(Engine, "begin", self._begun)
        signal.signal(signal.SIGUSR1, lambda number, frame: self.start(on=True))
        signal.signal(signal.SIGUSR2, lambda number, frame: self.write(Path(os.environ[FILE])))

    def start(self, *, on: bool = False) -> None:
        """Begin anew."""
        self._codes: dict[int, CodeType] = {}
        self._calls = self._driver_calls = self._transactions = 0
        self._on = on

    def write(self, file: Path) -> None:
        """Stop, and write the counts and our functions in the order of their first calls."""
        self._on = False
        ours = [code for code in self._codes.values() if code.co_filename.startswith(OURS) and code.co_name[0] != "<"]
        functions = [f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_qualname}" for code in ours]
        counts = {"transactions": self._transactions, "driver": self._driver_calls, "calls": self._calls}
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(counts | {"functions": functions}))
        unfinished.rename(file)

    def _called(self, frame: FrameType, what: str, arg: Any) -> None:
        if not self._on or what != "call":
            return
        code = frame.f_code
        self._calls += 1
        self._codes.setdefault(id(code), code)
        # Every use of the driver's thread goes through this coroutine. Going on after an await counts as a call, too:
        # its frame then stands further on.
        if code.co_name == "_execute" and DRIVER in code.co_filename and frame.f_lasti <= FIRST_INSTRUCTIONS:
            self._driver_calls += 1

    def _begun(self, connection: object) -> None:
        self._transactions += self._on


def main() -> None:
    """Run until SIGTERM."""
    Recorder().install()
    asyncio.run(run_with_database(read_config(), Model()))


if __name__ == "__main__":
    main()
