"""The Model protocol, and the model that runs on this machine: text in, pieces of text out."""

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
from core.llm.tokenizer import Decoder, Tokenizer

_TO_TELL = 8
"""Tokens from which a speed is worth telling."""


class Stream(Protocol):
    """An answer as it comes."""

    @property
    def reason(self) -> FinishReason | None:
        """Why it ended: by itself, or at the token limit; None while it runs."""

    def __aiter__(self) -> AsyncIterator[str]: ...


class Model(Protocol):
    """What answers."""

    name: str
    context: int
    """Tokens of prompt and answer together, at most."""
    slots: int
    """Answers that it is worth generating at once."""
    sampling: Sampling
    """Its own defaults."""

    def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AbstractAsyncContextManager[Stream]:
        """Pieces of text; leaving the block frees the sequence. `owner` names the conversation."""

    def warm(self, prompt: Prompt, owner: str) -> None:
        """Everything of the owner's next prompt but the question is known: have it read while there is nothing else to
        do, in place of what was. Never waits."""

    def drop(self, owner: str) -> None:
        """Forget what was read for this owner alone. Never waits."""

    def count(self, prompt: Prompt) -> int:
        """Tokens of the prompt, as the model will see it."""

    def status(self) -> str:
        """Where and how it runs, in a few words."""


class LocalModel:
    """A checkpoint's tokenizer before the engine's token ids."""

    slots = 16
    """Up to here the engine says more in all the more answers run."""

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer, engine: Engine, context: int) -> None:
        self.name = checkpoint.name
        self.sampling = replace(checkpoint.sampling, stop_ids=checkpoint.stop_ids)
        self.context = min(context, checkpoint.context)
        self._tokenizer = tokenizer
        self._engine = engine
        self._speed = 0.0

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        """See Model."""
        ids = self._tokenizer.encode(prompt)
        async with self._engine.stream(ids, sampling, owner) as tokens:
            pieces = _Pieces(tokens, self._tokenizer.decoder(), "<think>" if self._tokenizer.opens_thought(ids) else "")
            try:
                yield pieces
            finally:
                self._speed = pieces.speed or self._speed

    def warm(self, prompt: Prompt, owner: str) -> None:
        """See Model. Takes some two milliseconds for a thousand tokens."""
        self._engine.warm(self._tokenizer.opening(prompt), owner)

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
            parts.append(f"{_rate(self._speed)} tokens/s")
        if speed := self._engine.throughput:
            parts += [f"{_rate(speed.prefill_rate)} tokens/s of prompts"] if speed.prefill_rate else []
            parts.append(speed.bottleneck)
        if prompted:
            parts.append(f"{100 * self._engine.reused_ids / prompted:.0f} % of prompts reused")
        return ", ".join(parts)


def _rate(value: float) -> str:
    """With a decimal where it is needed."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


class _Pieces:
    def __init__(self, tokens: TokenStream, decoder: Decoder, opening: str) -> None:
        self._tokens, self._decoder, self._opening = tokens, decoder, opening
        self._count, self._first, self._last = 0, 0.0, 0.0

    @property
    def reason(self) -> FinishReason | None:
        return self._tokens.reason

    @property
    def speed(self) -> float:
        """Tokens a second after the first; 0 where there were too few to tell."""
        return (self._count - 1) / (self._last - self._first) if self._count >= _TO_TELL else 0.0

    async def __aiter__(self) -> AsyncIterator[str]:
        if self._opening:  # what the template has begun belongs to the text
            yield self._opening
        async for token in self._tokens:
            self._last = time.monotonic()
            self._first = self._first or self._last
            self._count += 1
            if piece := self._decoder.feed(token):
                yield piece
        if rest := self._decoder.finish():
            yield rest
