"""The engine beside llama.cpp, ik_llama.cpp and transformers: python -m benchmarks.engine [MODEL=FILE.gguf] [options]

Settings, here or in the environment: MODEL (a .gguf file; the built-in one if not given), RUNS (5), LLAMA_PYTHON (a
Python that has llama-cpp-python compiled for this machine; if not given, one is made in build/bench, which takes some
minutes once), PEERS (those that are measured: all, or names with commas of stock, ik, compiled, origin, openvino,
onnxruntime, ctranslate2, vllm; the first four if not given), TYPE (Q4_0, Q5_0, Q8_0, ...: the file's matrices are first
written in this type). The peers' wheels, and their weights where they can't read the file, are kept in build/bench.
With QWENTIN_CPU=avx2 our engine computes as on such a processor, and has its targets.
Options: --only NAME measures one group of figures, and may be given several times; --quick leaves out Qwen2.5-1.5B's
shape (4 GB of disk, 14 GB of memory), --force measures even beside other programs, --prompt N and --tokens N make
prompts and answers shorter than 512 and 128.
"""

import argparse
import os
import shutil
import signal
import sys

import psutil

from benchmarks.engine import every_peer, figures, folders
from benchmarks.engine.bounds import bounds
from benchmarks.engine.machine import machine
from benchmarks.engine.optional_peers import chosen_peers
from benchmarks.engine.peer import ROOT, PeerFailed
from benchmarks.engine.peers import ALL_PEERS, DEFAULT_PEERS, Peers
from benchmarks.engine.quiet import Guard, Refused
from benchmarks.engine.report import Report
from benchmarks.engine.requantize import TYPES
from benchmarks.engine.rounds import Rounds
from core.domain.errors import SetupError

RESULT_FILE = ROOT / "build" / "bench-engine.json"
SETTINGS = ("MODEL", "RUNS", "LLAMA_PYTHON", "PEERS", "TYPE")
GB = 10**9
SHAPE_DISK_BYTES, SHAPE_MEMORY_BYTES = 4 * GB, 14 * GB
"""Disk and memory that the group SHAPE needs."""
SPARE_TOKENS = 16
"""Tokens that a context has beyond those of a chat."""
CONVERSATION_TOKENS = 1536
"""Tokens that a context has at least, for the conversations of every peer."""
GROUPS = {**figures.GROUPS, "turns": every_peer.turns, "agreement": every_peer.agreement, "load": every_peer.load}
"""All groups of figures, measured in this order."""


def parse_options(words: list[str]) -> argparse.Namespace:
    """Parse the command line and the environment."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help=f"{', '.join(SETTINGS)}")
    parser.add_argument("--runs", type=positive)
    parser.add_argument("--tokens", type=positive, default=128)
    parser.add_argument("--prompt", type=positive, default=512)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=GROUPS)
    given = parser.parse_intermixed_args(words)
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    for word in given.settings:
        name, equals, value = word.partition("=")
        if name not in SETTINGS or not equals:
            parser.error(f"{word!r} is none of {', '.join(name + '=...' for name in SETTINGS)}")
        settings[name] = value
    given.model, given.llama_python, given.type = settings["MODEL"], settings["LLAMA_PYTHON"], settings["TYPE"]
    if given.type not in ("", *TYPES):
        parser.error(f"TYPE={given.type} is none of {', '.join(TYPES)}")
    try:
        given.peers = chosen_peers(settings["PEERS"], DEFAULT_PEERS, ALL_PEERS)
    except ValueError as error:
        parser.error(f"PEERS: {error} is none of {', '.join(ALL_PEERS)}, all")
    try:
        given.runs = given.runs or positive(settings["RUNS"] or "5")
    except ValueError:
        parser.error(f"RUNS={settings['RUNS']} is no number of runs")
    return given


def positive(text: str) -> int:
    """Parse a positive integer. Raises ValueError."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def lacking_resources() -> str:
    """Why Qwen2.5-1.5B's shape can't be measured; "" if it can."""
    disk, memory = shutil.disk_usage(folders.BENCH_FOLDER).free, psutil.virtual_memory().available
    if disk < SHAPE_DISK_BYTES:
        return f"{disk / GB:.0f} GB of disk are free, {SHAPE_DISK_BYTES / GB:.0f} are needed"
    return (
        f"{memory / GB:.0f} GB of memory are free, {SHAPE_MEMORY_BYTES / GB:.0f} are needed"
        if memory < SHAPE_MEMORY_BYTES
        else ""
    )


def run(given: argparse.Namespace) -> bool:
    """Measure and report, also if a group fails. Returns whether none did."""
    guard = Guard(given.force)
    rounds = Rounds(guard, given.runs, given.prompt, given.tokens)
    file = folders.gguf_file(given.model)
    folders.prepare()
    if given.type:
        file = folders.file_of_type(file, given.type)
    if given.llama_python:
        folders.llama_python(given.llama_python)  # so that an error shows at once
    report = Report(rounds, file, bounds(machine().kind, builtin=not given.model))
    try:
        guard.look()
        length = max(given.prompt + given.tokens + SPARE_TOKENS, CONVERSATION_TOKENS)
        with Peers(file, given.llama_python, (figures.CHAT_COUNTS[-1], length), given.peers) as peers:
            report.about, peers.missing = peers.about, report.missing
            return measure(report, peers, chosen_groups(given, report))
    finally:
        folders.clean()
        if report.rows:
            report.print_report()
            report.write(RESULT_FILE)


def chosen_groups(given: argparse.Namespace, report: Report) -> list[str]:
    """The chosen groups that the machine has the resources for."""
    wanted = given.only or [name for name in GROUPS if not (given.quick and name == figures.SHAPE_GROUP)]
    if figures.SHAPE_GROUP in wanted and (why := lacking_resources()):
        report.missing[figures.SHAPE_GROUP] = why
        wanted.remove(figures.SHAPE_GROUP)
    return [name for name in GROUPS if name in wanted]


def measure(report: Report, peers: Peers, groups: list[str]) -> bool:
    """Measure the groups in turn. A failed one is reported as missing. Returns whether none failed."""
    failed = False
    for name in groups:
        try:
            for row in GROUPS[name](report.rounds, peers):
                report.rows.append(row)
        except PeerFailed as error:
            print(error, file=sys.stderr)
            report.missing[name], failed = str(error), True
            peers.end()
    return not failed


def main() -> None:
    """Run, with one line instead of a traceback if nothing can be measured."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is measured by then is reported, and every peer ends
    try:
        sys.exit(0 if run(parse_options(sys.argv[1:])) else 1)
    except (Refused, PeerFailed, SetupError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
