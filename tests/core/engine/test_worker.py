"""The worker without a thread: requests in, drain, step, look."""

import pickle
from collections.abc import Sequence

from core.domain.sampling import Sampling
from core.engine.meter import ThroughputMeter
from core.engine.protocol import (
    Cancel,
    DropOwner,
    Event,
    Failed,
    Finished,
    Generate,
    NewTokens,
    PrefillProgress,
    Request,
    SequenceAdmitted,
    ShutdownRequest,
    Throughput,
    WarmPrefix,
)
from core.engine.sequence import SequenceSlice
from core.engine.worker import Worker
from tests.core.engine.fakes import BOOM, Counter, Pipeless
from tests.tables import each_row


def submit(id: int, *ids: int, max_tokens: int = 100, stop: tuple[int, ...] = ()) -> Generate:
    return Generate(id, ids, Sampling(max_tokens=max_tokens, stop_ids=stop), "someone")


class Fixed(ThroughputMeter):
    """Tells what it is given at the end of every step, and notes what it is told."""

    def __init__(self, speed: Throughput | None = None) -> None:
        super().__init__(1, lambda: (0.0, 0.0))
        self.speed = speed
        self.steps: list[tuple[int, int]] = []

    def end(self, now: float, seconds: float, prefilled: int, sampled: Sequence[int]) -> Throughput | None:
        assert seconds >= 0
        self.steps.append((prefilled, sum(sampled)))
        return self.speed


def working(*requests: Request, context: int = 1000, blocks: int = 0) -> tuple[Worker, Pipeless, Counter]:
    channel, runner = Pipeless(), Counter(context, blocks=blocks)
    worker = Worker(runner, channel, Fixed())
    send(worker, channel, *requests)
    return worker, channel, runner


def send(worker: Worker, channel: Pipeless, *requests: Request) -> None:
    channel.requests.extend(requests)
    assert worker.drain()


def steps(worker: Worker, count: int) -> None:
    for _ in range(count):
        worker.step()


def failures(events: list[Event]) -> list[tuple[int, str]]:
    return [(each.id, each.message) for each in events if isinstance(each, Failed)]


def test_max_tokens_are_exact() -> None:
    worker, channel, runner = working(submit(1, 5, max_tokens=2))
    steps(worker, 5)
    assert channel.events() == [
        SequenceAdmitted(1, 1, 0),
        NewTokens(((1, 6),)),
        NewTokens(((1, 7),)),
        Finished(1, "length"),
    ]
    assert not runner.open


def test_no_tokens_asked_for() -> None:
    worker, channel, runner = working(submit(1, 5, max_tokens=0))
    steps(worker, 2)
    assert channel.events() == [Finished(1, "length")]
    assert not runner.steps


def test_a_stop_id_ends_the_answer_and_is_not_sent() -> None:
    worker, channel, runner = working(submit(1, 5, stop=(90, 7)))
    steps(worker, 5)
    assert channel.events() == [SequenceAdmitted(1, 1, 0), NewTokens(((1, 6),)), Finished(1, "stop")]
    assert not runner.open


@each_row(("context", "tokens"), [(1000, 100), (5, 2), (4, 1), (3, 0), (2, 0)])
def test_the_context_ends_the_answer(context: int, tokens: int) -> None:
    worker, channel, _ = working(submit(1, 3, 4, 5), context=context)
    steps(worker, 101)
    *events, end = channel.events()
    assert end == Finished(1, "length")
    assert events[1:] == [NewTokens(((1, 6 + place),)) for place in range(tokens)]


def test_all_in_the_same_step() -> None:
    worker, channel, runner = working(
        submit(1, 10, max_tokens=2), submit(2, 20, max_tokens=1), submit(3, 30, stop=(31,))
    )
    steps(worker, 2)
    assert channel.events() == [
        SequenceAdmitted(1, 1, 0), SequenceAdmitted(2, 1, 0), SequenceAdmitted(3, 1, 0),
        NewTokens(((1, 11), (2, 21))), Finished(2, "length"), Finished(3, "stop"),
        NewTokens(((1, 12),)), Finished(1, "length"),
    ]  # fmt: skip
    assert not runner.open


def test_first_come_first_served() -> None:
    """Where memory is enough for one."""
    worker, channel, _ = working(
        *(submit(id, *range(100 * id, 100 * id + 40), max_tokens=1) for id in (1, 2, 3)), blocks=3
    )
    steps(worker, 3)
    assert [event.id for event in channel.events() if isinstance(event, Finished)] == [1, 2, 3]


def test_one_joins_while_another_draws() -> None:
    worker, channel, _ = working(submit(1, 10))
    steps(worker, 2)
    send(worker, channel, submit(2, 20, 30))
    channel.events()
    steps(worker, 2)
    assert channel.events() == [SequenceAdmitted(2, 2, 0), NewTokens(((1, 13), (2, 31))), NewTokens(((1, 14), (2, 32)))]


def test_cancel_takes_effect_within_a_token() -> None:
    worker, channel, runner = working(submit(1, 5))
    steps(worker, 1)
    assert [*runner.open] == [1]
    send(worker, channel, Cancel(1))
    assert channel.events() == [SequenceAdmitted(1, 1, 0), NewTokens(((1, 6),)), Finished(1, "cancelled")]
    assert not runner.open
    steps(worker, 1)
    assert not channel.events()


def test_cancel_between_the_parts_of_a_prompt() -> None:
    worker, channel, runner = working(submit(1, *range(1500)), context=5000)
    steps(worker, 1)
    send(worker, channel, Cancel(1))
    assert channel.events() == [SequenceAdmitted(1, 1500, 0), PrefillProgress(1), Finished(1, "cancelled")]
    assert not runner.open


def test_cancel_of_a_waiting_one_leaves_the_others() -> None:
    worker, channel, _ = working(
        *(submit(id, *range(100 * id, 100 * id + 40), max_tokens=2) for id in (1, 2, 3)), blocks=3
    )
    steps(worker, 1)
    send(worker, channel, Cancel(2))
    steps(worker, 4)
    assert [event.id for event in channel.events() if isinstance(event, Finished)] == [2, 1, 3]


def test_cancel_is_idempotent() -> None:
    worker, channel, _ = working(submit(1, 5), Cancel(1), Cancel(1), Cancel(99))
    assert channel.events() == [Finished(1, "cancelled")]
    send(worker, channel, submit(2, 5, max_tokens=1))
    steps(worker, 1)
    send(worker, channel, Cancel(2))
    assert channel.events()[-1] == Finished(2, "length")


@each_row("ids", [(), (-1,), (5, -1, 6), (Counter.vocabulary,), (Counter.vocabulary, 1)])
def test_a_foreign_id_fails_alone(ids: tuple[int, ...]) -> None:
    worker, channel, runner = working(submit(1, *ids), submit(2, 20, max_tokens=1), submit(3, *ids, max_tokens=0))
    told = "ValueError: a prompt is one or more ids of the model's vocabulary"
    events = channel.events()
    assert failures(events) == [(1, told), (3, told)]
    assert len(events) == 2
    send(worker, channel, Cancel(1))
    steps(worker, 1)
    assert channel.events() == [SequenceAdmitted(2, 1, 0), NewTokens(((2, 21),)), Finished(2, "length")]
    assert not runner.open
    if ids:
        worker, channel, _ = working(Generate(4, (7,), Sampling(choices=ids), "someone"))
        assert failures(channel.events()) == [(4, "ValueError: choices are ids of the model's vocabulary")]


def test_a_failure_is_that_of_the_whole_step_but_not_of_those_who_wait() -> None:
    requests = submit(1, 10), submit(2, *range(10), BOOM), submit(3, *range(300, 330), max_tokens=1)
    worker, channel, runner = working(*requests, blocks=4, context=60)
    steps(worker, 1)
    events = channel.events()
    assert failures(events) == [(1, "MemoryError: no room for this"), (2, "MemoryError: no room for this")]
    assert all("in _draw" in each.traceback for each in events if isinstance(each, Failed))
    assert not runner.open
    send(worker, channel, Cancel(1), Cancel(2))
    assert not channel.events()
    steps(worker, 1)
    assert channel.events() == [SequenceAdmitted(3, 30, 0), NewTokens(((3, 330),)), Finished(3, "length")]
    assert not runner.open


def test_nothing_is_kept_of_a_step_that_failed() -> None:
    prompt = (*range(40), BOOM)
    worker, channel, _ = working(submit(1, *prompt))
    steps(worker, 1)
    send(worker, channel, submit(2, *prompt))
    steps(worker, 1)
    assert [event for event in channel.events() if isinstance(event, SequenceAdmitted)] == [
        SequenceAdmitted(1, 41, 0),
        SequenceAdmitted(2, 41, 0),
    ]


def test_warming_sends_no_event_until_a_prompt_reuses_it() -> None:
    worker, channel, runner = working(WarmPrefix(tuple(range(40)), "someone"))
    steps(worker, 2)
    assert not channel.events()
    assert not runner.open
    send(worker, channel, submit(1, *range(40), 50, max_tokens=1))
    steps(worker, 1)
    assert channel.events() == [SequenceAdmitted(1, 41, 32), NewTokens(((1, 51),)), Finished(1, "length")]


class Broken(Counter):
    """Can compute nothing."""

    def run(self, batch: object) -> dict[int, tuple[int, ...]]:
        raise MemoryError


def test_what_fails_while_it_is_warmed_is_not_tried_again() -> None:
    channel = Pipeless()
    worker = Worker(Broken(1000), channel)
    send(worker, channel, WarmPrefix(tuple(range(40)), "someone"))
    steps(worker, 1)
    assert not worker.scheduler.has_work
    assert worker.scheduler.blocks.cached == 0
    assert not channel.events()


@each_row("ids", [(), tuple(range(15)), (-1,) * 16, (Counter.vocabulary,) * 16])
def test_nothing_to_warm(ids: tuple[int, ...]) -> None:
    worker, _, _ = working(WarmPrefix(ids, "someone"))
    assert not worker.scheduler.has_work


def test_no_more_is_warmed_than_the_context_holds() -> None:
    worker, _, runner = working(WarmPrefix(tuple(range(1000)), "someone"), context=40)
    steps(worker, 5)
    assert sum(count for [(_, count)] in runner.steps) == 32


def test_drop_forgets() -> None:
    worker, channel, _ = working(submit(1, *range(40), max_tokens=1))
    steps(worker, 1)
    send(worker, channel, DropOwner("someone"), submit(2, *range(40), max_tokens=1))
    steps(worker, 1)
    assert [event.reused_ids for event in channel.events() if isinstance(event, SequenceAdmitted)] == [0, 0]


def test_waits_only_with_nothing_to_do() -> None:
    worker, channel, _ = working(submit(1, 5, max_tokens=2))
    assert channel.waits == [None, 0.0]
    steps(worker, 1)
    send(worker, channel)
    assert channel.waits[2:] == [0.0]
    steps(worker, 1)
    send(worker, channel)
    assert channel.waits[3:] == [None]
    send(worker, channel, WarmPrefix(tuple(range(16)), "someone"))
    assert channel.waits[4:] == [None, 0.0]
    steps(worker, 1)
    send(worker, channel)
    assert channel.waits[6:] == [None]


def test_close_ends_it_whatever_runs() -> None:
    worker, channel, runner = working(submit(1, 5), WarmPrefix(tuple(range(40)), "someone"))
    steps(worker, 1)
    channel.requests.extend([submit(2, 6), ShutdownRequest(), submit(3, 7)])
    worker.run()
    assert [*runner.open] == [1]
    assert channel.events() == [SequenceAdmitted(1, 1, 0), NewTokens(((1, 6),))]


@each_row(
    "message",
    [
        submit(1, 2, 3), Cancel(1), WarmPrefix((1, 2), "a"), DropOwner("a"), ShutdownRequest(),
        Throughput(1.0, 2.0, 1.0, 0.5, 2),
        SequenceAdmitted(1, 20, 16), PrefillProgress(1), NewTokens(((1, 2),)), Finished(1, "stop"), Failed(1, "a", "b"),
    ],
    ids=lambda message: type(message).__name__,
)  # fmt: skip
def test_messages_survive_the_pipe(message: Request | Event) -> None:
    assert pickle.loads(pickle.dumps(message)) == message


def test_it_tells_how_fast_it_is() -> None:
    worker, channel, _ = working(submit(1, *range(40), max_tokens=2), submit(2, 5, max_tokens=1))
    worker.meter = meter = Fixed(Throughput(1.0, 2.0, 1.0, 0.0, 2))
    steps(worker, 2)
    assert meter.steps == [(16, 1), (24, 1)]
    assert channel.events().count(Throughput(1.0, 2.0, 1.0, 0.0, 2)) == 2


class Shaky(Counter):
    """Computes nothing in the steps that are named."""

    def __init__(self, *bad: int) -> None:
        super().__init__()
        self.bad, self.number = bad, 0

    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        self.number += 1
        if self.number in self.bad:
            raise RuntimeError("the device is lost")
        return super().run(batch)


@each_row(
    ("bad", "steps_done"), [((1, 2, 3), 3), ((1, 2, 4, 5, 6), 6), ((1, 2, 4, 5), 7)], ids=["broken", "later", "not"]
)
def test_a_worker_in_which_nothing_goes_well_any_more_ends(bad: tuple[int, ...], steps_done: int) -> None:
    """Another process may do better; and nobody is told "again" for ever."""
    channel, runner = Pipeless(), Shaky(*bad)
    worker = Worker(runner, channel)
    answers = iter(range(1, 8))

    def next_request() -> bool:
        """One question at a time, seven in all; then it is told to close."""
        if not worker.scheduler.has_work:
            number = next(answers, None)
            channel.requests.append(ShutdownRequest() if number is None else submit(number, 10, max_tokens=1))
        return Worker.drain(worker)

    worker.drain = next_request  # type: ignore[method-assign]
    worker.run()
    assert runner.number == steps_done
    assert len(failures(channel.events())) == len(bad)
