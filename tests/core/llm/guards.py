"""A guard model for tests: the built-in model's tokenizer behind a chat template like Qwen3Guard's, and a runner that
says what it is told to."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.checkpoints import Checkpoint, open_checkpoint
from core.engine.options import Report
from core.engine.sequence import SequenceSlice
from core.llm.guard_families import QWEN3_GUARD
from core.llm.tokenizer import Tokenizer
from tests.core.engine.fakes import Counter
from tests.patience import LIMIT_S
from tests.real import CACHE

TEMPLATE = (
    "<|im_start|>user\n# Task: judge the last question.\n\n<BEGIN SAFETY POLICY>\n**Safety: Safe** ...\n"
    "**Safety: Unsafe** ...\n**Safety: Controversial** ...\n<END SAFETY POLICY>\n\n<BEGIN UNSAFE CONTENT CATEGORIES>\n"
    + "\n".join(QWEN3_GUARD.categories)
    + "\n<END UNSAFE CONTENT CATEGORIES>\n\n<BEGIN CONVERSATION>\n\n{% for message in messages %}"
    "{% if message.role != 'user' %}{{ raise_exception('only a question') }}{% endif %}"
    "USER: {{ message.content }}{% endfor %}\n\n<END CONVERSATION>\n\nThe first line is one of 'Safety: Safe', "
    "'Safety: Unsafe', 'Safety: Controversial', the second begins with 'Categories:'.<|im_end|>\n"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
)
"""Like Qwen3Guard's in all that matters here: instructions, delimiters, no system turn."""
BUILTIN = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
GUARD = replace(BUILTIN, name="a guard", chat_template=TEMPLATE)
CONTROL_IDS = {0, 1, 2}
"""Of the built-in model."""
TOKENIZER = Tokenizer(BUILTIN.folder, BUILTIN.chat_template)


def guard_in(folder: Path) -> Checkpoint:
    """The same checkpoint with another folder's weights."""
    return replace(GUARD, folder=folder)


class Judge(Counter):
    """Answers each prompt, by its text, as `says` says. No step begins while `begin` is not set."""

    def __init__(self, says: Callable[[str], str]) -> None:
        super().__init__(context=2048)
        self.says = says
        self.prompts: list[str] = []
        """The text of every prompt for which a token was scored."""
        self.controls: list[int] = []
        """How many control tokens each of them has."""
        self.begin = threading.Event()
        self.begin.set()

    def __call__(self, report: Report) -> "Judge":
        return self

    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        assert self.begin.wait(LIMIT_S)
        return super().run(batch)

    def _draw(self, part: SequenceSlice) -> tuple[int, ...]:
        ids, choices = part.sequence.ids, part.sequence.sampling.choices
        prompt = str(TOKENIZER._backend.decode(ids, skip_special_tokens=False))
        self.prompts.append(prompt)
        self.controls.append(sum(id in CONTROL_IDS for id in ids))
        answer = TOKENIZER.encode_after_line(self.says(prompt))
        known = max(count for count in range(len(answer)) if ids[len(ids) - count :] == answer[:count])
        assert answer[known] in choices, f"{self.says(prompt)!r} is no answer"
        return (answer[known],)
