"""The engine beside llama.cpp and the origin's way, one table: python -m benchmarks.engine [MODEL=FILE.gguf] [options]

Settings, here or in the environment: MODEL (a .gguf file; the built-in one if not given), RUNS (5), LLAMA_PYTHON (a
Python that has llama_cpp; if not given, one is made in build/bench, which takes some minutes once).
Options: --quick leaves out Qwen2.5-1.5B's shape (4 GB of disk, 14 GB of memory), --force measures even beside other
work, --prompt N and --tokens N make prompts and answers shorter than 512 and 128.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.engine import figures, folders
from benchmarks.engine.figures import LLAMA, MIX, ORIGIN, OURS, Peers
from benchmarks.engine.machine import machine, versions
from benchmarks.engine.peer import ROOT, Peer, PeerFailed, peer
from benchmarks.engine.quiet import Guard, Refused
from benchmarks.engine.rounds import Rounds, say
from benchmarks.engine.table import WANTED, WANTED_BUILTIN, Flat, Row, rounded, table
from core.errors import SetupError

RESULT = ROOT / "build" / "bench-engine.json"
SETTINGS = ("MODEL", "RUNS", "LLAMA_PYTHON")
GB = 10**9
DISK, MEMORY = 4 * GB, 14 * GB
"""What Qwen2.5-1.5B's shape needs."""


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


@contextmanager
def loaded(file: Path, folder: Path, python: str) -> Iterator[Peers]:
    """All peers of one model. They stay loaded, and idle while another is asked."""
    with ExitStack() as ends:

        def start(name: str, module: str, *arguments: str, python: str = sys.executable) -> Peer:
            return ends.enter_context(peer(name, module, arguments, folders.LOGS / f"{name}.log", python))

        say("nothing yet, loading the peers")
        yield Peers(
            ours=start(OURS, "ours", str(folder), "auto"),
            mix=start(MIX, "ours", str(folders.full_precision(folder)), "auto"),
            llama=start(LLAMA, "llama", str(file), python=python),
            origin=start(ORIGIN, "origin", str(folders.hub(folder))),
        )


def measured(file: Path, rounds: Rounds, python: str, about: Flat) -> Iterator[Row]:
    """Every row. What is told of the peers goes into `about`."""
    folder = folders.converted(file)
    with loaded(file, folder, python) as peers:
        about |= described(peers)
        yield from figures.one_chat(rounds, peers)
        yield from figures.many_chats(rounds, peers)
        yield from figures.reuse(rounds, peers)
        yield from figures.memory(file, peers.origin)
    yield from figures.loop_delay(rounds, folder)


def described(peers: Peers) -> Flat:
    return {
        "llama_cpp_python": peers.llama.about["version"],
        "llama_threads": peers.llama.about["threads"],
        "ours_threads": peers.ours.about["threads"],
        "ours_weights": peers.ours.about["weights"],
        "mix_weights": peers.mix.about["weights"],
        "origin_threads": peers.origin.about["threads"],
    }


def no_room() -> str:
    """Why Qwen2.5-1.5B's shape can't be measured; "" if it can."""
    disk, memory = shutil.disk_usage(folders.HERE).free, psutil.virtual_memory().available
    if disk < DISK:
        return f"{disk / GB:.0f} GB of disk are free, {DISK / GB:.0f} are needed"
    return f"{memory / GB:.0f} GB of memory are free, {MEMORY / GB:.0f} are needed" if memory < MEMORY else ""


def run(given: argparse.Namespace) -> None:
    """Measure and tell."""
    guard = Guard(given.force)
    rounds = Rounds(guard, given.runs, given.prompt, given.tokens)
    file = folders.gguf(given.model)
    folders.prepare()
    try:
        guard.look()
        python = folders.llama_python(given.llama_python)
        about: Flat = {"model": file.name}
        rows = list(measured(file, rounds, python, about))
        if left_out := "--quick" if given.quick else no_room():
            about["left_out"] = f"Qwen2.5-1.5B's shape ({left_out})"
        else:
            rows += figures.shape_1_5b(rounds)
    finally:
        folders.clean()
    tell(rows, about, rounds, WANTED if given.model else WANTED_BUILTIN)


def tell(rows: list[Row], about: Flat, rounds: Rounds, wanted: Mapping[str, str]) -> None:
    """The table with the machine's name, and the same as a flat JSON object."""
    found, guard = machine(), rounds.guard
    print(f"{found}; " + ", ".join(f"{name} {version}" for name, version in versions().items()), end="; ")
    print(f"llama-cpp-python {about['llama_cpp_python']}")
    print(f"{about['model']}: {about['ours_weights']}; in the default mix {about['mix_weights']}")
    print(f"{rounds.runs} rounds in turn, warm, medians; others took {guard.worst:.0f} % of the CPU at most\n")
    print(table(rows, wanted))
    if "left_out" in about:
        print(f"\nLeft out: {about['left_out']}")
    flat: Flat = {
        "cpu": found.cpu,
        "cores": found.cores,
        "memory_gib": rounded(found.memory_gib),
        **versions(),
        **about,
    }
    flat |= {"runs": rounds.runs, "prompt": rounds.prompt, "tokens": rounds.tokens}
    flat |= {"others_percent_worst": rounded(guard.worst), "idle_percent": rounded(guard.idle)}
    for row in rows:
        flat |= row.flat()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(flat, indent=1) + "\n")


def main() -> None:
    """A clear line instead of a traceback where nothing can be measured."""
    try:
        run(options(sys.argv[1:]))
    except (Refused, PeerFailed, SetupError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
