"""What is measured of the machine, on clocks that tests turn; and the file in which it is kept."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.nn import autotune as tune
from core.engine.nn.autotune import (
    FEW_ROWS,
    MAX_STEADY_CORES,
    MAX_STEADY_SPREAD,
    MAX_TIME_RATIOS,
    MEASURED_ROWS,
    Clock,
    ComputePath,
    Tuning,
    load_or_measure,
    load_tuning,
    measure_tuning,
)
from tests.tables import each_row

Cost = Callable[[int], float]
Threaded = Callable[[int, int], float]
"""What so many rows cost with so many threads."""
ALL: tuple[ComputePath, ...] = ("kernels", "panels", "torch")


def always(rows: int, threads: int) -> float:
    return 1.0


def never(rows: int, threads: int) -> float:
    return 1e9


@dataclass
class Bench(Clock):
    """A clock that goes on only when something is computed, which costs what is said; and what was asked for."""

    kernels: Threaded = always
    panels: Threaded = never
    torch: Threaded = never
    used: float = 0.0
    """Cores that others use."""
    wide: float = 1.0
    now: float = 0.0
    asked: list[tuple[ComputePath, int, int]] = field(default_factory=list)

    def step(self, way: ComputePath, rows: int, threads: int) -> None:
        self.asked.append((way, rows, threads))
        costs: dict[ComputePath, Threaded] = {"kernels": self.kernels, "panels": self.panels, "torch": self.torch}
        self.now += costs[way](rows, threads)

    def best_seconds(self, run: Callable[[], object]) -> float:
        start = self.now
        run()
        return self.now - start

    def other_cores(self) -> float:
        return self.used

    def spread(self) -> float:
        return self.wide

    def measured(self, ways: tuple[ComputePath, ...] = ALL, most: int = 1, threads: int | None = 1) -> Tuning:
        return measure_tuning(self.step, ways, most, threads, self)


def plain(cost: Cost) -> Threaded:
    return lambda rows, threads: cost(rows)


NEVER = 1e9
CROSSINGS: dict[str, tuple[Cost, Cost, Cost, tuple[int | None, int | None]]] = {
    # one by one, in panels, in PyTorch: from where there are panels, from where on PyTorch
    "always one by one": (lambda rows: rows, lambda rows: NEVER, lambda rows: NEVER, (None, None)),
    "hardly slower": (lambda rows: rows, lambda rows: rows * 1.01, lambda rows: NEVER, (None, None)),
    "as fast as one another": (lambda rows: rows, lambda rows: rows, lambda rows: rows, (1, None)),
    "PyTorch hardly faster": (lambda rows: rows, lambda rows: NEVER, lambda rows: rows * 0.81, (None, None)),
    "PyTorch faster": (lambda rows: rows, lambda rows: NEVER, lambda rows: rows * 0.79, (None, 1)),
    "always panels": (lambda rows: rows, lambda rows: 0.5, lambda rows: NEVER, (1, None)),
    "from some rows on": (lambda rows: rows, lambda rows: 8 + rows / 4, lambda rows: NEVER, (16, None)),
    "one after the other": (lambda rows: rows, lambda rows: 8 + rows / 4, lambda rows: 20 + rows / 16, (16, 128)),
    "no panels": (lambda rows: rows, lambda rows: NEVER, lambda rows: 40, (None, 64)),
    "only for the most": (
        lambda rows: rows,
        lambda rows: NEVER,
        lambda rows: MEASURED_ROWS[-1] * 0.79,
        (None, MEASURED_ROWS[-1]),
    ),
    "a single good number": (lambda rows: 9e9 if rows == 4 else rows, lambda rows: 70, lambda rows: NEVER, (128, None)),
    "a single bad number": (
        lambda rows: rows,
        lambda rows: 9e9 if rows == 128 else 10,
        lambda rows: NEVER,
        (256, None),
    ),
}


@each_row("case", CROSSINGS)
def test_the_crossings(case: str) -> None:
    """From there on a way is faster than the one before at every number of rows, and that is what a step costs."""
    kernels, panels, torch, crossings = CROSSINGS[case]
    found = Bench(plain(kernels), plain(panels), plain(torch)).measured()
    assert (found.panel_min_rows, found.torch_min_rows) == crossings
    assert MAX_TIME_RATIOS == {"panels": 1.0, "torch": 0.8}
    expected = []
    for rows in MEASURED_ROWS:
        way = kernels if found.panel_min_rows is None or rows < found.panel_min_rows else panels
        expected.append((way if found.torch_min_rows is None or rows < found.torch_min_rows else torch)(rows))
    assert [rows for rows, _ in found.costs] == list(MEASURED_ROWS)
    assert [cost for _, cost in found.costs] == pytest.approx(expected)


@each_row("way", ALL)
def test_one_way_has_no_crossing(way: ComputePath) -> None:
    bench = Bench(plain(lambda rows: rows), plain(lambda rows: 2.0 * rows), plain(lambda rows: 3.0 * rows))
    found = bench.measured((way,))
    assert found.torch_min_rows is None and found.panel_min_rows is None
    assert found.costs == tuple((rows, rows * (1.0 + ALL.index(way))) for rows in MEASURED_ROWS)
    assert {asked[0] for asked in bench.asked} == {way}


def threads(quickest_few: int, quickest_many: int) -> Threaded:
    def cost(rows: int, count: int) -> float:
        return 1.0 + abs(count - (quickest_few if rows < FEW_ROWS else quickest_many))

    return cost


@each_row(
    ("most", "few", "many", "expected"),
    [
        (1, 1, 1, (1, 1)),
        (8, 1, 8, (1, 8)),
        (8, 4, 2, (4, 2)),
        (6, 3, 6, (3, 6)),
        (7, 7, 1, (7, 1)),
        (12, 2, 6, (3, 6)),  # 12, 6, 3 and 1 are tried
    ],
)
def test_the_number_of_threads(most: int, few: int, many: int, expected: tuple[int, int]) -> None:
    """All, half of them, and so on, down to one; few rows have a number of their own."""
    bench = Bench(threads(few, many))
    found = bench.measured(most=most, threads=None)
    assert (found.few_rows_threads, found.many_rows_threads) == expected
    assert {count for _, _, count in bench.asked} <= {max(1, most >> shift) for shift in range(5)}
    for _, rows, count in bench.asked[-len(MEASURED_ROWS) :]:
        assert count == (found.few_rows_threads if rows < FEW_ROWS else found.many_rows_threads)


@each_row("given_", [1, 2, 5])
def test_threads_that_were_given(given_: int) -> None:
    bench = Bench(threads(1, 8))
    found = bench.measured(most=8, threads=given_)
    assert (found.few_rows_threads, found.many_rows_threads) == (given_, given_)
    assert {count for _, _, count in bench.asked} == {given_}


@each_row(("used", "wide"), [(MAX_STEADY_CORES + 0.1, 1.0), (0.0, MAX_STEADY_SPREAD + 0.1)])
def test_beside_other_work_fewer_threads_are_not_believed(used: float, wide: float) -> None:
    """But what the owner says holds."""
    found = Bench(threads(1, 1), used=used, wide=wide).measured(most=8, threads=None)
    assert (found.few_rows_threads, found.many_rows_threads) == (8, 8) and not found.steady
    found = Bench(threads(1, 1), used=used, wide=wide).measured(most=8, threads=2)
    assert (found.few_rows_threads, found.many_rows_threads) == (2, 2)


@each_row(
    ("panels", "torch", "seconds"),
    [
        (None, None, (1, 2, 3, 4)),
        (16, 128, (1, 2, 3, 4)),
        (4, None, (1, 2, 3)),
        (4, 2, (1,)),
        (1, None, ()),
    ],
)
def test_steps_whose_rows_are_computed_as_one_alone(
    panels: int | None, torch: int | None, seconds: tuple[float, ...]
) -> None:
    """As far as they are measured; what lies between is guessed from both sides."""
    tuning = Tuning(1, 1, torch, ((1, 1.0),), panel_min_rows=panels, decode_costs=((1, 1.0), (2, 2.0), (4, 4.0)))
    assert tuning.few_rows_seconds == pytest.approx(seconds)
    assert replace(tuning, decode_costs=()).few_rows_seconds == ()


@each_row(("few", "many", "words"), [(1, 1, "1 thread"), (2, 2, "2 threads"), (4, 1, "1 thread to 4 threads")])
def test_threads_in_words(few: int, many: int, words: str) -> None:
    assert Tuning(few, many, None, ((1, 1.0),)).threads_text == words


TIMES = st.lists(st.floats(1e-4, 10), min_size=len(MEASURED_ROWS), max_size=len(MEASURED_ROWS))


@given(kernels=TIMES, panels=TIMES, torch=TIMES)
@settings(max_examples=200)
def test_whatever_is_measured_nothing_slower_is_chosen(
    kernels: list[float], panels: list[float], torch: list[float]
) -> None:
    costs = [dict(zip(MEASURED_ROWS, times, strict=True)) for times in (kernels, panels, torch)]
    one, two, three = (plain(cost.__getitem__) for cost in costs)
    found = Bench(one, two, three).measured()
    assert [rows for rows, _ in found.costs] == list(MEASURED_ROWS)
    for rows, seconds in found.costs:
        place = (
            2
            if found.torch_min_rows and rows >= found.torch_min_rows
            else 1
            if found.panel_min_rows and rows >= found.panel_min_rows
            else 0
        )
        assert seconds == pytest.approx(costs[place][rows], abs=1e-9)
        assert place == 0 or seconds <= costs[0][rows] + 1e-9


def test_what_was_measured_beside_what() -> None:
    found = Bench(used=0.404, wide=1.234).measured()
    assert (found.other_cores, found.spread) == (0.4, 1.23)


# What is kept


STEADY = Tuning(2, 4, 128, ((1, 0.01), (16, 0.02), (256, 0.5)), decode_costs=((1, 0.01), (4, 0.025)))
LOUD, LOUDER = (
    replace(STEADY, few_rows_threads=3, other_cores=MAX_STEADY_CORES + 0.1),
    replace(STEADY, few_rows_threads=4, other_cores=MAX_STEADY_CORES + 0.5),
)
WIDER = replace(LOUD, few_rows_threads=5, spread=MAX_STEADY_SPREAD + 1)


class Measuring:
    """Finds these, one after another."""

    def __init__(self, *found: Tuning) -> None:
        self.left = list(found)

    def __call__(self) -> Tuning:
        return self.left.pop(0)


def forbidden() -> Tuning:
    raise AssertionError("it was measured again")


@pytest.fixture
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """The path of a file that is not there, another at each call."""
    return lambda: tmp_path_factory.mktemp("tuning") / "new" / "cache" / "tuning-0123456789abcdef.json"


@pytest.fixture
def file(new_file: Callable[[], Path]) -> Path:
    return new_file()


def test_it_is_measured_once(file: Path) -> None:
    assert load_or_measure(Measuring(STEADY), file) == STEADY
    assert load_or_measure(forbidden, file) == STEADY
    assert list(file.parent.iterdir()) == [file], "and nothing else is left beside it"


@each_row(
    "tuning",
    [
        STEADY,
        replace(STEADY, torch_min_rows=None, panel_min_rows=8),
        replace(STEADY, few_rows_threads=4096, other_cores=MAX_STEADY_CORES, spread=MAX_STEADY_SPREAD),
    ],
)
def test_what_the_file_says_is_done(new_file: Callable[[], Path], tuning: Tuning) -> None:
    file = new_file()
    tune.save_tuning(tuning, file)
    assert load_or_measure(forbidden, file) == load_tuning(file) == tuning
    assert json.loads(file.read_text())["costs"] == [[1, 0.01], [16, 0.02], [256, 0.5]]


def test_without_a_file(file: Path) -> None:
    assert load_or_measure(Measuring(LOUD), None) == LOUD
    assert not file.parent.exists()


@each_row(
    ("others", "spread", "steady"),
    [
        (0.0, 1.0, True),
        (MAX_STEADY_CORES, MAX_STEADY_SPREAD, True),
        (MAX_STEADY_CORES + 0.01, 1.0, False),
        (0.0, MAX_STEADY_SPREAD + 0.01, False),
    ],
)
def test_what_is_steady(others: float, spread: float, steady: bool) -> None:
    assert replace(STEADY, other_cores=others, spread=spread).steady == steady


def test_what_is_not_steady_is_measured_anew(file: Path) -> None:
    """The better one serves this start, and is kept."""
    for found, kept in [(LOUDER, LOUDER), (LOUD, LOUD), (LOUDER, LOUD), (WIDER, LOUD), (STEADY, STEADY)]:
        assert load_or_measure(Measuring(found), file) == load_tuning(file) == kept
    assert load_or_measure(forbidden, file) == STEADY


def test_a_quieter_start_is_better_than_a_narrow_one(file: Path) -> None:
    quieter = replace(WIDER, other_cores=0.0)
    for found in (LOUD, quieter):
        assert load_or_measure(Measuring(found), file) == found == load_tuning(file)


def changed(**changes: object) -> bytes:
    return json.dumps(asdict(STEADY) | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in asdict(STEADY).items() if key != name}).encode()


DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"7",
    b'"few_rows_threads"',
    b"[]",
    b"{}",
    b"[" * 100_000,
    changed()[:-5],
    *(without(name) for name in ("few_rows_threads", "many_rows_threads", "torch_min_rows", "costs", "decode_costs")),
    *(changed(few_rows_threads=value) for value in (None, 0, -1, 1.0, True, "2", [2], 100_000_000)),
    *(changed(many_rows_threads=value) for value in (None, 0, 2.5, False, "2")),
    *(changed(torch_min_rows=value) for value in (0, -5, 7.0, "7", True, [7], 1 << 40)),
    *(changed(panel_min_rows=value) for value in (0, -5, 7.0, "7", True, [7], 1 << 40)),
    *(changed(costs=value) for value in (None, [], 7, "costs", [7], [[1]], [[1, 2, 3]], [["x", 1]], [[1, "x"]])),
    *(changed(costs=value) for value in ([[1, 0.0]], [[1, -1.0]], [[2, 1.0], [1, 1.0]], [[1, 1.0], [1, 2.0]])),
    *(changed(decode_costs=value) for value in (None, 7, "costs", [7], [["x", 1]], [[1, -1.0]], [[2, 1.0], [1, 1.0]])),
    *(changed(costs=[[1, value]]) for value in (float("nan"), None)),
    changed(other_cores="many"),
    changed(other_cores=None),
    changed(spread=[1.0]),
    changed(extra=1),
]


@each_row("content", DAMAGED)
def test_a_damaged_file_is_measured_anew(new_file: Callable[[], Path], content: bytes) -> None:
    file = new_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert load_or_measure(Measuring(STEADY), file) == STEADY
    assert load_or_measure(forbidden, file) == STEADY, "and it is whole again"


@each_row(
    "content",
    [
        changed(costs=[[1, float("inf")]]),
        changed(costs=[[0, 1.0]]),
        changed(costs=[[-5, 1.0], [1, 1.0]]),
        changed(other_cores=float("nan"), spread=float("nan")),
    ],
)
def test_a_file_of_impossible_numbers_is_measured_anew(new_file: Callable[[], Path], content: bytes) -> None:
    file = new_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert load_or_measure(Measuring(STEADY), file) == STEADY
    assert load_or_measure(forbidden, file) == STEADY


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    for _ in range(2):
        assert load_or_measure(Measuring(STEADY), tmp_path / "cache" / "tuning.json") == STEADY
    assert (tmp_path / "cache").read_text() == "no folder"


def test_where_the_file_is_a_folder(file: Path) -> None:
    (file / "inside").mkdir(parents=True)
    for _ in range(2):
        assert load_or_measure(Measuring(STEADY), file) == STEADY
