"""What the benchmark makes for itself, all of it in build/bench. Whoever deletes that folder loses only time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.engine.peer import ROOT, PeerFailed, last_line
from core.checkpoints import BUILTIN
from core.checkpoints.builtin import builtin_file
from core.checkpoints.convert import convert
from core.errors import SetupError

HERE = ROOT / "build" / "bench"
LOGS = HERE / "logs"
MODELS = HERE / "models"
PASSING = HERE / "passing"
"""Deleted at the end."""
LLAMA = "llama-cpp-python==0.3.36"
COMPILING, WRITING = 1800.0, 300.0
"""Seconds, at most."""


def prepare() -> None:
    """Empty folders for this run."""
    clean()
    for folder in (LOGS, PASSING):
        folder.mkdir(parents=True, exist_ok=True)


def data() -> Path:
    """A data folder for the bot, as it is after the first start: the model is converted already."""
    target = PASSING / "data"
    if not target.exists():
        target.mkdir()
        (target / MODELS.name).symlink_to(MODELS)
    return target


def clean() -> None:
    shutil.rmtree(PASSING, ignore_errors=True)


def gguf(model: str) -> Path:
    """The file that all peers load. SetupError if it is none."""
    path = builtin_file() if model in ("", BUILTIN) else Path(model).expanduser().absolute()
    if not path.is_file() or path.suffix != ".gguf":
        raise SetupError(f"MODEL={model} is not a .gguf file: every peer must be able to load it")
    return path


def converted(file: Path) -> Path:
    """The file as the engine reads it; kept for the next run."""
    return convert(file, MODELS, lambda label, done, total: None)


def full_precision(source: Path) -> Path:
    """The same numbers as if they had never been rounded, so that the engine rounds them as it does by default."""
    target = PASSING / "full"
    target.mkdir()
    for file in source.iterdir():
        if file.name != "config.json":
            (target / file.name).symlink_to(file.absolute())
    config = json.loads((source / "config.json").read_text())
    config.pop("qwentin_source", None)
    (target / "config.json").write_text(json.dumps(config))
    return target


def hub(source: Path) -> Path:
    """The same numbers for transformers, which takes minutes to read a GGUF file."""
    return written("hub", str(source))


def random_1_5b() -> Path:
    """Random numbers in the shape of Qwen2.5-1.5B: 3 GB."""
    return written("random")


def written(kind: str, *arguments: str) -> Path:
    """In a process of its own, whose memory is gone afterwards."""
    target = PASSING / kind
    run([sys.executable, "-m", "benchmarks.engine.weights", kind, *arguments, str(target)], kind, WRITING)
    return target


def llama_python(given: str) -> str:
    """A Python that has llama_cpp: the one that is named, or one of our own, which is made once."""
    if given:
        if not can_import_llama(given):
            raise SetupError(f"LLAMA_PYTHON={given} is no Python with llama_cpp")
        return given
    home = HERE / "llama"
    python = str(home / "bin" / "python")
    if not can_import_llama(python):
        print(f"Compiling {LLAMA} in {home}, once: some minutes.", file=sys.stderr)
        run([sys.executable, "-m", "venv", "--clear", str(home)], "llama-venv", WRITING)
        run([python, "-m", "pip", "install", "--disable-pip-version-check", LLAMA], "llama-pip", COMPILING)
    return python


def can_import_llama(python: str) -> bool:
    command = [python, "-c", "import llama_cpp; print(llama_cpp.__version__)"]
    try:
        return bool(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    except (OSError, subprocess.SubprocessError):
        return False


def run(command: list[str], name: str, seconds: float) -> None:
    """To its end, what it says in a log. PeerFailed if that is no good one."""
    log = LOGS / f"{name}.log"
    with log.open("w") as out:
        try:
            subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=True, timeout=seconds)
        except (subprocess.SubprocessError, OSError) as error:
            raise PeerFailed(f"{name} failed ({type(error).__name__}): {last_line(log)} (all of it: {log})") from error
