"""The memory of the whole bot: `qwentin console` in a pipe answers one question, and its two processes are watched."""

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
LIMIT = 300.0
OFTEN = 0.05


def peaks(file: Path, weights: str, data: Path, log: Path) -> tuple[float, float]:
    """MB of the bot's own process and of its engine's, at their most."""
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
        return watched(process, log)
    finally:
        process.kill()
        process.wait()


def watched(process: "subprocess.Popen[str]", log: Path) -> tuple[float, float]:
    """It ends by itself once it has answered, and is looked at until then: a peak never falls."""
    assert process.stdin
    process.stdin.write(QUESTION)
    process.stdin.close()
    bot = engine = 0.0
    ends = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < ends:
        bot, engine = max(bot, peak(process.pid)), max(engine, *engines(process.pid), 0.0)
        time.sleep(OFTEN)
    if process.returncode != 0 or not engine:
        raise PeerFailed(f"the bot did not answer: {last_line(log)} (all of it: {log})")
    return bot, engine


def engines(pid: int) -> list[float]:
    """The peaks of the engine's process, if there is one."""
    try:
        return [peak(child.pid) for child in psutil.Process(pid).children() if child.name() == PROCESS_NAME] or [0.0]
    except psutil.Error:
        return [0.0]


def peak(pid: int) -> float:
    try:
        return peak_mb(pid)
    except OSError:  # it has just ended
        return 0.0
