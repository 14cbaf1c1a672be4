"""What is measured of the machine, on clocks that tests turn; and the file in which it is kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from core.engine.nn import tune
from core.engine.nn.linear import Both, Dense, Linear
from core.engine.nn.tune import ROWS, Clock, Tuning, crossing, fastest, tuned

LIKE = torch.empty(0)
Cost = Callable[[int], float]


class Turned(Clock):
    """Goes on only when a product is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def stop(self) -> None:
        """It is as noisy as the test says."""

    def seconds(self, run: Callable[[], object]) -> float:
        start = self.now
        run()
        return self.now - start


class Costly:
    """A product that takes as long as it is said to, for so many rows."""

    def __init__(self, clock: Turned, cost: Cost, columns: int = 4) -> None:
        self.clock, self.cost, self.columns = clock, cost, columns
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1] == self.columns
        self.calls += 1
        self.clock.now += self.cost(len(x))
        return x


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turned]:
    clock = Turned()
    monkeypatch.setattr(tune, "Clock", lambda: clock)
    yield clock
    torch.set_num_threads(1)


def two(clock: Turned, few: Cost, many: Cost, count: int = 1) -> list[Both]:
    return [Both(Costly(clock, few), Costly(clock, many), 1) for _ in range(count)]


CROSSINGS: dict[str, tuple[Cost, Cost, int]] = {
    "never the low bits": (lambda rows: rows, lambda rows: 0.5, 1),
    "for one row": (lambda rows: rows, lambda rows: 1.5, 2),
    "for few": (lambda rows: rows, lambda rows: 4.5, 5),
    "as fast as one another": (lambda rows: rows, lambda rows: 8, 9),
    "between two that are tried": (lambda rows: rows, lambda rows: 14, 13),
    "always the low bits": (lambda rows: rows, lambda rows: 1000, ROWS[-1] + 1),
    "a single bad number": (lambda rows: 99 if rows == 2 else rows, lambda rows: 6.5, 7),
}


@pytest.mark.parametrize("case", CROSSINGS)
def test_the_crossing(clock: Turned, case: str) -> None:
    few, many, expected = CROSSINGS[case]
    assert crossing(two(clock, few, many, 3), LIKE, clock) == expected


@pytest.mark.parametrize(("quickest", "most", "expected"), [(1, 1, 1), (1, 8, 1), (4, 8, 4), (8, 8, 8), (3, 6, 3)])
def test_the_number_of_threads(clock: Turned, quickest: int, most: int, expected: int) -> None:
    """All, half of them, and so on, down to one."""

    def step() -> None:
        clock.now += 1 + abs(torch.get_num_threads() - quickest)

    assert fastest(step, most, clock) == expected


def test_threads_that_were_given(clock: Turned) -> None:
    matrices = two(clock, lambda rows: rows, lambda rows: 4.5)
    assert tuned(list(matrices), {"int8": matrices, "int4": []}, LIKE, 2, None) == Tuning(2, {"int8": 5})
    assert torch.get_num_threads() == 2
    assert matrices[0].crossing == 5


def test_threads_that_are_found(clock: Turned) -> None:
    torch.set_num_threads(4)
    product = Costly(clock, lambda rows: abs(torch.get_num_threads() - 2) + 1.0)
    assert tuned([product], {"int8": [], "int4": []}, LIKE, None, None) == Tuning(2)
    assert torch.get_num_threads() == 2


class Bench:
    """Tunes always the same two matrices, and tells whether anything was measured."""

    def __init__(self, clock: Turned, cache: Path) -> None:
        self.few = Costly(clock, lambda rows: rows)
        self.matrix = Both(self.few, Costly(clock, lambda rows: 4.5), 1)
        self.cache = cache

    def tune(self, threads: int | None = 1) -> Tuning:
        self.matrix.crossing = 1
        return tuned([self.matrix], {"int8": [self.matrix], "int4": []}, LIKE, threads, self.cache)

    def measures(self) -> bool:
        before = self.few.calls
        assert self.tune() == Tuning(1, {"int8": 5})
        assert self.matrix.crossing == 5
        return self.few.calls > before

    def file(self) -> Path:
        (file,) = self.cache.iterdir()
        return file


@pytest.fixture
def bench(clock: Turned, tmp_path: Path) -> Bench:
    return Bench(clock, tmp_path / "new" / "cache")


def test_it_is_measured_once(bench: Bench) -> None:
    assert bench.measures()
    assert not bench.measures()
    assert bench.file().name.startswith("tuning-")


def test_what_the_file_says_is_done(bench: Bench) -> None:
    bench.measures()
    bench.file().write_text(json.dumps({"threads": 2, "crossings": {"int8": 17}}))
    assert bench.tune() == Tuning(2, {"int8": 17})
    assert (bench.matrix.crossing, torch.get_num_threads()) == (17, 2)


DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"7",
    b"[]",
    b"{}",
    b'{"threads": 1}',
    b'{"crossings": {"int8": 5}}',
    b'{"threads": null, "crossings": {"int8": 5}}',
    b'{"threads": "many", "crossings": {"int8": 5}}',
    b'{"threads": Infinity, "crossings": {"int8": 5}}',
    b'{"threads": 1, "crossings": {}}',
    b'{"threads": 1, "crossings": []}',
    b'{"threads": 1, "crossings": {"int4": 5}}',
    b'{"threads": 1, "crossings": {"int8": null}}',
    b'{"threads": 1, "crossings": {"int8": NaN}}',
    b'{"threads": 0, "crossings": {"int8": 5}}',
    b'{"threads": 100000000, "crossings": {"int8": 5}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_measured_anew(bench: Bench, content: bytes) -> None:
    bench.measures()
    bench.file().write_bytes(content)
    assert bench.measures()
    assert not bench.measures(), "and it is whole again"


def test_what_was_measured_under_noise_is_not_kept(bench: Bench, clock: Turned) -> None:
    clock.noisy = True
    assert bench.measures() and bench.measures()
    assert not bench.cache.exists()
    clock.noisy = False
    assert bench.measures() and not bench.measures()


def test_under_noise_one_thread_is_not_believed(clock: Turned) -> None:
    """It would never be more; many become one by themselves while it is better."""
    torch.set_num_threads(2)
    one_is_best: list[Linear] = [Costly(clock, lambda rows: float(torch.get_num_threads()))]
    assert tuned(one_is_best, {}, LIKE, None, None).threads == 1
    torch.set_num_threads(2)
    clock.noisy = True
    assert tuned(one_is_best, {}, LIKE, None, None).threads == 2
    assert tuned(one_is_best, {}, LIKE, 1, None).threads == 1, "but what the owner says holds"


def test_where_nothing_can_be_written(bench: Bench) -> None:
    bench.cache = bench.cache.parent / "file"
    bench.cache.parent.mkdir(parents=True)
    bench.cache.write_text("no folder")
    assert bench.measures() and bench.measures()
    assert bench.cache.read_text() == "no folder"


def test_where_the_file_is_a_folder(bench: Bench) -> None:
    bench.measures()
    file = bench.file()
    file.unlink()
    (file / "inside").mkdir(parents=True)
    assert bench.measures() and bench.measures()


def test_nothing_else_is_left_beside_it(bench: Bench) -> None:
    bench.measures()
    assert [path.suffix for path in bench.cache.iterdir()] == [".json"]


def files(cache: Path, products: list[Linear], both: dict[str, list[Both]], threads: int | None) -> int:
    tuned(products, both, LIKE, threads, cache)
    return len(list(cache.iterdir()))


def test_what_is_measured_anew(clock: Turned, tmp_path: Path) -> None:
    """Another number of threads, other forms, other sizes: each is a file of its own."""
    narrow, wide = Costly(clock, lambda rows: 1.0), Costly(clock, lambda rows: 1.0, columns=8)
    dense = Dense(torch.ones(4, 4), None)
    assert files(tmp_path, [narrow], {}, 1) == 1
    assert files(tmp_path, [narrow], {}, 1) == 1
    assert files(tmp_path, [narrow], {}, 2) == 2
    assert files(tmp_path, [narrow, narrow], {}, 1) == 3
    assert files(tmp_path, [dense], {}, 1) == 4
    assert files(tmp_path, [wide], {}, 1) == 5
    assert files(tmp_path, [narrow], {"int8": two(clock, float, float)}, 1) == 6
    assert files(tmp_path, [narrow], {"int4": two(clock, float, float)}, 1) == 7


class Watch:
    """In place of the module `time`: runs take as long as they are said to."""

    def __init__(self, *durations: float) -> None:
        self.left, self.now = list(durations), 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def run(self) -> None:
        self.now += self.left.pop(0)


@pytest.mark.parametrize(
    ("durations", "best"),
    [((9, 2, 2, 2, 2, 2), 2), ((9, 2, 9, 2, 9, 2), 2), ((1, 9, 4, 2, 4, 9), 2)],
    ids=["the first does not count", "some were disturbed", "most were"],
)
def test_the_best_of_some_runs(durations: tuple[float, ...], best: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(), Watch(*durations)
    monkeypatch.setattr(tune, "time", watch)
    assert clock.seconds(watch.run) == best


@pytest.mark.parametrize(("used", "noisy"), [(0.0, False), (1.9, False), (2.1, True), (20.0, True)])
def test_noise_is_what_others_use(used: float, noisy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, seconds = Watch(10.0), [100.0]
    monkeypatch.setattr(tune, "time", watch)
    monkeypatch.setattr(tune, "others", lambda: seconds[0])
    clock = Clock()
    watch.run()
    seconds[0] += used
    clock.stop()
    assert clock.noisy is noisy


def test_a_real_clock(tmp_path: Path) -> None:
    """Whatever it finds is possible."""
    dense = Dense(torch.randn(32, 32), None)
    both = [Both(dense, dense, 1)]
    found = tuned(list(both), {"int8": both, "int4": []}, LIKE, 1, tmp_path)
    assert found.threads == 1 and 1 <= found.crossings["int8"] <= ROWS[-1] + 1
