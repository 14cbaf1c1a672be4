"""What sampling needs of each sequence: its own parameters, its own random numbers, and the tokens that it has.

All rows of a step are sampled at once: by the kernels (core/engine/kernels/sampling.py), or in PyTorch
(torch_sampling.py) on a GPU and where nothing can be compiled.
"""

import os
from collections import deque
from collections.abc import Sequence

import numpy as np

from core.domain.sampling import Sampling
from core.engine.kernels.jit import Array

RuleRecord = tuple[float, float, float, float, int, int, int]
"""The fields of a RULE_RECORD (core/engine/kernels/sampling.py)."""


class SequenceSampler:
    """The rules of one sequence's next tokens. It remembers those that were sampled, for the repetition penalty.

    Each token has its own random number, whether it is sampled in a step of its own or after a guess. The order of the
    rules is that of transformers' generate: penalty, temperature, top-k, top-p.
    """

    def __init__(self, sampling: Sampling, ids: list[int]) -> None:
        self.sampling = sampling
        self._known = set(ids)
        self._seen = np.fromiter(self._known, np.int64, len(self._known))
        self._count = len(self._seen)
        self._random = np.random.default_rng(seed_of(sampling))
        self._uniforms = deque[float]()
        """Those of the next tokens, drawn so far."""

    @property
    def penalised_ids(self) -> Array:
        """The distinct ids that the repetition penalty applies to, int64; empty without a penalty."""
        return self._seen[: self._count if self.penalises else 0]

    @property
    def penalises(self) -> bool:
        """Whether there is a repetition penalty."""
        return self.sampling.repetition_penalty != 1

    def rules(self, guesses: Sequence[int], start: int) -> tuple[list[RuleRecord], Array]:
        """The rules of the next tokens, one row after the last token and one after each guess, and the ids to penalise.

        `start`: where these ids begin among those of all sequences. The last of them apply only after the guesses.
        """
        new = [each for each in dict.fromkeys(guesses) if each not in self._known]
        ids = np.concatenate((self.penalised_ids, np.array(new, np.int64))) if self.penalises else self.penalised_ids
        sampling, records, end = self.sampling, list[RuleRecord](), start + len(self.penalised_ids)
        for row in range(len(guesses) + 1):
            records.append(
                (
                    max(0.0, float(sampling.temperature)),
                    float(sampling.top_p),
                    float(sampling.repetition_penalty),
                    self._uniform(row),
                    min(sampling.top_k, 1 << 62),
                    start,
                    end + (len(set(guesses[:row]) - self._known) if self.penalises else 0),
                )
            )
        return records, ids

    def record(self, token: int) -> None:
        """Remember a sampled token for the repetition penalty, and go on to the next one's random number."""
        if self._uniforms:
            self._uniforms.popleft()
        if token in self._known:
            return
        self._known.add(token)
        if self._count == len(self._seen):
            self._seen = np.concatenate((self._seen, np.empty(len(self._seen) + 64, np.int64)))
        self._seen[self._count] = token
        self._count += 1

    def _uniform(self, ahead: int = 0) -> float:
        """The random number of the next token, or of one `ahead` of it: at least 0, less than 1, exact in float32.

        0 if it is not needed.
        """
        if self.sampling.temperature <= 0:
            return 0.0
        while len(self._uniforms) <= ahead:
            self._uniforms.append(float(self._random.random(dtype=np.float32)))
        return self._uniforms[ahead]


def seed_of(sampling: Sampling) -> int:
    """The seed of a sequence: its own, or a random one of 64 bits."""
    drawn = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    return drawn & (1 << 64) - 1
