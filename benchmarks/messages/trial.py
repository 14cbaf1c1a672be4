"""One bot on one database before one platform: started, measured in three phases, ended."""

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.messages import bot
from benchmarks.messages.load import Asked, Load
from benchmarks.messages.platforms import FRONTS

START_LIMIT_S = 60.0
REST_S = 0.7
"""What follows an answer (old buttons go, the next prompt is warmed) gets that long."""
WORDS = 30
"""In a short answer."""
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked.

    `chats`: of the busy phase. `questions`, `rate`, `asking`: of the quiet phase, in all, a second, and the chats that
    they come from. `streams`, `stream_words`, `speed`: long answers at once, their words, words a second. `window_s`,
    `ramp_s`: how long the busy phase is measured, and how long it runs before.
    """

    chats: int = 1000
    questions: int = 100
    rate: float = 5.0
    asking: int = 40
    streams: int = 4
    stream_words: int = 240
    speed: int = 35
    window_s: float = 12.0
    ramp_s: float = 6.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the bot has used and counted since its start."""

    at: float
    rss: int
    counts: dict[str, Any]

    @property
    def cpu_s(self) -> float:
        """CPU time of the bot's process, user and system."""
        return float(self.counts["cpu_s"])


class Subject:
    """A running bot."""

    def __init__(self, process: Process, file: Path) -> None:
        self._process, self._file = process, file

    async def snapshot(self, *, trim: bool = False) -> Snapshot:
        """Have it write down its counts. `trim`: after it has given back what memory it does not use."""
        self._file.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR2 if trim else signal.SIGUSR1)
        async with asyncio.timeout(START_LIMIT_S):
            while not self._file.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        rss = psutil.Process(self._process.pid).memory_info().rss
        return Snapshot(time.monotonic(), rss, json.loads(self._file.read_text()))


@asynccontextmanager
async def subject(tree: Path, folder: Path, environment: dict[str, str]) -> AsyncIterator[Subject]:
    """The bot of a tree while the block lasts. Raises RuntimeError with its last words where it ends before."""
    file, log = folder / "counts.json", folder / "log"
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    settings = {"PYTHONPATH": str(tree), "DATA_DIR": str(folder), bot.FILE: str(file), "WAITING_PER_CHAT": "0",
                "QUESTIONS_PER_USER": "0", "WAITING_IN_ALL": "0"}  # fmt: skip
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", bot.__file__, env=kept | settings | environment, cwd=folder, stderr=output
        )
    try:
        yield Subject(process, file)
    except (TimeoutError, RuntimeError, ProcessLookupError) as error:
        raise RuntimeError(f"{error!r}; the bot said: {log.read_text()[-2000:]}") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def trial(tree: Path, platform: str, address: str, sizes: Sizes) -> dict[str, float]:
    """The figures of one bot. `address`: of the database, "" for a file of its own."""
    with TemporaryDirectory(prefix="qwentin-bench-") as name:
        folder = Path(name)
        async with FRONTS[platform](sizes.chats, folder) as front:
            environment = front.environment | ({"DATABASE_URL": address} if address else {})
            async with subject(tree, folder, environment) as running:
                load = Load(front)
                async with asyncio.timeout(START_LIMIT_S):
                    await front.connected()
                    await load.ask(0, WORDS)
                counts = (await running.snapshot()).counts
                if Path(counts["tree"]) != tree:
                    raise RuntimeError(f"it runs {counts['tree']}, not {tree}")
                figures = await quiet(running, load, sizes)
                if platform != "store":
                    figures |= await streamed(running, load, sizes)
                return figures | await busy(running, load, sizes)


async def quiet(running: Subject, load: Load, sizes: Sizes) -> dict[str, float]:
    """What a question costs and how long it takes while the bot has time."""
    await load.paced(sizes.asking, sizes.asking, sizes.rate * 2, WORDS)  # every chat has a history then
    await asyncio.sleep(REST_S)
    before = await running.snapshot()
    asked = await load.paced(sizes.questions, sizes.asking, sizes.rate, WORDS)
    await asyncio.sleep(REST_S)
    after = await running.snapshot()
    figures = {
        "cpu_ms_question": 1000 * (after.cpu_s - before.cpu_s) / len(asked),
        "transactions_question": (after.counts["transactions"] - before.counts["transactions"]) / len(asked),
        "statements_question": (after.counts["statements"] - before.counts["statements"]) / len(asked),
    }
    ended = after.counts["last_token"]
    figures |= _percentiles("first_text_ms", [1000 * (each.first_text_at - each.at) for each in asked])
    return figures | _percentiles("final_edit_ms", [_final_edit_ms(each, ended) for each in asked])


async def streamed(running: Subject, load: Load, sizes: Sizes) -> dict[str, float]:
    """What a token costs in the middle of long answers."""
    asking = [asyncio.create_task(load.ask(chat, sizes.stream_words, sizes.speed)) for chat in range(sizes.streams)]
    whole_s = sizes.stream_words / sizes.speed
    await asyncio.sleep(0.2 * whole_s)
    before = await running.snapshot()
    await asyncio.sleep(0.6 * whole_s)
    after = await running.snapshot()
    await asyncio.gather(*asking)
    tokens = after.counts["tokens"] - before.counts["tokens"]
    return {"cpu_ms_token": 1000 * (after.cpu_s - before.cpu_s) / tokens}


async def busy(running: Subject, load: Load, sizes: Sizes) -> dict[str, float]:
    """How many questions a second are answered where every chat asks again at once, and the memory that chats take."""
    rss = (await running.snapshot(trim=True)).rss
    tasks = [asyncio.create_task(load.closed_loop(chat, WORDS)) for chat in range(sizes.chats)]
    await asyncio.sleep(sizes.ramp_s)
    before, answered, own_cpu_s = await running.snapshot(), load.answered, time.process_time()
    await asyncio.sleep(sizes.window_s)
    answered = load.answered - answered
    own_cpu_s = time.process_time() - own_cpu_s
    after = await running.snapshot()
    rss = (await running.snapshot(trim=True)).rss - rss
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, asyncio.CancelledError):
            raise RuntimeError(f"a chat ended: {result!r}")
    seconds = after.at - before.at
    return {
        "questions_s": answered / seconds,
        "busy_cpu_share": (after.cpu_s - before.cpu_s) / seconds,
        "busy_load_cpu_share": own_cpu_s / seconds,
        "busy_cpu_ms_question": 1000 * (after.cpu_s - before.cpu_s) / max(1, answered),
        "memory_mib_1000_chats": rss / MIB * 1000 / max(1, sizes.chats - sizes.asking),
    }


def _final_edit_ms(asked: Asked, last_token: dict[str, float]) -> float:
    return 1000 * (asked.ended_at - last_token[str(asked.number)])


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(values, n=100, method="inclusive")
    return {f"{name}_p50": hundredths[49], f"{name}_p99": hundredths[98]}
