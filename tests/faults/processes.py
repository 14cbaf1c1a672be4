"""The trials' side of the fork server: start a bot, kill it, learn how it ended."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from storage.database import ROOT
from tests.faults.bot import ARM, ARMED, STEP
from tests.patience import LIMIT_S, limit


class BotProcess:
    """A bot of a trial."""

    def __init__(self, pid: int, folder: Path, log: Path) -> None:
        self.pid, self.folder, self.log = pid, folder, log
        self.code: int | None = None
        """How it ended; minus the signal that killed it."""
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        """The fork server says so."""
        self.code = code
        self._ended.set()

    def send(self, number: signal.Signals) -> None:
        """A signal, while it lives."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self, seconds: float = LIMIT_S) -> int:
        """Wait for its end; its exit code. Raises AssertionError where it lives on."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            raise AssertionError(f"still alive after {seconds:.0f} s") from None
        assert self.code is not None
        return self.code

    async def kill(self) -> None:
        """kill -9."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def arm(self, point: str) -> None:
        """It dies at the named point from now on: "sent", "sent:2"."""
        armed = self.folder / ARMED
        armed.unlink(missing_ok=True)
        (self.folder / ARM).write_text(point)
        self.send(signal.SIGUSR1)
        async with limit():
            while not armed.exists():
                await asyncio.sleep(0.002)

    def step_clock(self, seconds: int) -> None:
        """Its clock, and that of those that follow it in its folder, is so far ahead from now on."""
        (self.folder / STEP).write_text(str(seconds))
        self.send(signal.SIGUSR2)

    @property
    def memory(self) -> int:
        """Bytes of RAM."""
        return int(psutil.Process(self.pid).memory_info().rss)


class Nursery:
    """Starts bots."""

    def __init__(self, zygote: Process) -> None:
        self._zygote = zygote
        self._bots: dict[int, BotProcess] = {}
        self._born: asyncio.Queue[tuple[Path, Path, asyncio.Future[BotProcess]]] = asyncio.Queue()

    async def start(self, folder: Path, log: Path, environment: dict[str, str]) -> BotProcess:
        """A bot in `folder`, which adds its log to `log`."""
        assert self._zygote.stdin is not None
        born: asyncio.Future[BotProcess] = asyncio.get_running_loop().create_future()
        self._born.put_nowait((folder, log, born))
        order = {"folder": str(folder), "log": str(log), "environment": environment}
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
        return await born

    async def listen(self) -> None:
        """What the fork server tells, for ever."""
        assert self._zygote.stdout is not None
        while line := await self._zygote.stdout.readline():
            told = json.loads(line)
            if "pid" in told:
                folder, log, born = await self._born.get()
                bot = self._bots[told["pid"]] = BotProcess(told["pid"], folder, log)
                born.set_result(bot)
            else:
                self._bots.pop(told["ended"]).end(told["code"])
        raise AssertionError("the fork server is gone")


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """A fork server while the block lasts; its bots end with it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    zygote = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.zygote", stdin=PIPE, stdout=PIPE, cwd=ROOT,
        env=kept | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "QWENTIN_CRASH_AT": ""},
    )  # fmt: skip
    nursery = Nursery(zygote)
    listening = asyncio.create_task(nursery.listen())
    try:
        yield nursery
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        with suppress(ProcessLookupError):
            zygote.kill()
        await zygote.communicate()
