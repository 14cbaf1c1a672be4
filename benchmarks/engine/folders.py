"""What the benchmark makes for itself, all of it in build/bench. Whoever deletes that folder loses only time."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.engine.peer import ROOT, PeerFailed, last_line
from core.checkpoints import BUILTIN
from core.checkpoints.builtin import builtin_file
from core.checkpoints.gguf_convert import convert
from core.domain.errors import SetupError

HERE = ROOT / "build" / "bench"
LOGS = HERE / "logs"
MODELS = HERE / "models"
"""Converted ones, the compiled kernels, and what was measured of the machine."""
PASSING = HERE / "passing"
"""Deleted at the end."""
LLAMA = "llama-cpp-python==0.3.36"
"""llama.cpp, compiled here for this machine."""
STOCK, IK = "xllamacpp==2026.10.11549", "ik-llama-cpp-python==0.1.5"
"""llama.cpp and ik_llama.cpp as their wheels have them: compiled for AVX2, whatever the machine."""
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


def empty() -> Path:
    """A folder that nothing is kept in yet."""
    return Path(tempfile.mkdtemp(dir=PASSING))


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
    if target.exists():
        return target
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
    if target.exists():
        return target
    run([sys.executable, "-m", "benchmarks.engine.weights", kind, *arguments, str(target)], kind, WRITING)
    return target


def llama_python(given: str) -> str:
    """A Python that has llama.cpp compiled for this machine: the one that is named, or one of our own."""
    if given and not version_in(given, package(LLAMA)):
        raise SetupError(f"LLAMA_PYTHON={given} is no Python with {package(LLAMA)}")
    return given or made("llama", LLAMA, ["--no-binary", package(LLAMA)])


def wheel_python(wheel: str) -> str:
    """A Python that has this wheel, which nothing is compiled for, and numpy."""
    return made("wheels", wheel, ["numpy", "--only-binary", ":all:"])


def made(name: str, requirement: str, options: list[str]) -> str:
    """A Python of our own that has this package, made once. PeerFailed where it can't be installed."""
    home, wanted = HERE / name, requirement.partition("==")[2]
    python = home / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(home)], f"{name}-venv", WRITING)
    if version_in(str(python), package(requirement)) != wanted:
        print(f"Installing {requirement} in {home}, once; what is compiled takes some minutes.", file=sys.stderr)
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", requirement, *options]
        run(command, f"{package(requirement)}-pip", COMPILING)
    return str(python)


def package(requirement: str) -> str:
    return requirement.partition("==")[0]


def version_in(python: str, package: str) -> str:
    """The version of a package that this Python has; "" if it has none."""
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    try:
        found = subprocess.run([python, "-c", code, package], check=True, capture_output=True, timeout=60, text=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def run(command: list[str], name: str, seconds: float) -> None:
    """To its end, what it says in a log. PeerFailed if that is no good one."""
    log = LOGS / f"{name}.log"
    with log.open("w") as out:
        try:
            subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=True, timeout=seconds)
        except (subprocess.SubprocessError, OSError) as error:
            raise PeerFailed(f"{name} failed ({type(error).__name__}): {last_line(log)} (all of it: {log})") from error
