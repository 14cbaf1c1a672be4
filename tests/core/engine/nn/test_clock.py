"""The clock by which the machine is measured: the best of some runs, how far they lie apart, and what others use."""

from collections.abc import Callable

import pytest

from core.engine import processor
from core.engine.nn import autotune as tune
from core.engine.nn.autotune import MAX_MEASURE_S, MEASURED_ROWS, Clock, ComputePath, measure_tuning
from tests.tables import each_row

ALL: tuple[ComputePath, ...] = ("kernels", "panels", "torch")


class Watch:
    """In place of the module `time`: runs take as long as they are said to."""

    def __init__(self, *durations: float) -> None:
        self.left, self.now = list(durations), 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def run(self) -> None:
        self.now += self.left.pop(0)


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Clock, Watch]]:
    """A real clock on a watch; its runs take 30 ms at least, and are three."""
    monkeypatch.setattr(tune, "MIN_MEASURE_S", 0.03)
    monkeypatch.setattr(tune, "MIN_RUNS", 3)

    def make(*durations: float) -> tuple[Clock, Watch]:
        watch = Watch(*durations)
        monkeypatch.setattr(tune, "time", watch)
        return Clock(), watch

    return make


Turned = Callable[..., tuple[Clock, Watch]]


@each_row(
    ("durations", "best"),
    [
        ((0.09, 0.02, 0.03, 0.03), 0.02),
        ((0.01, 0.09, 0.04, 0.02), 0.02),
        ((0.001,) * 25 + (0.0005,) + (0.001,) * 9, 0.0005),
        ((0.5, 0.51), 0.51),
        ((0.1, 0.5, 0.5), 0.5),
        ((60.0, 70.0), 70.0),
    ],
    ids=["first not counted", "some disturbed", "long enough", "one is LONG", "two are LONG", "hours"],
)
def test_the_best_of_some_runs(durations: tuple[float, ...], best: float, turned: Turned) -> None:
    clock, watch = turned(*durations)
    assert clock.best_seconds(watch.run) == pytest.approx(best)
    assert len(watch.left) <= 5, "all runs that were needed"
    assert MAX_MEASURE_S == 1.0 and (sum(durations) < MAX_MEASURE_S or not watch.left)


@each_row(
    ("durations", "best"),
    [
        ((0.01, 0.02, 0.2, 0.4, 0.1, 0.5, 0.3, 0.3), [0.1, 0.3]),
        ((60.0, 70.0, 65.0, 66.0), [65.0, 66.0]),
    ],
)
def test_several_in_turn(durations: tuple[float, ...], best: list[float], turned: Turned) -> None:
    """The first of each is not counted; where each takes long, the next is enough."""
    clock, watch = turned(*durations)
    assert clock.best_of_each([watch.run, watch.run]) == pytest.approx(best)
    assert not watch.left


def test_the_spread_is_the_usual_one(turned: Turned) -> None:
    """The median over the shortest: a single wide measurement says nothing."""
    clock, watch = turned(9, 0.02, 0.03, 0.04, 9, 0.02, 0.02, 0.02, 0.02, 0.1, 0.2, 0.9)
    assert clock.spread() == 1.0
    for spread in (1.5, 1.25, 1.5):
        watch.left = watch.left if len(watch.left) % 4 == 0 else watch.left[1:]
        watch.left[0] = 0.0
        clock.best_seconds(watch.run)
        assert clock.spread() == pytest.approx(spread)


@each_row(("used", "cores"), [(0.0, 0.0), (1.9, 0.19), (20.0, 2.0), (-3.0, 0.0)])
def test_what_others_use(used: float, cores: float, turned: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(processor, "other_cpu_s", lambda: seconds[0])
    clock, watch = turned(10.0)
    watch.run()
    seconds[0] += used
    assert clock.other_cores() == pytest.approx(cores)


def test_a_real_clock() -> None:
    """Whatever it finds is possible."""
    found = measure_tuning(lambda way, rows, threads: None, ALL, 2, None, Clock())
    assert found.few_rows_threads in (1, 2) and found.many_rows_threads in (1, 2) and found.spread >= 1
    assert {found.torch_min_rows, found.panel_min_rows} <= {None, *MEASURED_ROWS}
    assert all(seconds >= 0 for _, seconds in found.costs)
