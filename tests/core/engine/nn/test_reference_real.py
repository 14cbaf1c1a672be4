"""The real built-in model, in float32, against transformers with the same numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.checkpoints import open_checkpoint
from core.domain.prompt import Message
from core.domain.sampling import Sampling
from core.engine.guesser import Guesser
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.loader import Loader
from core.engine.nn.model_runner import TorchRunner, load_model
from core.llm.tokenizer import Tokenizer
from tests.core.checkpoints.conftest import model_of, read_weights
from tests.core.engine.nn.conftest import silent
from tests.core.engine.nn.drive import GREEDY, Drive, answers, logits
from tests.core.engine.nn.test_reference import expected
from tests.real import CACHE

NEAR = 2e-3
"""Of logits of which the largest are about 30, after 30 layers in float32."""
QUESTIONS = ("What is the capital of France?", "Thủ đô của Việt Nam là gì?", "Count from one to five.")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real reference")]


@pytest.fixture(scope="module")
def folder() -> Path:
    return open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None).folder


@pytest.fixture(scope="module")
def runner(folder: Path) -> TorchRunner:
    return load_model(Loader(folder, "float32", threads=1, context=512), silent)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    model = model_of(json.loads((folder / "config.json").read_text()), read_weights(folder))
    model.generation_config.eos_token_id = None  # goes on, as a Sequence does
    return model


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[list[int]]:
    checkpoint = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
    tokenizer = Tokenizer(folder, checkpoint.chat_template)
    return [list(tokenizer.encode((Message("user", text),))) for text in QUESTIONS]


def test_logits_at_every_position(runner: TorchRunner, reference: Any, prompts: list[list[int]]) -> None:
    for ids in prompts[:2]:
        with torch.inference_mode():
            theirs = reference(torch.tensor([ids])).logits[0]
        for chunk in (1000, 7):
            torch.testing.assert_close(logits(runner, ids, chunk), theirs, rtol=0, atol=NEAR)


def test_greedy_equals_generate(runner: TorchRunner, reference: Any, prompts: list[list[int]]) -> None:
    """Alone, all at once and in chunks."""
    theirs = [expected(reference, ids, 16) for ids in prompts]
    assert [answers(runner, ids, tokens=16) for ids in prompts] == [[answer] for answer in theirs]
    assert answers(runner, *prompts, tokens=16) == theirs
    assert answers(runner, *prompts, tokens=16, prefill_ids=5) == theirs


TEXT = (
    "The old bridge was built in 1784 by a mason named Thomas Harrow. It replaced a wooden bridge that the winter "
    "floods had carried away three times in twenty years. The town paid for it with a toll of one penny for every "
    "cart, and the toll house still stands on the eastern bank, where it is now a small museum."
)
TASKS = (
    f"Repeat this text: {TEXT}",
    f"Summarize the following text in two sentences.\n\n{TEXT}",
    "Viết lại câu này ba lần: Thủ đô của Việt Nam là Hà Nội, một thành phố nghìn năm tuổi.",
    "Why is the sky blue?",
)


def test_guesses_change_no_token(folder: Path) -> None:
    """By the kernels, in the default formats: greedy and drawn, one chat and four at once; and they save steps."""
    checkpoint = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
    tokenizer = Tokenizer(folder, checkpoint.chat_template)
    runner = load_model(Loader(folder, "auto", threads=1, context=1024), silent)
    assert runner.computer.kernel_model
    runner.computer.kernel_model.panel_min_rows = PANEL_MIN_ROWS
    prompts = [list(tokenizer.encode((Message("user", text),))) for text in TASKS]
    held = 0
    drawn = Sampling(0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, seed=1)
    for sampling in (GREEDY, Sampling(0, repetition_penalty=1.1), drawn):
        for chats in ([prompts[0]], [prompts[1]], [prompts[2]], prompts):
            plain, guessing = Drive(runner), Drive(runner, guesser=Guesser((1.0,) * 8))
            ids = [plain.add(prompt, 80, sampling) for prompt in chats]
            for id, prompt in zip(ids, chats, strict=True):
                guessing.add(prompt, 80, sampling, id)
            assert guessing.run() == plain.run()
            assert guessing.guessed > guessing.held
            held += guessing.held
    assert held > 200
