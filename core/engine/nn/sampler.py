"""Drawing a token from its logits, each sequence by its own rules and its own generator."""

import os

import torch

from core.engine.sampling import Sampling

CANDIDATES = 256
"""Top-p looks at so many of the most likely ids, and at all of them only where these are not enough."""


class Draw:
    """Draws one sequence's tokens, remembering them for the repetition penalty.

    The order of the rules is that of transformers' generate: penalty, temperature, top-k, top-p.
    """

    def __init__(self, sampling: Sampling, ids: list[int], device: torch.device) -> None:
        self.sampling = sampling
        self._seen = torch.tensor(sorted(set(ids)), dtype=torch.long, device=device)
        self._generator = torch.Generator(device).manual_seed(seed(sampling))

    def __call__(self, logits: torch.Tensor) -> int:
        """The next id, from float32 [vocabulary], which may be changed."""
        self._penalise(logits)
        token = likeliest(logits) if self.sampling.temperature <= 0 else self._sample(logits)
        if self.sampling.repetition_penalty != 1:
            self._seen = torch.cat((self._seen, torch.tensor([token], device=self._seen.device)))
        return token

    def _penalise(self, logits: torch.Tensor) -> None:
        if self.sampling.repetition_penalty != 1:
            penalty = float(self.sampling.repetition_penalty)
            scores = logits[self._seen]
            logits[self._seen] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def _sample(self, logits: torch.Tensor) -> int:
        probabilities, ids = candidates(logits / max(self.sampling.temperature, 1e-4), self.sampling)
        choice = torch.multinomial(probabilities, 1, generator=self._generator)
        return int(ids[choice])


def likeliest(logits: torch.Tensor) -> int:
    """By numpy, whose argmax is ten times as fast on a CPU."""
    return int(logits.cpu().numpy().argmax())


def candidates(scores: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """What may be drawn: probabilities, which need not sum to 1, and ids, the most likely first."""
    top_p, top_k = float(sampling.top_p), sampling.top_k
    if 0 < top_k < len(scores):
        scores, ids = scores.topk(top_k)
        probabilities = scores.softmax(-1)
    elif top_p >= 1:
        return scores.softmax(-1), torch.arange(len(scores), device=scores.device)
    else:
        everything = scores.softmax(-1)
        probabilities, ids = everything.topk(min(CANDIDATES, len(scores)))
        if float(probabilities.sum()) < top_p:
            probabilities, ids = everything.sort(descending=True)
    if top_p < 1:
        # The fewest that together have top_p; the first in any case.
        needed = int((probabilities.cumsum(-1) < top_p).sum()) + 1
        probabilities, ids = probabilities[:needed], ids[:needed]
    return probabilities, ids


def seed(sampling: Sampling) -> int:
    drawn = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    return drawn & (1 << 64) - 1
