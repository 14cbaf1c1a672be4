"""The worker without a thread: orders in, drain, step, look."""

import pickle

from core.engine.messages import Cancel, Close, Failed, Finished, Order, Prefilling, Submit, Tokens
from core.engine.sampling import Sampling
from core.engine.worker import Worker
from tests.core.engine.fakes import BOOM, Counter, Pipeless


def submit(id: int, *ids: int, max_tokens: int = 100, stop: tuple[int, ...] = ()) -> Submit:
    return Submit(id, ids, Sampling(max_tokens=max_tokens, stop_ids=stop), "someone")


def working(*orders: Order, context: int = 1000) -> tuple[Worker, Pipeless, Counter]:
    channel, runner = Pipeless(), Counter(context)
    channel.orders.extend(orders)
    worker = Worker(runner, channel)
    assert worker.drain()
    return worker, channel, runner


def steps(worker: Worker, count: int) -> None:
    for _ in range(count):
        worker.step()


def test_max_tokens_are_exact() -> None:
    worker, channel, runner = working(submit(1, 5, max_tokens=2))
    steps(worker, 5)
    assert channel.news() == [Tokens(((1, 6),)), Tokens(((1, 7),)), Finished(1, "length")]
    assert not runner.open


def test_no_tokens_asked_for() -> None:
    worker, channel, _ = working(submit(1, 5, max_tokens=0))
    steps(worker, 2)
    assert channel.news() == [Finished(1, "length")]


def test_a_stop_id_ends_the_answer_and_is_not_sent() -> None:
    worker, channel, runner = working(submit(1, 5, stop=(90, 7)))
    steps(worker, 5)
    assert channel.news() == [Tokens(((1, 6),)), Finished(1, "stop")]
    assert not runner.open


def test_the_context_ends_the_answer() -> None:
    worker, channel, _ = working(submit(1, 3, 4, 5), context=4)
    steps(worker, 5)
    assert channel.news() == [Tokens(((1, 6),)), Finished(1, "length")]


def test_a_prompt_beyond_the_context() -> None:
    worker, channel, _ = working(submit(1, 3, 4, 5), context=2)
    steps(worker, 2)
    assert channel.news() == [Finished(1, "length")]


def test_first_come_first_served() -> None:
    worker, channel, _ = working(submit(1, 10, max_tokens=1), submit(2, 20, max_tokens=1), submit(3, 30, max_tokens=1))
    steps(worker, 6)
    assert [news.id for news in channel.news() if isinstance(news, Finished)] == [1, 2, 3]


def test_cancel_takes_effect_within_a_token() -> None:
    worker, channel, runner = working(submit(1, 5))
    steps(worker, 1)
    assert runner.open == [5]
    channel.orders.append(Cancel(1))
    assert worker.drain()
    assert channel.news() == [Tokens(((1, 6),)), Finished(1, "cancelled")]
    assert not runner.open
    steps(worker, 1)
    assert not channel.news()


def test_cancel_between_the_parts_of_a_prompt() -> None:
    worker, channel, runner = working(submit(1, *range(1500)), context=5000)
    steps(worker, 1)
    channel.orders.append(Cancel(1))
    assert worker.drain()
    assert channel.news() == [Prefilling(1), Finished(1, "cancelled")]
    assert not runner.open


def test_cancel_of_a_waiting_one_leaves_the_others() -> None:
    worker, channel, _ = working(submit(1, 10, max_tokens=1), submit(2, 20, max_tokens=1), submit(3, 30, max_tokens=1))
    channel.orders.append(Cancel(2))
    assert worker.drain()
    steps(worker, 4)
    assert [news.id for news in channel.news() if isinstance(news, Finished)] == [2, 1, 3]


def test_cancel_is_idempotent() -> None:
    worker, channel, _ = working(submit(1, 5), Cancel(1), Cancel(1), Cancel(99))
    assert channel.news() == [Finished(1, "cancelled")]
    assert worker.drain()


def test_a_failure_is_one_sequences_own() -> None:
    worker, channel, runner = working(submit(1, 10, BOOM), submit(2, 20, max_tokens=1))
    steps(worker, 3)
    failed, *rest = channel.news()
    assert isinstance(failed, Failed)
    assert (failed.id, failed.message) == (1, "MemoryError: no room for this")
    assert "in count" in failed.traceback
    assert rest == [Tokens(((2, 21),)), Finished(2, "length")]
    assert not runner.open


def test_waits_only_with_nothing_to_do() -> None:
    worker, channel, _ = working(submit(1, 5, max_tokens=1))
    assert channel.waits == [None, 0.0]
    steps(worker, 1)
    assert worker.drain()
    assert channel.waits[2:] == [0.0]
    steps(worker, 1)
    assert worker.drain()
    assert channel.waits[3:] == [None]


def test_close_frees_what_runs() -> None:
    worker, channel, runner = working(submit(1, 5))
    steps(worker, 1)
    channel.orders.extend([submit(2, 6), Close()])
    worker.run()
    assert not runner.open


def test_messages_survive_the_pipe() -> None:
    for message in (submit(1, 2, 3), Cancel(1), Close(), Failed(1, "a", "b"), Tokens(((1, 2),))):
        assert pickle.loads(pickle.dumps(message)) == message
