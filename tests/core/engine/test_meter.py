"""How fast the engine is said to be, on clocks that the test turns."""

import pytest

from core.engine.engine import Engine
from core.engine.meter import IDLE_RESET_S, REPORT_EVERY_S, ThroughputMeter
from core.engine.prefill_budget import MIN_MEASURED_IDS
from core.engine.protocol import Throughput
from tests.core.engine.fakes import load
from tests.core.engine.thread_host import ThreadHost


class Machine:
    """Steps one after another; the engine and others use so many cores meanwhile."""

    def __init__(self, own: float, others: float) -> None:
        self.now = 0.0
        self.own, self.others = own, others
        self.meter = ThroughputMeter(4, lambda: (self.now * self.own, 50 + self.now * self.others))

    def step(self, seconds: float, read: int = 0, drawn: int = 1, each: int = 1) -> Throughput | None:
        """`drawn`: sequences that got tokens, so many `each`."""
        self.meter.begin(self.now)
        self.now += seconds
        return self.meter.end(self.now, seconds, read, [each] * drawn)

    def told(self, seconds: float, read: int = 0, drawn: int = 1, each: int = 1) -> Throughput:
        """After as many steps as it takes."""
        while True:
            if speed := self.step(seconds, read, drawn, each):
                return speed


def test_drawing_and_what_it_gets() -> None:
    speed = Machine(own=1.5, others=0.5).told(0.05)
    assert [speed.prefill_rate, speed.decode_rate] == pytest.approx([0, 20])
    assert [speed.own_cores, speed.other_cores, speed.available_cores] == pytest.approx([1.5, 0.5, 4])
    assert speed.bottleneck == "the engine gets 1.5 of 4 cores, other programs 0.5"


def test_a_chat_draws_no_faster_for_others_beside_it() -> None:
    """But by as many times as it gets tokens in a step."""
    assert Machine(1, 0).told(0.1, drawn=8).decode_rate == pytest.approx(10)
    assert Machine(1, 0).told(0.1, drawn=2, each=3).decode_rate == pytest.approx(30)


def test_reading() -> None:
    speed = Machine(own=2, others=0.01).told(0.5, read=256, drawn=0)
    assert [speed.prefill_rate, speed.decode_rate] == pytest.approx([512, 0])
    assert speed.bottleneck == "the engine gets 2.0 of 4 cores"


def test_drawing_beside_what_is_read_says_nothing_of_drawing() -> None:
    assert Machine(1, 0).told(0.5, read=MIN_MEASURED_IDS, drawn=3).decode_rate == 0
    assert Machine(1, 0).told(0.5, read=MIN_MEASURED_IDS - 1, drawn=3).prefill_rate == 0


def test_every_few_seconds() -> None:
    machine = Machine(1, 0)
    told = [machine.step(0.5) is not None for _ in range(30)]
    assert told.count(True) == 5
    assert REPORT_EVERY_S == 3.0


def test_a_pause_is_not_counted() -> None:
    machine = Machine(own=1, others=0)
    assert machine.step(REPORT_EVERY_S - 1) is None
    machine.now += IDLE_RESET_S + 100  # idle, and the others have it
    machine.others = 0.0
    assert machine.told(0.5).own_cores == pytest.approx(1)


def test_it_follows_what_changes() -> None:
    machine = Machine(1, 0)
    machine.told(0.1)
    for _ in range(30):
        speed = machine.told(1.0)
    assert speed.decode_rate == pytest.approx(1, rel=0.01)


SLOW_MACHINE = Throughput(prefill_rate=3.0, decode_rate=0.1, own_cores=0.2, other_cores=1.8, available_cores=2)


async def test_the_owner_is_told_once_that_the_machine_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(ThreadHost(load))
    for speed in (Throughput(0, 30.0, 2.0, 0, 2), Throughput(100.0, 0, 2.0, 0, 2)):
        engine._handle(speed)
        assert engine.throughput == speed
    assert not caplog.records
    for _ in range(3):
        engine._handle(SLOW_MACHINE)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "this machine is very slow: about 10 s a token; the engine gets 0.2 of 2 cores, other programs 1.8"
    ]


async def test_the_log_tells_when_others_take_the_processor(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(ThreadHost(load))
    with caplog.at_level("INFO"):
        for others in (0.1, 0.6, 1.8, 0.4, 0.1):
            engine._handle(
                Throughput(
                    prefill_rate=0.0, decode_rate=30.0, own_cores=2 - others, other_cores=others, available_cores=2
                )
            )
    assert [record.getMessage() for record in caplog.records] == [
        "engine: the engine gets 1.4 of 2 cores, other programs 0.6",
        "engine: the engine gets 1.6 of 2 cores, other programs 0.4",
    ]
