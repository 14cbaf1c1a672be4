"""The engine over a thread: streams, cancelling, losing the worker and getting another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial

import psutil
import pytest

from core.domain.errors import ChatError, EngineDied, SetupError
from core.domain.sampling import Sampling
from core.engine.engine import MAX_FAILED_STARTS, PROGRESS_TIMEOUT_S, Engine, TokenStream
from core.engine.hang_detector import LOOKS_PER_TIMEOUT, HangDetector
from core.engine.options import Report
from core.engine.pipe import WorkerPipe
from core.engine.protocol import Channel, Event, FinishReason, Generate, Request
from tests.core.engine.fakes import BOOM, HANG, Counter, Loads, until
from tests.core.engine.thread_host import Stillborn, ThreadHost, Watched
from tests.patience import LIMIT_S, limit
from tests.tables import each_row

ENDLESS = Sampling(max_tokens=1 << 20)
THREE = Sampling(max_tokens=3)


@pytest.fixture
def runner() -> Counter:
    return Counter(pause=0.001)


@pytest.fixture
def host(runner: Counter) -> ThreadHost:
    return ThreadHost(Loads(runner))


@pytest.fixture
async def engine(host: ThreadHost) -> AsyncIterator[Engine]:
    async with Engine(host) as engine:
        yield engine


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a thread or an open file behind."""
    before = psutil.Process().num_fds()
    yield
    for thread in threading.enumerate():
        if "engine" in thread.name:
            thread.join(LIMIT_S)
    assert not [thread.name for thread in threading.enumerate() if "engine" in thread.name]
    assert psutil.Process().num_fds() <= before


async def all_of(stream: TokenStream) -> list[int]:
    return [token async for token in stream]


def how(stream: TokenStream) -> FinishReason | None:
    return stream.reason


async def answer(engine: Engine, *ids: int, sampling: Sampling = THREE) -> list[int]:
    async with engine.stream(ids, sampling, "someone") as stream:
        return await all_of(stream)


async def until_free(runner: Counter) -> None:
    await until(lambda: not runner.open)


async def test_an_answer_and_its_reason(engine: Engine) -> None:
    async with engine.stream([5], THREE, "someone") as stream:
        assert how(stream) is None
        assert await all_of(stream) == [6, 7, 8]
        assert how(stream) == "length"
        assert await all_of(stream) == []
    async with engine.stream([5], Sampling(stop_ids=(7,)), "someone") as stream:
        assert await all_of(stream) == [6]
        assert stream.reason == "stop"


async def test_too_many_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes too late is told "again"; whoever is being answered notices nothing."""
    monkeypatch.setattr("core.engine.engine.MAX_STREAMS", 2)
    async with engine.stream([5], THREE, "a") as first, engine.stream([50], THREE, "b") as second:
        with pytest.raises(ChatError, match="again"):
            await answer(engine, 500)
        assert (await all_of(first), await all_of(second)) == ([6, 7, 8], [51, 52, 53])
    assert await answer(engine, 500) == [501, 502, 503]


async def test_many_at_once(engine: Engine) -> None:
    answers = await asyncio.gather(*(answer(engine, 100 * number) for number in range(20)))
    assert answers == [[100 * number + add for add in (1, 2, 3)] for number in range(20)]


async def test_leaving_the_block_frees_the_sequence(engine: Engine, runner: Counter) -> None:
    async with engine.stream([5], ENDLESS, "someone") as stream:
        assert await anext(stream) == 6
    await until_free(runner)
    assert await answer(engine, 1) == [2, 3, 4]


async def test_an_exception_frees_the_sequence(engine: Engine, runner: Counter) -> None:
    with pytest.raises(ZeroDivisionError):
        async with engine.stream([5], ENDLESS, "someone") as stream:
            await anext(stream)
            raise ZeroDivisionError
    await until_free(runner)
    assert not engine._streams


async def test_cancelling_the_task_frees_the_sequence(engine: Engine, runner: Counter) -> None:
    task = asyncio.create_task(answer(engine, 5, sampling=ENDLESS))
    await until(lambda: runner.open)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_free(runner)
    assert not engine._streams


async def test_a_slow_reader_stops_nobody(engine: Engine) -> None:
    async with engine.stream([5], THREE, "slow") as slow:
        assert await answer(engine, 10) == [11, 12, 13]
        assert await all_of(slow) == [6, 7, 8]


async def test_one_failed_answer(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ChatError) as failure:
        await answer(engine, BOOM)
    assert failure.type is ChatError
    assert failure.value.key == "error.again"
    assert "MemoryError" in caplog.text
    assert await answer(engine, 1) == [2, 3, 4]


async def test_a_lost_worker_ends_every_open_answer_and_the_next_works(engine: Engine, host: ThreadHost) -> None:
    tasks = [asyncio.create_task(answer(engine, number, sampling=ENDLESS)) for number in range(3)]
    await until(lambda: len(engine._streams) == 3)
    host.kill()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [EngineDied] * 3
    assert await answer(engine, 1) == [2, 3, 4]


async def test_death_is_told_again_to_whoever_asks_again(engine: Engine, host: ThreadHost) -> None:
    async with engine.stream([5], ENDLESS, "someone") as stream:
        host.kill()
        for _ in range(2):
            with pytest.raises(EngineDied):
                await all_of(stream)


def read(runner: Counter) -> int:
    return sum(count for step in runner.steps for _, count in step)


async def test_what_is_warmed_needs_no_reading_later_unless_it_is_dropped(engine: Engine, runner: Counter) -> None:
    engine.warm(range(70), "someone")
    await until(lambda: read(runner) == 64)
    assert await answer(engine, *range(70), 100) == [101, 102, 103]
    assert (engine.prompt_ids, engine.reused_ids) == (71, 64)
    engine.drop("someone else")
    await answer(engine, *range(70), 200)
    assert (engine.prompt_ids, engine.reused_ids) == (142, 128)
    engine.drop("someone")
    await answer(engine, *range(70), 100)
    assert (engine.prompt_ids, engine.reused_ids) == (213, 128)


async def test_nothing_is_warmed_or_dropped_where_nobody_is_ready() -> None:
    engine = Engine(ThreadHost(Loads(Counter())))
    engine.warm(range(70), "someone")
    engine.drop("someone")
    assert engine._channel is None
    async with engine:
        await answer(engine, *range(70), 100)
    assert (engine.prompt_ids, engine.reused_ids) == (71, 0)
    engine.warm(range(70), "someone")
    engine.drop("someone")
    assert engine.info is None


async def test_a_new_worker_knows_nothing_of_the_lost_ones_memory(engine: Engine, host: ThreadHost) -> None:
    for _ in range(2):
        await answer(engine, *range(70), 100)
        await returns(engine, host)
    assert (engine.prompt_ids, engine.reused_ids) == (142, 0)


async def returns(engine: Engine, host: ThreadHost) -> None:
    before = await engine.ready()
    host.kill()
    await until(lambda: engine.info not in (None, before))


async def test_starts_again_by_itself(engine: Engine, host: ThreadHost) -> None:
    for _ in range(2 * MAX_FAILED_STARTS):
        await returns(engine, host)


async def test_info_and_steps() -> None:
    steps: list[str] = []
    engine = Engine(ThreadHost(Loads(Counter(context=77))), steps.append)
    engine.launch()
    async with engine:
        assert engine.info
        assert (engine.info.device, engine.info.weights, engine.info.context) == ("nothing", "integers", 77)
        assert steps == ["counting"]
    assert engine.info is None


def test_launch_needs_no_loop() -> None:
    engine = Engine(ThreadHost(Loads(Counter())))
    engine.launch()

    async def use() -> list[int]:
        async with engine:
            return await answer(engine, 1)

    assert asyncio.run(use()) == [2, 3, 4]


@each_row("launched", [False, True])
async def test_closed_unused(launched: bool) -> None:
    engine = Engine(ThreadHost(Loads(Counter())))
    if launched:
        engine.launch()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineDied):
        await answer(engine, 1)


async def test_closing_ends_open_answers(host: ThreadHost) -> None:
    async with Engine(host) as engine:
        task = asyncio.create_task(answer(engine, 5, sampling=ENDLESS))
        await until(lambda: engine._streams)
    with pytest.raises(EngineDied):
        await task
    with pytest.raises(EngineDied):
        await answer(engine, 1)


async def test_refused_at_the_start() -> None:
    host = ThreadHost(Loads(SetupError("buy more memory")))
    with pytest.raises(SetupError, match=r"^buy more memory$"):
        async with Engine(host):
            pass
    assert not host.alive


async def test_a_bug_at_the_start_is_one_line() -> None:
    with pytest.raises(SetupError, match=r"^the model can't be loaded: ValueError: two lines$"):
        async with Engine(ThreadHost(Loads(ValueError("two\nlines")))):
            pass


async def test_refused_when_started_again() -> None:
    loads = Loads(Counter(), SetupError("no memory left"))
    host = ThreadHost(loads)
    async with Engine(host) as engine:
        host.kill()
        await until(lambda: engine.failure)
        for _ in range(2):
            with pytest.raises(EngineDied):
                await answer(engine, 1)
        assert (engine.failure, loads.count) == ("no memory left", 2)


async def test_lost_while_loading_but_not_for_ever() -> None:
    async with Engine(Stillborn(MAX_FAILED_STARTS - 1)) as engine:
        assert await answer(engine, 1) == [2, 3, 4]


async def test_gives_up_a_worker_that_is_never_ready() -> None:
    host = Stillborn(1000)
    engine = Engine(host)
    with pytest.raises(SetupError, match="lost 3 times"):
        await engine.ready()
    with pytest.raises(EngineDied):
        await answer(engine, 1)
    assert host.starts == MAX_FAILED_STARTS
    await engine.close()


async def test_a_stream_waits_for_the_model() -> None:
    loading, gate = threading.Event(), threading.Event()

    def load(report: Report) -> Counter:
        loading.set()
        gate.wait(LIMIT_S)
        return Counter()

    engine = Engine(ThreadHost(load))
    task = asyncio.create_task(answer(engine, 1))
    await until(loading.is_set)
    assert not task.done() and not engine._streams
    gate.set()
    assert await task == [2, 3, 4]
    await engine.close()


async def test_a_hung_worker_is_lost() -> None:
    hung = Counter()
    host = Watched(Loads(hung, Counter()), hung.hangs)
    async with Engine(host, progress_timeout_s=0.05) as engine:
        with pytest.raises(EngineDied):
            await answer(engine, HANG, sampling=ENDLESS)
        hung.wake.set()
        hung.hangs.clear()
        assert await answer(engine, 1) == [2, 3, 4]


async def test_an_idle_worker_is_not_hung(runner: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets on at no look, but nobody waits for it."""
    idle_looks = list[HangDetector]()

    def reset(detector: HangDetector) -> None:
        idle_looks.append(detector)

    monkeypatch.setattr(HangDetector, "reset", reset)
    loads = Loads(runner)
    async with Engine(ThreadHost(loads), progress_timeout_s=0.05) as engine:
        await until(lambda: len(idle_looks) > 3 * LOOKS_PER_TIMEOUT)
        engine._progress_timeout_s = PROGRESS_TIMEOUT_S
        assert await answer(engine, 1) == [2, 3, 4]
    assert loads.count == 1


async def test_a_full_pipe_does_not_stop_the_loop() -> None:
    hung = Counter()
    host = ThreadHost(partial(give, hung))
    async with Engine(host) as engine:
        async with engine.stream([HANG], ENDLESS, "someone") as stream:
            assert await anext(stream) == HANG + 1
            for _ in range(20):
                async with limit(), engine.stream(range(100_000), ENDLESS, "someone"):
                    pass
        hung.wake.set()
        assert await answer(engine, 1) == [2, 3, 4]


def give(runner: Counter, report: Report) -> Counter:
    return runner


async def test_a_host_that_can_not_start_again() -> None:
    class Once(ThreadHost):
        def start(self) -> Channel[Request, Event]:
            if self.thread is not None or self.started:
                raise OSError("no more processes")
            self.started = True
            return super().start()

        started = False

    host = Once(Loads(Counter()))
    async with Engine(host) as engine:
        host.kill()
        await until(lambda: not engine.info)
        with pytest.raises(EngineDied):
            await answer(engine, 1)


async def test_a_link_outlives_neither_end(host: ThreadHost) -> None:
    link = WorkerPipe(host.start())
    host.kill()
    while await link.receive() is not None:
        pass
    host.join()
    link.send(Generate(1, (1,), Sampling(), "late"))
    link.close()
