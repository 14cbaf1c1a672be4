"""The real built-in model, in float32, against transformers with the same numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.checkpoints import open_checkpoint
from core.domain.prompt import Message
from core.engine.loader import Loader
from core.engine.nn.model_runner import TorchRunner, load_model
from core.llm.tokenizer import Tokenizer
from tests.core.checkpoints.conftest import model_of, read_weights
from tests.core.engine.nn.conftest import silent
from tests.core.engine.nn.drive import answers, logits
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
