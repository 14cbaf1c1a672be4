"""The Model protocol, and the model that runs in this machine's engine: a prompt in, pieces of text out."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Protocol

from core.checkpoints import Checkpoint
from core.domain.prompt import Prompt
from core.domain.sampling import Sampling
from core.engine.engine import Engine, TokenStream
from core.engine.protocol import FinishReason
from core.llm.tokenizer import THINK_TAG, Decoder, Tokenizer

_MIN_SPEED_TOKENS = 8
"""An answer with fewer tokens says too little about the speed."""


class Stream(Protocol):
    """The text of one answer, piece by piece."""

    @property
    def reason(self) -> FinishReason | None:
        """Why the answer ended: "stop" (an end token), "length" (the token limit) or "cancelled"; None while it
        runs."""

    def __aiter__(self) -> AsyncIterator[str]: ...


class Model(Protocol):
    """A language model that answers chat prompts."""

    name: str
    context: int
    """The most tokens that prompt and answer may have together."""
    slots: int
    """How many answers are worth generating at once."""
    sampling: Sampling
    """The model's own defaults."""
    user_role: str
    """The word for the person in its chat template: "user" in most."""

    def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AbstractAsyncContextManager[Stream]:
        """Generate an answer. Leaving the block ends it and frees its memory. `owner` names the conversation.

        Raises EngineDied, also while the pieces are read.
        """

    def warm(self, prompt: Prompt, owner: str) -> None:
        """Prefill the owner's next prompt, all but its question, once the model is idle; replaces what was warmed
        before. Never waits."""

    def drop(self, owner: str) -> None:
        """Forget what was prefilled for this owner alone. Never waits."""

    def count(self, prompt: Prompt) -> int:
        """The number of the prompt's tokens, chat template included."""

    def status(self) -> str:
        """Where and how fast the model runs, in a few words for people."""


class LocalModel:
    """A model of this machine: a checkpoint's tokenizer and an engine that takes and gives token ids."""

    slots = 16
    """Up to this number of answers the engine's total speed grows."""

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer, engine: Engine, context: int) -> None:
        self.name = checkpoint.name
        self.sampling = replace(checkpoint.sampling, stop_ids=checkpoint.stop_ids)
        self.context = min(context, checkpoint.context)
        self.user_role = tokenizer.user_role
        self._tokenizer = tokenizer
        self._engine = engine
        self._speed = 0.0

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        """See Model."""
        ids = self._tokenizer.encode(prompt)
        async with self._engine.stream(ids, sampling, owner) as tokens:
            thinking = THINK_TAG if self._tokenizer.starts_thinking(ids) else ""
            pieces = _TextStream(tokens, self._tokenizer.decoder(), thinking)
            try:
                yield pieces
            finally:
                self._speed = pieces.speed or self._speed

    def warm(self, prompt: Prompt, owner: str) -> None:
        """See Model. Encoding takes about 2 ms for 1,000 tokens."""
        self._engine.warm(self._tokenizer.encode_before_question(prompt), owner)

    def drop(self, owner: str) -> None:
        """See Model."""
        self._engine.drop(owner)

    def count(self, prompt: Prompt) -> int:
        """See Model."""
        return len(self._tokenizer.encode(prompt))

    def status(self) -> str:
        """See Model."""
        info, prompted = self._engine.info, self._engine.prompt_ids
        parts = [info.device, info.weights] if info else []
        if self._speed:
            parts.append(f"{_round_rate(self._speed)} tokens/s")
        if speed := self._engine.throughput:
            parts += [f"{_round_rate(speed.prefill_rate)} tokens/s of prompts"] if speed.prefill_rate else []
            parts.append(speed.bottleneck)
        if prompted:
            parts.append(f"{100 * self._engine.reused_ids / prompted:.0f} % of prompts reused")
        return ", ".join(parts)


def _round_rate(value: float) -> str:
    """With one decimal below 10."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


class _TextStream:
    """A Stream over the engine's tokens. `prefix` is text of the answer that the chat template wrote."""

    def __init__(self, tokens: TokenStream, decoder: Decoder, prefix: str) -> None:
        self._tokens, self._decoder, self._prefix = tokens, decoder, prefix
        self._count = 0
        self._first_at, self._last_at = 0.0, 0.0
        """When the first and the last token came, in seconds of the monotonic clock."""

    @property
    def reason(self) -> FinishReason | None:
        return self._tokens.reason

    @property
    def speed(self) -> float:
        """Tokens per second after the first token; 0 where there were too few."""
        return (self._count - 1) / (self._last_at - self._first_at) if self._count >= _MIN_SPEED_TOKENS else 0.0

    async def __aiter__(self) -> AsyncIterator[str]:
        if self._prefix:
            yield self._prefix
        async for token in self._tokens:
            tokens = [token, *self._tokens.take_waiting()]
            self._last_at = time.monotonic()
            self._first_at = self._first_at or self._last_at
            self._count += len(tokens)
            if piece := self._decoder.feed(*tokens):
                yield piece
        if rest := self._decoder.finish():
            yield rest
