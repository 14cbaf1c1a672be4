"""Measures the memory of the whole bot: `qwentin console` answers one question, and its processes are watched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.engine.peer import ROOT, PeerFailed, last_line
from benchmarks.engine.speech import peak_mb
from core.engine.worker_process import PROCESS_NAME

QUESTION = "What is a black hole?\n"
COMMAND = ("-m", "bots", "console", "-o", "temperature=0", "-o", "max_tokens=256")
ANSWER_TIMEOUT_S = 300.0
LOOK_EVERY_S = 0.05


def peak_memories(file: Path, weights: str, data: Path, log: Path) -> tuple[float, float]:
    """Peak memory in MB of the bot's own process and of its engine's. Raises PeerFailed."""
    environment = {**os.environ, "DATA_DIR": str(data), "MODEL": str(file), "WEIGHTS": weights}
    command = [sys.executable, *COMMAND]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
        )
    try:
        return watch_process(process, log)
    finally:
        process.kill()
        process.wait()


def watch_process(process: "subprocess.Popen[str]", log: Path) -> tuple[float, float]:
    """Watch the processes until the bot has answered and ends. A peak never falls, so the last look counts."""
    assert process.stdin
    process.stdin.write(QUESTION)
    process.stdin.close()
    bot = engine = 0.0
    ends = time.monotonic() + ANSWER_TIMEOUT_S
    while process.poll() is None and time.monotonic() < ends:
        bot, engine = max(bot, peak_or_zero(process.pid)), max(engine, *engine_peaks(process.pid), 0.0)
        time.sleep(LOOK_EVERY_S)
    if process.returncode != 0 or not engine:
        raise PeerFailed(f"the bot did not answer: {last_line(log)} (all of it: {log})")
    return bot, engine


def engine_peaks(pid: int) -> list[float]:
    """The peak of the engine's process; 0 if there is none."""
    try:
        return [
            peak_or_zero(child.pid) for child in psutil.Process(pid).children() if child.name() == PROCESS_NAME
        ] or [0.0]
    except psutil.Error:
        return [0.0]


def peak_or_zero(pid: int) -> float:
    try:
        return peak_mb(pid)
    except OSError:  # it has ended
        return 0.0
