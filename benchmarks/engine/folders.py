"""The benchmark's own files, all in build/bench. Deleting that folder costs only time."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.engine.peer import ROOT, PeerFailed, last_line
from core.checkpoints import BUILTIN
from core.checkpoints.builtin import builtin_file
from core.checkpoints.gguf_convert import convert
from core.domain.errors import SetupError

BENCH_FOLDER = ROOT / "build" / "bench"
LOGS = BENCH_FOLDER / "logs"
MODELS = BENCH_FOLDER / "models"
"""Converted models, compiled kernels and measurements of the machine."""
FILES = BENCH_FOLDER / "gguf"
"""GGUF files that were written again in another type."""
TEMPORARY = BENCH_FOLDER / "passing"
"""Deleted at the end."""
LLAMA_REQUIREMENT = "llama-cpp-python==0.3.36"
"""llama.cpp, compiled here for this machine."""
STOCK_REQUIREMENT, IK_REQUIREMENT = "xllamacpp==2026.10.11549", "ik-llama-cpp-python==0.1.5"
"""The wheels of llama.cpp and ik_llama.cpp, compiled for AVX2."""
COMPILE_TIMEOUT_S, WRITE_TIMEOUT_S = 1800.0, 300.0


def prepare() -> None:
    """Make empty folders for this run."""
    clean()
    for folder in (LOGS, TEMPORARY):
        folder.mkdir(parents=True, exist_ok=True)


def bot_data_folder() -> Path:
    """A data folder for the bot with the model already converted, as after its first start."""
    target = TEMPORARY / "data"
    if not target.exists():
        target.mkdir()
        (target / MODELS.name).symlink_to(MODELS)
    return target


def empty_folder() -> Path:
    """A new empty folder."""
    return Path(tempfile.mkdtemp(dir=TEMPORARY))


def clean() -> None:
    shutil.rmtree(TEMPORARY, ignore_errors=True)


def gguf_file(model: str) -> Path:
    """The file that all peers load. Raises SetupError if it is not a GGUF file."""
    path = builtin_file() if model in ("", BUILTIN) else Path(model).expanduser().absolute()
    if not path.is_file() or path.suffix != ".gguf":
        raise SetupError(f"MODEL={model} is not a .gguf file: every peer must be able to load it")
    return path


def file_of_type(file: Path, kind: str) -> Path:
    """The same weights in a file with matrices of this type, made once. Raises PeerFailed."""
    target = FILES / f"{file.stem}-{kind}.gguf"
    if not target.exists():
        FILES.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.engine.requantize", str(file), kind, str(target)]
        run(command, f"requantize-{kind}", WRITE_TIMEOUT_S)
    return target


def converted_folder(file: Path) -> Path:
    """The file converted for the engine; kept for the next run."""
    return convert(file, MODELS, lambda label, done, total: None)


def full_precision_folder(source: Path) -> Path:
    """The same weights without the mark of a GGUF file, so that the engine quantizes them as full precision."""
    target = TEMPORARY / "full"
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


def random_1_5b_folder() -> Path:
    """Random weights in the shape of Qwen2.5-1.5B: 3 GB."""
    return write_weights("random")


def write_weights(kind: str, *arguments: str, target: Path | None = None) -> Path:
    """Write weights in another process, so that its memory is not counted as ours. Deleted at the end if no target is
    given."""
    target = target or TEMPORARY / kind
    if target.exists():
        return target
    run([sys.executable, "-m", "benchmarks.engine.weights", kind, *arguments, str(target)], kind, WRITE_TIMEOUT_S)
    return target


def llama_python(given: str) -> str:
    """A Python with llama.cpp compiled for this machine: the given one, or one made here. Raises SetupError."""
    if given and not installed_version(given, package_name(LLAMA_REQUIREMENT)):
        raise SetupError(f"LLAMA_PYTHON={given} is no Python with {package_name(LLAMA_REQUIREMENT)}")
    return given or make_python("llama", LLAMA_REQUIREMENT, ["--no-binary", package_name(LLAMA_REQUIREMENT)])


def wheel_python(wheel: str) -> str:
    """A Python with this wheel and numpy; nothing is compiled."""
    return make_python("wheels", wheel, ["numpy", "--only-binary", ":all:"])


def make_python(name: str, requirement: str, options: list[str]) -> str:
    """Make a virtual environment with this package, once. Raises PeerFailed if it can't be installed."""
    home = BENCH_FOLDER / name
    python = empty_python(home)
    install(python, home, [requirement], options)
    return python


def python_beside_ours(name: str, requirements: Sequence[str], unwanted: Sequence[str]) -> str:
    """A Python with these packages that also has all of ours, so that torch is not installed twice.

    `unwanted`: packages that come with them and don't fit this torch. Raises PeerFailed if it can't be installed.
    """
    home = BENCH_FOLDER / name
    python = empty_python(home)
    ours, theirs = (
        Path(sysconfig.get_path("purelib")),
        home / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix),
    )
    (theirs / "ours.pth").write_text(f"{ours}\n")
    if install(python, home, [*requirements, f"torch=={version('torch')}"], []) and unwanted:
        run([python, "-m", "pip", "uninstall", "--yes", *unwanted], f"{name}-unwanted", WRITE_TIMEOUT_S)
    return python


def empty_python(home: Path) -> str:
    """The Python of a virtual environment, made now if there is none."""
    python = home / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(home)], f"{home.name}-venv", WRITE_TIMEOUT_S)
    return str(python)


def install(python: str, home: Path, requirements: Sequence[str], options: Sequence[str]) -> bool:
    """Install packages unless the first of them is there. Returns whether it was not."""
    package, _, wanted = requirements[0].partition("==")
    if installed_version(python, package) == wanted:
        return False
    print(f"Installing {requirements[0]} in {home}, once; what is compiled takes some minutes.", file=sys.stderr)
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", *requirements, *options]
    run(command, f"{package}-pip", COMPILE_TIMEOUT_S)
    return True


def package_name(requirement: str) -> str:
    return requirement.partition("==")[0]


def installed_version(python: str, package: str) -> str:
    """The version of a package in this Python; "" if it has none."""
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    try:
        found = subprocess.run([python, "-c", code, package], check=True, capture_output=True, timeout=60, text=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def run(command: list[str], name: str, seconds: float) -> None:
    """Run a command with its output in a log. Raises PeerFailed if it fails or takes longer than `seconds`."""
    log = LOGS / f"{name}.log"
    with log.open("w") as out:
        try:
            subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=True, timeout=seconds)
        except (subprocess.SubprocessError, OSError) as error:
            raise PeerFailed(f"{name} failed ({type(error).__name__}): {last_line(log)} (all of it: {log})") from error
