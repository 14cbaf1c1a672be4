"""How long the program takes to start: `qwentin --version`, and `qwentin console` to its prompt; wall and CPU."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
import psutil

PROMPT_LIMIT_S = 120


def start_figures(tree: Path, data: Path, runs: int = 3) -> dict[str, float]:
    """The medians of some starts of a tree. `data`: a data folder in which the console has been started before."""
    versions = [version_once(tree) for _ in range(runs)]
    prompts = [prompt_once(tree, data) for _ in range(runs)]
    return {
        "version_s": statistics.median(wall for wall, _ in versions),
        "version_cpu_s": statistics.median(cpu for _, cpu in versions),
        "console_prompt_s": statistics.median(wall for wall, _ in prompts),
        "console_prompt_cpu_s": statistics.median(cpu for _, cpu in prompts),
    }


def version_once(tree: Path) -> tuple[float, float]:
    """Wall and CPU seconds of `qwentin --version`."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bots", "--version"], cwd=tree, env=_environment(tree), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"--version ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def prompt_once(tree: Path, data: Path) -> tuple[float, float]:
    """Wall seconds to the console's prompt, and CPU seconds of its own process; the engine's process is another one."""
    settings = {"DATA_DIR": str(data), "MODEL": "builtin", "HF_HUB_OFFLINE": "1", "PROMPT_TOOLKIT_NO_CPR": "1"}
    began = time.perf_counter()
    child = pexpect.spawn(
        sys.executable, ["-m", "bots", "console"], env=_environment(tree) | settings, cwd=str(tree),
        encoding="utf-8", timeout=PROMPT_LIMIT_S, dimensions=(40, 100),
    )  # fmt: skip
    try:
        child.expect("Hello! Qwentin")
        child.expect("> ")
        wall = time.perf_counter() - began
        used = psutil.Process(child.pid).cpu_times()
        return wall, used.user + used.system
    finally:
        child.close(force=True)


def warmed_data(tree: Path, folder: Path) -> Path:
    """A data folder of a tree whose very first start, which converts the model and compiles, is behind it."""
    data = folder / "data"
    data.mkdir(parents=True)
    prompt_once(tree, data)
    prompt_once(tree, data)
    return data


def _environment(tree: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TERM") if key in os.environ}
    return {"LANG": "C.UTF-8", "PYTHONPATH": str(tree)} | kept


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        here = Path(__file__).resolve().parents[2]
        print(start_figures(here, warmed_data(here, Path(place))))
