"""The real built-in model over ten turns: what is kept of a conversation, and what is read ahead, changes no answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from core.answering.prompt import QuestionPrompt, fit_prompt
from core.answering.window import max_turns
from core.checkpoints import open_checkpoint
from core.domain.conversation import Turn
from core.domain.prompt import Prompt
from core.domain.settings import Settings
from core.engine.loader import Loader
from core.engine.nn.model_runner import load_model
from core.engine.protocol import DropOwner, Event, Failed, Generate, NewTokens, SequenceAdmitted, WarmPrefix
from core.engine.worker import Worker
from core.llm.tokenizer import Tokenizer
from tests.core.engine.fakes import Pipeless
from tests.core.engine.nn.conftest import silent
from tests.real import CACHE, KERNELS
from tests.tables import each_row

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real reference")]

CHECKPOINT = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
TOKENIZER = Tokenizer(CHECKPOINT.folder, CHECKPOINT.chat_template)
SETTINGS = Settings({}, system="Answer in one short sentence.", memory=3, max_tokens=48)
SAMPLING = replace(
    CHECKPOINT.sampling, temperature=0, max_tokens=SETTINGS.max_tokens, stop_ids=CHECKPOINT.stop_ids
)  # fmt: skip
QUESTIONS = {
    "en": [
        "What is a black hole?", "How big is the Sun?", "Why is the sky blue?", "What did I ask first?",
        "Who was Newton?", "How do plants grow?", "Say that more simply.", "Why do we sleep?",
        "What is a prime number?", "What is 2 + 2?",
    ],
    "vi": [
        "Lỗ đen là gì?", "Mặt Trời lớn đến mức nào?", "Vì sao trời xanh?", "Mình hỏi gì đầu tiên?",
        "Newton là ai?", "Cây lớn lên thế nào?", "Nói đơn giản hơn đi.", "Vì sao phải ngủ?",
        "Số nguyên tố là gì?", "2 + 2 bằng mấy?",
    ],
}  # fmt: skip
Mode = Literal["no reuse", "reuse", "reading ahead"]
MODES: tuple[Mode, ...] = "no reuse", "reuse", "reading ahead"


def count(prompt: Prompt) -> int:
    return len(TOKENIZER.encode(prompt))


@dataclass
class Talk:
    """One conversation with a worker. `read`: ids of each prompt that were not cached."""

    worker: Worker
    channel: Pipeless
    mode: Mode
    budget: int
    turns: list[Turn] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)

    def ask(self, question: str) -> None:
        if self.mode == "no reuse":
            self.worker.handle(DropOwner("talk"))
        ids = TOKENIZER.encode(self.prompt(question))
        self.prompts.append(ids)
        self.worker.handle(Generate(len(self.prompts), tuple(ids), SAMPLING, "talk"))
        answer = TOKENIZER.decoder().feed(*self.drawn(self.finish()))
        self.turns.append(Turn(question, answer.strip(), index=len(self.turns)))
        if self.mode == "reading ahead":
            ahead = TOKENIZER.encode_before_question(self.prompt("")[:-1])
            self.worker.handle(WarmPrefix(tuple(ahead), "talk"))
            self.finish()

    def prompt(self, question: str) -> Prompt:
        last = self.turns[-max_turns(SETTINGS.memory) :]
        return fit_prompt(SETTINGS, last, QuestionPrompt(question), self.budget, count)

    def finish(self) -> list[Event]:
        while self.worker.scheduler.has_work:
            self.worker.step()
        return list(self.channel.events())

    def drawn(self, events: Sequence[Event]) -> Iterator[int]:
        for event in events:
            assert not isinstance(event, Failed), event
            if isinstance(event, SequenceAdmitted):
                self.read.append(event.prompt_ids - event.reused_ids)
            elif isinstance(event, NewTokens):
                yield from (token for _, token in event.tokens)


@pytest.fixture(scope="module")
def worker() -> tuple[Worker, Pipeless]:
    """In 8 bits, by the kernels: what is read in many rows is then, bit for bit, what is drawn row by row. In 4 bits it
    is not (docs/engine.md, Reproducibility)."""
    runner = load_model(Loader(CHECKPOINT.folder, "int8", threads=1, context=1024, cache=KERNELS), silent)
    channel = Pipeless()
    return Worker(runner, channel), channel


@each_row(("language", "budget"), [("en", 900), ("vi", 900), ("vi", 260)])
def test_reuse_and_reading_ahead_change_no_answer(worker: tuple[Worker, Pipeless], language: str, budget: int) -> None:
    """Greedy, with the model's own penalties. In 260 ids fewer turns fit than the window holds."""
    talks = []
    for mode in MODES:
        talk = Talk(*worker, mode, budget)
        for question in QUESTIONS[language]:
            talk.ask(question)
        talk.worker.handle(DropOwner("talk"))
        talks.append(talk)
    fresh, reused, ahead = talks
    assert [turn.answer for turn in reused.turns] == [turn.answer for turn in fresh.turns]
    assert [turn.answer for turn in ahead.turns] == [turn.answer for turn in fresh.turns]
    assert sum(ahead.read) < sum(reused.read) < sum(fresh.read) == sum(map(len, fresh.prompts))
    assert max(map(len, fresh.prompts)) <= budget
