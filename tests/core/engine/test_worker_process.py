"""The worker in a process of its own: real spawns, so few of them."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from core.domain.errors import EngineDied, SetupError
from core.domain.sampling import Sampling
from core.engine.engine import Engine
from core.engine.hang_detector import LOOKS_PER_TIMEOUT, WorkerActivity
from core.engine.loader import Loader
from core.engine.options import LoadRunner, Report
from core.engine.worker_process import ProcessHost
from tests.core.engine.fakes import BOOM, CIRCLE, HANG, Counter, load, load_laborious, load_never, load_slowly, until
from tests.patience import LIMIT_S
from tests.real import KERNELS

ROOT = Path(__file__).parents[3]
PROMPT = (3, 141, 59, 26, 53, 58, 97, 93, 23, 84)
ENDLESS = Sampling(max_tokens=1 << 20)


async def answer(engine: Engine, *ids: int, sampling: Sampling) -> list[int]:
    async with engine.stream(ids, sampling, "someone") as stream:
        return [token async for token in stream]


async def fails(load: LoadRunner) -> str:
    with pytest.raises(SetupError) as failure:
        async with Engine(ProcessHost(load)):
            pass
    line = str(failure.value)
    assert "\n" not in line
    return line


def gone(pid: int) -> bool:
    """Whether the process ends; one that nobody has waited for yet has ended, too."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def run(*command: str, path: Path = ROOT) -> "subprocess.Popen[str]":
    places = os.pathsep.join((str(ROOT), str(path)))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": places})


async def test_answers_a_failure_and_a_kill() -> None:
    host = ProcessHost(load_slowly)
    async with Engine(host) as engine:
        assert await answer(engine, 5, sampling=Sampling(max_tokens=3)) == [6, 7, 8]
        with pytest.raises(Exception, match=r"error\.again"):
            await answer(engine, BOOM, sampling=ENDLESS)
        assert host.pid
        os.kill(host.pid, signal.SIGINT)
        tasks = [asyncio.create_task(answer(engine, number, sampling=ENDLESS)) for number in range(2)]
        async with engine.stream([5], ENDLESS, "someone") as stream:
            await anext(stream)
            os.kill(host.pid, signal.SIGKILL)
            with pytest.raises(EngineDied):
                [token async for token in stream]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineDied] * 2
        assert await answer(engine, 5, sampling=Sampling(max_tokens=3)) == [6, 7, 8]
    assert not host.alive


PATIENCE = 3.0
"""Seconds; a tick of processor time, 10 ms, must be little beside it."""


@pytest.mark.slow
async def test_computing_in_a_circle_is_noticed_and_costs_one_answer() -> None:
    host = ProcessHost(load)
    async with Engine(host, progress_timeout_s=PATIENCE) as engine:
        first = host.pid
        async with engine.stream([CIRCLE], ENDLESS, "someone") as stream:
            assert await anext(stream) == CIRCLE + 1
            with pytest.raises(EngineDied):
                await anext(stream)
        assert await answer(engine, 5, sampling=Sampling(max_tokens=1)) == [6]
        assert host.pid != first


class Looked(ProcessHost):
    """Counts how often it is looked at."""

    looks = 0

    def activity(self) -> WorkerActivity:
        self.looks += 1
        return super().activity()


@pytest.mark.slow
async def test_a_starved_engine_is_slow_and_not_dead(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a twentieth of a core a step takes longer than the patience; it gets on, and is left alone."""
    enough = tmp_path / "enough"
    host = Looked(partial(load_laborious, enough))
    async with Engine(host, progress_timeout_s=PATIENCE) as engine:
        assert host.pid
        starved, done = psutil.Process(host.pid), asyncio.Event()
        starving = asyncio.create_task(starve(starved, done))
        answered = asyncio.create_task(answer(engine, 5, sampling=Sampling(max_tokens=1)))
        try:
            await until(lambda: host.looks > 1.3 * LOOKS_PER_TIMEOUT or answered.done())
            enough.touch()
            assert await answered == [6]
        finally:
            done.set()
            await starving
        assert host.looks > LOOKS_PER_TIMEOUT
        assert host.pid == starved.pid
    assert "killing" not in caplog.text


async def starve(process: psutil.Process, done: asyncio.Event) -> None:
    """Let it run for a tick of its processor time, and then stand for nineteen."""
    while not done.is_set():
        process.suspend()
        await asyncio.sleep(0.19)
        used = process.cpu_times().user
        process.resume()
        while process.cpu_times().user == used and not done.is_set():
            await asyncio.sleep(0.001)


@pytest.mark.slow
async def test_nice_is_what_the_owner_says() -> None:
    for nice in (0, 7):
        host = ProcessHost(load, nice)
        async with Engine(host):
            assert psutil.Process(host.pid).nice() == psutil.Process().nice() + nice


def held() -> tuple[int, int, int]:
    return psutil.Process().num_fds(), threading.active_count(), len(psutil.Process().children())


@pytest.mark.slow
async def test_nothing_is_left_behind() -> None:
    async with Engine(ProcessHost(load)):
        pass  # the first one starts multiprocessing's own helper, which stays
    before = held()
    async with Engine(ProcessHost(load)) as engine:
        assert await answer(engine, 5, sampling=Sampling(max_tokens=3)) == [6, 7, 8]
    assert held() == before


@pytest.mark.slow
async def test_a_hung_or_loading_process_is_killed_at_the_end() -> None:
    host = ProcessHost(load)
    async with Engine(host) as engine, engine.stream([HANG], ENDLESS, "someone") as stream:
        assert await anext(stream) == HANG + 1
    assert not host.alive
    engine = Engine(ProcessHost(load_never))
    engine.launch()
    await engine.close()
    assert not engine._host.alive


@pytest.mark.slow
async def test_a_load_that_fails() -> None:
    assert await fails(broken) == "the model can't be loaded: RuntimeError: not today"


def broken(report: Report) -> Counter:
    raise RuntimeError("not\ntoday")


@pytest.mark.slow
def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    parent = script(
        tmp_path,
        "parent.py",
        """
        import asyncio
        from core.engine.engine import Engine
        from core.engine.worker_process import ProcessHost
        from core.domain.sampling import Sampling
        from tests.core.engine.fakes import HANG, load

        async def main():
            host = ProcessHost(load)
            async with Engine(host) as engine, engine.stream([HANG], Sampling(), "someone") as stream:
                await anext(stream)
                print(host.pid, flush=True)
                await asyncio.sleep(60)

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    with run(sys.executable, str(parent)) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        assert psutil.pid_exists(pid)
        process.kill()
    assert gone(pid)


@pytest.mark.slow
def test_a_console_script_is_not_run_again_in_the_child(tmp_path: Path) -> None:
    script(
        tmp_path,
        "heavy.py",
        """
        import asyncio, sys
        from core.engine.engine import Engine
        from core.engine.worker_process import ProcessHost
        from tests.core.engine.fakes import load_with_heavy

        async def use():
            async with Engine(ProcessHost(load_with_heavy), print):
                print(sys.modules["__main__"].__file__)

        def main():
            asyncio.run(use())
        """,
    )
    console = script(
        tmp_path, "qwentin", "import sys\nfrom heavy import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    with run(sys.executable, str(console), path=tmp_path) as process:
        output, _ = process.communicate(timeout=LIMIT_S)
    assert output.splitlines() == ["heavy=False torch=False", str(console)]


def test_the_bots_process_never_imports_torch() -> None:
    names = [path.stem for path in (ROOT / "core" / "engine").glob("*.py")]
    assert len(names) > 10
    imports = "; ".join(f"import core.engine.{name}" for name in names)
    heavy = "print([name for name in ('torch', 'transformers', 'numpy', 'numba') if name in sys.modules])"
    with run(sys.executable, "-c", f"import sys; {imports}; {heavy}") as process:
        assert process.communicate(timeout=LIMIT_S)[0] == "[]\n"


@pytest.mark.slow
async def test_a_real_model_its_kill_and_its_return(tiny: Path) -> None:
    steps: list[str] = []
    host = ProcessHost(Loader(tiny, weights="int8", cache=KERNELS))
    greedy = Sampling(temperature=0, max_tokens=30)
    async with Engine(host, steps.append) as engine:
        assert engine.info
        assert engine.info.weights.startswith("int8 by numba (")
        assert engine.info.context == 1024
        loading = f"loading {tiny.name} as int8 (0.0 GiB)"
        told = [step for step in steps if "compiling" not in step]
        assert told == ["starting the engine", loading, "measuring this machine"]
        first = await answer(engine, *PROMPT, sampling=greedy)
        assert len(first) == 30
        assert await answer(engine, *PROMPT, sampling=Sampling(temperature=0, stop_ids=(first[5],))) == first[:5]
        async with engine.stream(PROMPT, ENDLESS, "someone") as stream:
            await anext(stream)
            os.kill(host.pid or 0, signal.SIGKILL)
            with pytest.raises(EngineDied):
                [token async for token in stream]
        assert await answer(engine, *PROMPT, sampling=greedy) == first
        full = [place % 300 for place in range(1000)]
        assert len(await answer(engine, *full, sampling=ENDLESS)) == 24


@pytest.mark.slow
async def test_a_real_refusal(tiny: Path) -> None:
    assert "needs 0.5 GiB of memory, 0.0 GiB are free" in await fails(Loader(tiny, free=1))


def test_a_partial_of_a_function_is_a_load_too() -> None:
    load: LoadRunner = partial(counting, Counter())
    assert load(print).context


def counting(counter: Counter, report: Report) -> Counter:
    return counter
