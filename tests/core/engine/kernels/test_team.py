"""A team computes phase by phase, each chunk once, whoever comes late."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from core.engine.kernels.jit import Array
from core.engine.kernels.team import ThreadTeam, finish_chunk, take_chunk, wait_for_phase
from tests.core.engine.kernels import pieces
from tests.patience import LIMIT_S
from tests.tables import each_row

Done = list[tuple[int, int, int]]
"""Phase, chunk and thread, in the order in which they came."""


@pytest.fixture
def make() -> Iterator[Callable[[int], ThreadTeam]]:
    """Makes one team at a time: it is closed when the next is made, or in the end."""
    teams: list[ThreadTeam] = []

    def close() -> None:
        while teams:
            teams.pop().close()

    def made(count: int) -> ThreadTeam:
        close()
        teams.append(ThreadTeam(count))
        return teams[-1]

    yield made
    close()


Make = Callable[[int], ThreadTeam]


class Kernel:
    """In plain Python: phases of so many chunks. It can keep threads waiting before they begin."""

    def __init__(self, chunks: list[int]) -> None:
        self.chunks, self.done = chunks, Done()
        self.gates: dict[int, threading.Event] = {}
        self.left: dict[int, threading.Event] = {number: threading.Event() for number in range(8)}
        """Who has gone through all phases."""

    def __call__(self, thread: int, counters: Array, *arguments: Any) -> None:
        if thread in self.gates:
            assert self.gates[thread].wait(LIMIT_S)
        for phase, chunks in enumerate(self.chunks):
            chunk = take_chunk(counters, phase)
            while chunk < chunks:
                self.done.append((phase, chunk, thread))
                finish_chunk(counters, phase)
                chunk = take_chunk(counters, phase)
            wait_for_phase(counters, phase, chunks)
        self.left[thread].set()

    def run(self, team: ThreadTeam) -> None:
        team.run(self, len(self.chunks))

    def check(self) -> None:
        """Every chunk once, and no phase before the one before it was done."""
        assert Counter((phase, chunk) for phase, chunk, _ in self.done) == {
            (phase, chunk): 1 for phase, chunks in enumerate(self.chunks) for chunk in range(chunks)
        }
        assert [phase for phase, _, _ in self.done] == sorted(phase for phase, _, _ in self.done)


@each_row("count", [1, 2, 3, 4])
@each_row("chunks", [[1], [7], [3, 1, 0, 5, 2], [0, 0], [1] * 40, []], ids=str)
def test_every_chunk_once_and_in_order(make: Make, count: int, chunks: list[int]) -> None:
    team = make(count)
    for _ in range(5):
        kernel = Kernel(chunks)
        kernel.run(team)
        kernel.check()
        assert {thread for _, _, thread in kernel.done} <= set(range(count))


@each_row("count", [1, 2, 3, 4])
def test_compiled(make: Make, count: int) -> None:
    """Thousands of phases, and as many steps after one another, without the interpreter's lock."""
    team = make(count)
    for chunks in (1, 2, 5):
        for _ in range(40):
            done = np.zeros((400, chunks), np.int64)
            early = np.zeros(1, np.int64)
            team.run(pieces.counted, len(done), done, early)
            assert (done == 1).all() and early[0] == 0


@each_row("late", [{1}, {2}, {1, 2, 3}], ids=str)
def test_who_comes_late_harms_nothing(make: Make, late: set[int]) -> None:
    """Its chunks are done by the others; it finds nothing left, and is there again for the next."""
    team, kernel = make(4), Kernel([3, 1, 8])
    kernel.gates = {thread: threading.Event() for thread in late}
    kernel.run(team)
    kernel.check()
    assert not late & {thread for _, _, thread in kernel.done}
    following = Kernel([2, 5])
    following.run(team)
    following.check()
    assert not any(following.left[thread].is_set() for thread in late), "they are still on their way"
    for gate in kernel.gates.values():
        gate.set()
    for each in (kernel, following):
        assert all(each.left[thread].wait(LIMIT_S) for thread in range(4))
        each.check()


def test_who_joins_in_the_middle(make: Make) -> None:
    """A thread that comes while others compute takes what is left."""
    team, joined = make(2), threading.Event()
    kernel = Kernel([1, 6])
    kernel.gates = {1: threading.Event()}
    done: list[tuple[int, int]] = []

    def steps(thread: int, counters: Array) -> None:
        if thread == 1:
            assert kernel.gates[1].wait(LIMIT_S)
        for phase, chunks in enumerate(kernel.chunks):
            while (chunk := take_chunk(counters, phase)) < chunks:
                done.append((thread, chunk))
                if thread == 0 and phase == 1:
                    kernel.gates[1].set()
                    assert joined.wait(LIMIT_S), "the other one computes meanwhile"
                elif thread == 1:
                    joined.set()
                finish_chunk(counters, phase)
            wait_for_phase(counters, phase, chunks)

    team.run(steps, 2)
    assert Counter(thread for thread, _ in done)[1] >= 1
    assert sorted(chunk for _, chunk in done) == [0, 0, 1, 2, 3, 4, 5]


@each_row("active", [1, 2, 3])
def test_only_some_take_part(make: Make, active: int) -> None:
    team, kernel = make(3), Kernel([5] * 5)
    team.active = active
    kernel.run(team)
    kernel.check()
    assert all(kernel.left[thread].wait(LIMIT_S) for thread in range(active))
    assert not any(kernel.left[thread].is_set() for thread in range(active, 3))


def helpers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("engine-")}


@each_row("count", [1, 2, 4])
def test_closing_ends_the_threads(count: int) -> None:
    before = helpers()
    team = ThreadTeam(count)
    threads = helpers() - before
    assert sorted(thread.name for thread in threads) == [f"engine-{number}" for number in range(1, count)]
    assert all(thread.daemon for thread in threads)
    kernel = Kernel([4, 4])
    kernel.run(team)
    for _ in range(2):
        team.close()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    kernel = Kernel([4, 4])
    kernel.run(team)
    kernel.check()
    assert {thread for _, _, thread in kernel.done} == {0}, "who calls computes alone from then on"


def test_arguments_reach_every_thread(make: Make) -> None:
    team, seen = make(3), list[tuple[Any, ...]]()
    barrier = threading.Barrier(3, timeout=LIMIT_S)

    def kernel(thread: int, counters: Array, *arguments: Any) -> None:
        seen.append((thread, counters.shape[0], *arguments))
        barrier.wait()

    team.run(kernel, 7, "a", 2)
    assert sorted(seen) == [(thread, 7, "a", 2) for thread in range(3)]
