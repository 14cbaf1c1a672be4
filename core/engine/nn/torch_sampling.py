"""Samples the next tokens of all rows of a step at once in PyTorch: on a GPU, and where no kernels can be compiled.

The rules are those of core/engine/kernels/sampling.py, and the same random number gives the same token, but for sums in
another order. Nothing here waits for the device: whoever reads the tokens does, once a step.
"""

import numpy as np
import torch

from core.engine.kernels.jit import Array
from core.engine.nn.device_copy import copy_together

NOT_FINITE = -1
"""In place of a row's token where its logits are no numbers."""
_MIN_TEMPERATURE = 1e-4


def sample_rows(logits: torch.Tensor, rules: Array, penalised_ids: Array) -> torch.Tensor:
    """The token of each row, int64 [rows] on the logits' device; NOT_FINITE where there is none.

    `logits`: float32 [rows, vocabulary], changed. `rules`: RULE_RECORD [rows]. `penalised_ids`: int64, of all rows.
    """
    finite = torch.isfinite(logits.amax(-1))
    penalise(logits, rules, penalised_ids)
    tokens = logits.argmax(-1)
    is_drawn, is_cut = rules["temperature"] > 0, _is_cut(rules, logits.shape[1])
    for chosen in (is_drawn & is_cut, is_drawn & ~is_cut):
        numbers = np.flatnonzero(chosen)
        if len(numbers):
            [rows] = copy_together([numbers], logits.device)
            tokens[rows] = _draw(logits[rows], rules[numbers])
    return torch.where(finite, tokens, NOT_FINITE)


def penalise(logits: torch.Tensor, rules: Array, penalised_ids: Array) -> None:
    """Apply the repetition penalties to logits [rows, vocabulary], in place."""
    parts = [penalised_ids[rule["penalised_start"] : rule["penalised_end"]] for rule in rules]
    if not any(map(len, parts)):
        return
    numbers = np.repeat(np.arange(len(rules)), [len(part) for part in parts])
    rows, ids = copy_together([numbers, np.concatenate(parts)], logits.device)
    [penalties] = copy_together([rules["penalty"][numbers]], logits.device)
    scores = logits[rows, ids]
    logits[rows, ids] = torch.where(scores < 0, scores * penalties, scores / penalties)


def kept_weights(logits: torch.Tensor, rules: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """What temperature, top-k and top-p leave of some rows: relative probabilities, 0 for an id that is ruled out, and
    the ids, both [rows, ids]. The likeliest id comes first where the rules rule any out.

    The rules of all rows rule ids out, or those of none.
    """
    rows, vocabulary = logits.shape
    limits = np.stack((np.maximum(rules["temperature"], _MIN_TEMPERATURE), _top_p_limits(rules))).astype(np.float32)
    temperatures, top_p = copy_together(list(limits), logits.device)
    scores = logits / temperatures[:, None]
    if not _is_cut(rules, vocabulary).any():
        return scores.softmax(-1), torch.arange(vocabulary, device=logits.device).expand(rows, -1)
    counts = np.where((rules["top_k"] > 0) & (rules["top_k"] < vocabulary), rules["top_k"], vocabulary)
    scores, ids = scores.topk(int(counts.max()))
    [top_k] = copy_together([counts], logits.device)
    places = torch.arange(scores.shape[1], device=logits.device)
    weights = torch.where(places < top_k[:, None], scores.softmax(-1), 0)
    passed = weights.cumsum(-1)
    # The fewest ids whose probabilities sum up to top_p; at least one.
    needed = (passed < top_p[:, None] * passed[:, -1:]).sum(-1, keepdim=True) + 1
    return torch.where(places < needed, weights, 0), ids


def _draw(logits: torch.Tensor, rules: Array) -> torch.Tensor:
    weights, ids = kept_weights(logits, rules)
    [uniforms] = copy_together([rules["uniform"]], logits.device)
    passed = weights.cumsum(-1)
    total = passed[:, -1:]
    place = (passed <= uniforms[:, None] * total).sum(-1, keepdim=True)
    last = (passed < total).sum(-1, keepdim=True)  # a number just below 1 may be rounded up
    return ids.gather(1, torch.minimum(place, last))[:, 0]


def _is_cut(rules: Array, vocabulary: int) -> Array:
    """Whether each row's rules may rule out an id, bool [rows]."""
    cut: Array = ((rules["top_k"] > 0) & (rules["top_k"] < vocabulary)) | (rules["top_p"] < 1)
    return cut


def _top_p_limits(rules: Array) -> Array:
    """top_p, infinite where it rules out nothing."""
    return np.where(rules["top_p"] < 1, rules["top_p"], np.inf)
