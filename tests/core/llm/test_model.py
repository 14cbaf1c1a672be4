"""The local model with an engine that only records its calls."""

from collections.abc import Sequence

import pytest

from core.checkpoints import open_checkpoint
from core.domain.prompt import Message
from core.engine.engine import Engine
from core.engine.options import Report
from core.engine.protocol import Ready, Throughput
from core.engine.worker import Runner
from core.llm.model import LocalModel
from core.llm.tokenizer import Tokenizer
from tests.core.engine.thread_host import ThreadHost
from tests.real import CACHE
from tests.tables import each_row

CHECKPOINT = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
TOKENIZER = Tokenizer(CHECKPOINT.folder, CHECKPOINT.chat_template)
READY = Ready("cpu", "int8 and bf16", 4096, 1.0)
PAST = (Message("system", "Be kind."), Message("user", "hi"), Message("assistant", "Hello!"))


def never(report: Report) -> Runner:
    raise AssertionError("it is never started")


class RecordingEngine(Engine):
    """Records its calls and runs nothing."""

    def __init__(self) -> None:
        super().__init__(ThreadHost(never))
        self.warmed: list[tuple[list[int], str]] = []
        self.dropped: list[str] = []

    def warm(self, ids: Sequence[int], owner: str) -> None:
        self.warmed.append((list(ids), owner))

    def drop(self, owner: str) -> None:
        self.dropped.append(owner)


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


def test_warming_encodes_everything_before_the_question(engine: RecordingEngine) -> None:
    model = LocalModel(CHECKPOINT, TOKENIZER, engine, 4096)
    model.warm(PAST, "fake/1")
    ((ids, owner),) = engine.warmed
    assert owner == "fake/1" and ids == TOKENIZER.encode((*PAST, Message("user", "why?")))[: len(ids)]
    model.drop("fake/1")
    assert engine.dropped == ["fake/1"]


@each_row(
    ("info", "speed", "read", "said"),
    [
        (None, 0.0, (0, 0), ""),
        (READY, 0.0, (0, 0), "cpu, int8 and bf16"),
        (READY, 21.4, (0, 0), "cpu, int8 and bf16, 21 tokens/s"),
        (READY, 0.0, (10, 0), "cpu, int8 and bf16, 0 % of prompts reused"),
        (READY, 21.4, (600, 500), "cpu, int8 and bf16, 21 tokens/s, 83 % of prompts reused"),
        (None, 21.4, (600, 600), "21 tokens/s, 100 % of prompts reused"),
        (READY, 0.46, (0, 0), "cpu, int8 and bf16, 0.5 tokens/s"),
    ],
)
def test_status(engine: RecordingEngine, info: Ready | None, speed: float, read: tuple[int, int], said: str) -> None:
    model = LocalModel(CHECKPOINT, TOKENIZER, engine, 4096)
    engine.info, (engine.prompt_ids, engine.reused_ids), model._speed = info, read, speed
    assert model.status() == said


@each_row(
    ("speed", "said"),
    [
        (Throughput(310.2, 12.5, 1.9, 0.02, 2), "310 tokens/s of prompts, the engine gets 1.9 of 2 cores"),
        (Throughput(0, 0.3, 0.1, 1.9, 2), "the engine gets 0.1 of 2 cores, other programs 1.9"),
    ],
)
def test_status_names_the_bottleneck(engine: RecordingEngine, speed: Throughput, said: str) -> None:
    engine.throughput = speed
    assert LocalModel(CHECKPOINT, TOKENIZER, engine, 4096).status() == said
