"""The benchmark's own files, all in build/bench. Deleting that folder costs only time."""

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

BENCH_FOLDER = ROOT / "build" / "bench"
LOGS = BENCH_FOLDER / "logs"
MODELS = BENCH_FOLDER / "models"
"""Converted models, compiled kernels and measurements of the machine."""
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


def transformers_folder(source: Path) -> Path:
    """The same weights in bf16 for transformers, which takes minutes to read a GGUF file."""
    return write_weights("hub", str(source))


def random_1_5b_folder() -> Path:
    """Random weights in the shape of Qwen2.5-1.5B: 3 GB."""
    return write_weights("random")


def write_weights(kind: str, *arguments: str) -> Path:
    """Write weights in another process, so that its memory is not counted as ours."""
    target = TEMPORARY / kind
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
    home, wanted = BENCH_FOLDER / name, requirement.partition("==")[2]
    python = home / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(home)], f"{name}-venv", WRITE_TIMEOUT_S)
    if installed_version(str(python), package_name(requirement)) != wanted:
        print(f"Installing {requirement} in {home}, once; what is compiled takes some minutes.", file=sys.stderr)
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", requirement, *options]
        run(command, f"{package_name(requirement)}-pip", COMPILE_TIMEOUT_S)
    return str(python)


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
