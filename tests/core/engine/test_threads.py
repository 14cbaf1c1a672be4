"""How many threads a step takes, told durations in place of a clock."""

from core.engine.threads import FIRST, LONGEST, Threads


class Machine:
    """Seconds of a step by the number of threads; `busy` means that something else runs."""

    def __init__(self, best: int = 2) -> None:
        self.threads = Threads(best)
        self.busy = False
        self.longer = 1.0

    def seconds(self, rows: int) -> float:
        alone = {1: 0.010, 2: 0.008}[min(self.threads.count, 2)]
        beside = {1: 0.015, 2: 0.150}[min(self.threads.count, 2)]
        return (beside if self.busy else alone) * rows * self.longer

    def steps(self, count: int, rows: int = 1) -> list[int]:
        """The numbers of threads of so many steps."""
        taken = []
        for _ in range(count):
            taken.append(self.threads.count)
            self.threads.note((rows, 9), self.seconds(rows))
        return taken


def test_an_idle_machine_keeps_the_best_number() -> None:
    machine = Machine()
    assert set(machine.steps(50) + machine.steps(50, rows=8) + machine.steps(50)) == {2}


def test_one_thread_takes_over_after_two_slow_steps_and_gives_back() -> None:
    machine = Machine()
    machine.steps(10)
    machine.busy = True
    assert machine.steps(10) == [2, 2, *[1] * 8]
    machine.busy = False
    assert machine.steps(FIRST).count(2) > 0
    assert set(machine.steps(50)) == {2}


def test_a_single_slow_step_means_nothing() -> None:
    machine = Machine()
    machine.steps(5)
    for _ in range(5):
        machine.busy = True
        assert machine.steps(1) == [2]
        machine.busy = False
        assert machine.steps(1) == [2]


def test_the_tries_become_rare_on_a_machine_that_stays_busy() -> None:
    machine = Machine()
    machine.steps(5)
    machine.busy = True
    taken = machine.steps(20 * LONGEST)
    assert taken.count(2) < 30
    assert 2 in taken[-2 * LONGEST :], "it is still tried"


def test_what_only_became_longer_is_usual_from_then_on() -> None:
    machine = Machine()
    machine.steps(5)
    machine.longer = 4.0
    machine.steps(2 * FIRST)
    assert set(machine.steps(100)) == {2}


def test_one_thread_is_never_more() -> None:
    machine = Machine(best=1)
    machine.busy = True
    assert set(machine.steps(50)) == {1}
