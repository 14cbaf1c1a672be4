"""What one message costs the bot itself, here or here beside another commit. `make bench-messages`.

Writes build/bench-messages.json and prints the tables of docs/performance.md.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.messages.platforms import FRONTS
from benchmarks.messages.start import start_figures, warmed_data
from benchmarks.messages.table import tables
from benchmarks.messages.trial import Sizes, trial
from tests.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "build" / "bench-messages.json"
DATABASES = ("sqlite", "postgresql")
START = "start"
QUICK = Sizes(chats=400, questions=40, asking=20, stream_words=140, window_s=6.0, ramp_s=2.0)
ADDED = ("git", "log", "--diff-filter=A", "--format=%H", "--", "benchmarks/messages/__main__.py")
HERE, BASE = "here", "base"

Figures = dict[str, float]


def main() -> None:
    """Measure everything that was chosen, several times in turn, and print it."""
    chosen = _options()
    results: dict[str, list[Figures]] = defaultdict(list)
    with ExitStack() as stack:
        trees = {HERE: ROOT}
        if chosen.against is not None:
            trees[BASE] = stack.enter_context(_checked_out(chosen.against or _first_commit()))
        server = stack.enter_context(Postgres.running()) if "postgresql" in chosen.database else None
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="qwentin-bench-")))
        data = {}
        if START in chosen.only:
            data = {name: warmed_data(tree, folder / name) for name, tree in trees.items()}
        for run in range(chosen.runs):
            order = list(trees) if run % 2 == 0 else list(reversed(trees))
            for platform, database in _cases(chosen.only, chosen.database):
                for name in order:
                    _say(f"run {run + 1} of {chosen.runs}: {platform} {database} ({name})")
                    figures = _measured(trees[name], platform, database, server, chosen.sizes)
                    results[name].append({f"{platform}_{database}_{key}": each for key, each in figures.items()})
            for name in order if data else ():
                _say(f"run {run + 1} of {chosen.runs}: start ({name})")
                results[name].append(start_figures(trees[name], data[name]))
    medians = {name: _medians(several) for name, several in results.items()}
    _write(medians)
    print(tables(medians[HERE], medians.get(BASE)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-messages", description="What one message costs the bot itself.")
    parser.add_argument("--runs", type=int, help="how often everything is measured (3; with --quick 1)")
    parser.add_argument("--chats", type=int, help="chats that ask at once in the busy phase (1000; with --quick 400)")
    parser.add_argument("--only", help="some of: telegram,discord,store,start")
    parser.add_argument("--database", help="some of: sqlite,postgresql")
    parser.add_argument("--quick", action="store_true", help="fewer questions, shorter phases, one run")
    against = "measure this commit, too, in turn; without REF the commit that added this benchmark"
    parser.add_argument("--against", nargs="?", const="", metavar="REF", help=against)
    chosen = parser.parse_args()
    chosen.runs = chosen.runs or (1 if chosen.quick else 3)
    sizes = QUICK if chosen.quick else Sizes()
    chosen.sizes = replace(sizes, chats=max(chosen.chats or sizes.chats, sizes.asking))
    chosen.only = _listed(parser, chosen.only, (*FRONTS, START))
    chosen.database = _listed(parser, chosen.database, DATABASES)
    return chosen


def _listed(parser: argparse.ArgumentParser, given: str | None, known: Sequence[str]) -> Sequence[str]:
    names = given.split(",") if given else known
    if unknown := set(names) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    return names


def _cases(only: Sequence[str], databases: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((platform, database) for platform in only if platform != START for database in databases)


def _measured(tree: Path, platform: str, database: str, server: Postgres | None, sizes: Sizes) -> Figures:
    if database == "sqlite" or server is None:
        return asyncio.run(trial(tree, platform, "", sizes))
    with server.database() as name:
        return asyncio.run(trial(tree, platform, server.address(name), sizes))


@contextmanager
def _checked_out(ref: str) -> Iterator[Path]:
    """A commit's tree in a folder of its own, while the block lasts."""
    with TemporaryDirectory(prefix="qwentin-base-") as folder:
        tree = Path(folder).resolve() / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), ref], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def _first_commit() -> str:
    """The commit that added this benchmark."""
    found = subprocess.run(ADDED, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if not found:
        sys.exit("no commit has this benchmark yet: name one with --against REF")
    return found[-1]


def _medians(several: Sequence[Figures]) -> Figures:
    """Of each figure."""
    values: dict[str, list[float]] = defaultdict(list)
    for figures in several:
        for key, value in figures.items():
            values[key].append(value)
    return {key: statistics.median(found) for key, found in values.items()}


def _write(medians: Mapping[str, Figures]) -> None:
    """One flat object: each figure, and with another commit its figure and the ratio to that."""
    flat = {key: round(value, 4) for key, value in medians[HERE].items()}
    for key, base in medians.get(BASE, {}).items():
        flat[f"{key}_base"] = round(base, 4)
        if base and key in medians[HERE]:
            flat[f"{key}_ratio"] = round(medians[HERE][key] / base, 4)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(flat, indent=1, sort_keys=True) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
