"""The engine beside llama.cpp, ik_llama.cpp and transformers: python -m benchmarks.engine [MODEL=FILE.gguf] [options]

Settings, here or in the environment: MODEL (a .gguf file; the built-in one if not given), RUNS (5), LLAMA_PYTHON (a
Python that has llama-cpp-python compiled for this machine; if not given, one is made in build/bench, which takes some
minutes once). The wheels of the others are installed in build/bench, too. With QWENTIN_CPU=avx2 ours does only what it
does on such a processor; it is measured by what is asked there.
Options: --only NAME measures one group of figures, and may be given several times; --quick leaves out Qwen2.5-1.5B's
shape (4 GB of disk, 14 GB of memory), --force measures even beside other work, --prompt N and --tokens N make prompts
and answers shorter than 512 and 128.
"""

import argparse
import os
import shutil
import signal
import sys

import psutil

from benchmarks.engine import figures, folders
from benchmarks.engine.bounds import bounds
from benchmarks.engine.machine import machine
from benchmarks.engine.peer import ROOT, PeerFailed
from benchmarks.engine.peers import Peers
from benchmarks.engine.quiet import Guard, Refused
from benchmarks.engine.report import Report
from benchmarks.engine.rounds import Rounds
from core.domain.errors import SetupError

RESULT = ROOT / "build" / "bench-engine.json"
SETTINGS = ("MODEL", "RUNS", "LLAMA_PYTHON")
GB = 10**9
DISK, MEMORY = 4 * GB, 14 * GB
"""What Qwen2.5-1.5B's shape needs."""
SPARE = 16
"""Tokens of a context beyond those of a chat."""


def options(words: list[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help=f"{', '.join(SETTINGS)}")
    parser.add_argument("--runs", type=positive)
    parser.add_argument("--tokens", type=positive, default=128)
    parser.add_argument("--prompt", type=positive, default=512)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=figures.GROUPS)
    given = parser.parse_intermixed_args(words)
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    for word in given.settings:
        name, equals, value = word.partition("=")
        if name not in SETTINGS or not equals:
            parser.error(f"{word!r} is none of {', '.join(name + '=...' for name in SETTINGS)}")
        settings[name] = value
    given.model, given.llama_python = settings["MODEL"], settings["LLAMA_PYTHON"]
    try:
        given.runs = given.runs or positive(settings["RUNS"] or "5")
    except ValueError:
        parser.error(f"RUNS={settings['RUNS']} is no number of runs")
    return given


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def no_room() -> str:
    """Why Qwen2.5-1.5B's shape can't be measured; "" if it can."""
    disk, memory = shutil.disk_usage(folders.HERE).free, psutil.virtual_memory().available
    if disk < DISK:
        return f"{disk / GB:.0f} GB of disk are free, {DISK / GB:.0f} are needed"
    return f"{memory / GB:.0f} GB of memory are free, {MEMORY / GB:.0f} are needed" if memory < MEMORY else ""


def run(given: argparse.Namespace) -> bool:
    """Measure and tell, even where something fails on the way; whether nothing did."""
    guard = Guard(given.force)
    rounds = Rounds(guard, given.runs, given.prompt, given.tokens)
    file = folders.gguf(given.model)
    if given.llama_python:
        folders.llama_python(given.llama_python)  # rather now than in an hour
    folders.prepare()
    report = Report(rounds, file, bounds(machine().kind, builtin=not given.model))
    try:
        guard.look()
        with Peers(file, given.llama_python, (figures.MANY[-1], given.prompt + given.tokens + SPARE)) as peers:
            report.about, peers.missing = peers.about, report.missing
            return measure(report, peers, groups(given, report))
    finally:
        folders.clean()
        if report.rows:
            report.tell()
            report.write(RESULT)


def groups(given: argparse.Namespace, report: Report) -> list[str]:
    """Those that are wanted and that there is room for."""
    wanted = given.only or [name for name in figures.GROUPS if not (given.quick and name == figures.SHAPE)]
    if figures.SHAPE in wanted and (why := no_room()):
        report.missing[figures.SHAPE] = why
        wanted.remove(figures.SHAPE)
    return [name for name in figures.GROUPS if name in wanted]


def measure(report: Report, peers: Peers, groups: list[str]) -> bool:
    """One group after another. One that fails costs only itself; whether none did."""
    failed = False
    for name in groups:
        try:
            for row in figures.GROUPS[name](report.rounds, peers):
                report.rows.append(row)
        except PeerFailed as error:
            print(error, file=sys.stderr)
            report.missing[name], failed = str(error), True
            peers.end()
    return not failed


def main() -> None:
    """A clear line instead of a traceback where nothing can be measured."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is measured by then is told, and every peer ends
    try:
        sys.exit(0 if run(options(sys.argv[1:])) else 1)
    except (Refused, PeerFailed, SetupError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
