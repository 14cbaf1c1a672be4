"""Samples tokens from logits, each sequence by its own parameters and with its own random numbers.

On a CPU the kernels (core/engine/kernels/sampling.py) sample all rows of a step at once. A SequenceSampler holds what
they need of a sequence, and samples in PyTorch on a GPU, where nothing can be compiled, and as their reference.
"""

import os

import numpy as np
import torch

from core.domain.sampling import Sampling
from core.engine.kernels.jit import Array
from core.engine.kernels.sampling import TOP_P_CANDIDATES


class SequenceSampler:
    """Samples one sequence's tokens, and remembers them for the repetition penalty.

    The order of the rules is that of transformers' generate: penalty, temperature, top-k, top-p.
    """

    def __init__(self, sampling: Sampling, ids: list[int]) -> None:
        self.sampling = sampling
        self._known = set(ids)
        self._seen = np.fromiter(self._known, np.int64, len(self._known))
        self._count = len(self._seen)
        self._random = np.random.default_rng(seed_of(sampling))

    @property
    def penalised_ids(self) -> Array:
        """The distinct ids that the repetition penalty applies to, int64; empty without a penalty."""
        return self._seen[: self._count if self.sampling.repetition_penalty != 1 else 0]

    def rule_record(self, start: int) -> tuple[float, float, float, float, int, int, int]:
        """The fields of a RULE_RECORD (core/engine/kernels/sampling.py), with a new random number.

        `start`: where this sequence's penalised ids begin among those of all rows.
        """
        sampling = self.sampling
        return (
            max(0.0, float(sampling.temperature)),
            float(sampling.top_p),
            float(sampling.repetition_penalty),
            self._uniform() if sampling.temperature > 0 else 0.0,
            min(sampling.top_k, 1 << 62),
            start,
            start + len(self.penalised_ids),
        )

    def record(self, token: int) -> None:
        """Remember a sampled token for the repetition penalty."""
        if token in self._known:
            return
        self._known.add(token)
        if self._count == len(self._seen):
            self._seen = np.concatenate((self._seen, np.empty(len(self._seen) + 64, np.int64)))
        self._seen[self._count] = token
        self._count += 1

    def __call__(self, logits: torch.Tensor) -> int:
        """Sample a token in PyTorch from logits, float32 [vocabulary], which are changed."""
        self._penalise(logits)
        token = int(logits.argmax()) if self.sampling.temperature <= 0 else self._sample(logits)
        self.record(token)
        return token

    def _penalise(self, logits: torch.Tensor) -> None:
        if len(self.penalised_ids):
            penalty, ids = (
                float(self.sampling.repetition_penalty),
                torch.from_numpy(self.penalised_ids).to(logits.device),
            )
            scores = logits[ids]
            logits[ids] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def _sample(self, logits: torch.Tensor) -> int:
        probabilities, ids = candidates(logits / max(self.sampling.temperature, 1e-4), self.sampling)
        passed = probabilities.cumsum(-1)
        place = int((passed <= self._uniform() * passed[-1]).sum())
        return int(ids[min(place, len(ids) - 1)])

    def _uniform(self) -> float:
        """A random number of at least 0 and less than 1, exact in float32."""
        return float(self._random.random(dtype=np.float32))


def candidates(scores: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids left by top-k and top-p, the most likely first, and their unnormalised probabilities."""
    top_p, top_k = float(sampling.top_p), sampling.top_k
    if 0 < top_k < len(scores):
        scores, ids = scores.topk(top_k)
        probabilities = scores.softmax(-1)
    elif top_p >= 1:
        return scores.softmax(-1), torch.arange(len(scores), device=scores.device)
    else:
        everything = scores.softmax(-1)
        probabilities, ids = everything.topk(min(TOP_P_CANDIDATES, len(scores)))
        if float(probabilities.sum()) < top_p:
            probabilities, ids = everything.sort(descending=True)
    if top_p < 1:
        # The fewest ids whose probabilities sum up to top_p; at least one.
        needed = int((probabilities.cumsum(-1) < top_p).sum()) + 1
        probabilities, ids = probabilities[:needed], ids[:needed]
    return probabilities, ids


def seed_of(sampling: Sampling) -> int:
    """The seed of a sequence: its own, or a random one of 64 bits."""
    drawn = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    return drawn & (1 << 64) - 1
