"""Samples the next tokens of all rows of a step at once.

The rules are those of core/engine/nn/sampler.py, which samples in PyTorch: the same random number gives the same token.
"""

from typing import Any

import numpy as np

from core.engine.kernels.jit import Array, compiled
from core.engine.kernels.layout import SCALES_MULTIPLE
from core.engine.kernels.pointwise import exp_and_sum
from core.engine.kernels.team import finish_chunk, take_chunk, wait_for_phase

RULE_RECORD = np.dtype(
    [
        ("temperature", np.float32),
        ("top_p", np.float64),
        ("penalty", np.float32),
        ("uniform", np.float32),
        ("top_k", np.int64),
        ("penalised_start", np.int64),
        ("penalised_end", np.int64),
    ],
    align=True,
)
"""The rules of a row. `uniform`: a random number in [0, 1). `penalised_*`: its slice of the penalised ids."""

TOP_P_CANDIDATES = 256
"""Most likely ids that top-p looks at first. It looks at all only if these have too little probability."""
_SCAN_CHUNK = 64
"""Logits that are skipped together if none of them is large enough."""


@compiled
def sample_rows(thread: int, counters: Array, logits: Array, rules: Array, penalised_ids: Array, tokens: Array) -> None:
    """Sample rows together with the other threads of a team.

    `logits`: float32 [rows, vocabulary], changed. `rules`: RULE_RECORD [rows]. `penalised_ids`: int64, of
    all rows. `tokens`: the result, int64 [rows].
    """
    rows = len(rules)
    row = take_chunk(counters, 0)
    while row < rows:
        rule = rules[row]
        _penalise(logits[row], penalised_ids[rule.penalised_start : rule.penalised_end], rule.penalty)
        tokens[row] = _argmax(logits[row]) if rule.temperature <= 0 else _sample(logits[row], rule)
        finish_chunk(counters, 0)
        row = take_chunk(counters, 0)
    wait_for_phase(counters, 0, rows)


@compiled
def _penalise(logits: Array, ids: Array, penalty: Any) -> None:
    for token in ids:
        score = logits[token]
        logits[token] = score * penalty if score < 0 else score / penalty


@compiled
def _argmax(logits: Array) -> int:
    """The first of the largest logits."""
    largest = _maximum(logits)
    for token in range(len(logits)):
        if logits[token] == largest:
            return token
    return 0


@compiled
def _maximum(values: Array) -> Any:
    largest = values[0]
    for value in values:
        largest = max(largest, value)
    return largest


@compiled
def _sample(scores: Array, rule: Any) -> int:
    """Sample a token by temperature, top-k and top-p."""
    scale = np.float32(1) / max(rule.temperature, np.float32(1e-4))
    for token in range(len(scores)):
        scores[token] *= scale
    if 0 < rule.top_k < len(scores):
        ids = _top_k(scores, rule.top_k)
        weights, total = _weights_of(scores, ids)
    elif rule.top_p >= 1:
        ids = np.arange(len(scores))
        weights, total = _weights_of(scores, ids)
    else:
        _, total = _weights_of(scores, np.arange(len(scores)))
        ids = _top_k(scores, min(TOP_P_CANDIDATES, len(scores)))
        weights, found = _weights_of(scores, ids)
        if found < total * rule.top_p:
            ids = _top_k(scores, len(scores))
            weights, found = _weights_of(scores, ids)
    count = _nucleus_size(weights, rule.top_p * total) if rule.top_p < 1 else len(ids)
    return int(ids[_pick(weights[:count], rule.uniform)])


@compiled
def _weights_of(scores: Array, ids: Array) -> Any:
    """The probabilities of some ids relative to the likeliest of them, and their sum."""
    weights = np.empty(len(ids) + SCALES_MULTIPLE, np.float32)
    for place in range(len(ids)):
        weights[place] = scores[ids[place]]
    total = exp_and_sum(weights, len(ids))
    return weights[: len(ids)], total


@compiled
def _pick(weights: Array, uniform: Any) -> int:
    """The place at which the cumulative weight exceeds `uniform` times the total."""
    total = np.float32(0)
    for weight in weights:
        total += weight
    left = uniform * total
    for place in range(len(weights)):
        left -= weights[place]
        if left < 0:
            return place
    return len(weights) - 1


@compiled
def _nucleus_size(weights: Array, needed: Any) -> int:
    """The number of first weights whose sum reaches `needed`; at least one."""
    total = np.float32(0)
    for place in range(len(weights)):
        total += weights[place]
        if total >= needed:
            return place + 1
    return len(weights)


@compiled
def _top_k(scores: Array, count: int) -> Array:
    """The ids of the `count` largest scores, the largest first. The heap's root is the smallest of those found."""
    heap = np.arange(count)
    for place in range(count // 2 - 1, -1, -1):
        _sift_down(heap, scores, place)
    for start in range(count, len(scores), _SCAN_CHUNK):
        stop = min(start + _SCAN_CHUNK, len(scores))
        if _maximum(scores[start:stop]) > scores[heap[0]]:
            for token in range(start, stop):
                if scores[token] > scores[heap[0]]:
                    heap[0] = token
                    _sift_down(heap, scores, 0)
    for end in range(count - 1, 0, -1):
        heap[0], heap[end] = heap[end], heap[0]
        _sift_down(heap[:end], scores, 0)
    return heap


@compiled
def _sift_down(heap: Array, scores: Array, place: int) -> None:
    """Restore the heap below `place`."""
    while 2 * place + 1 < len(heap):
        child = 2 * place + 1
        if child + 1 < len(heap) and scores[heap[child + 1]] < scores[heap[child]]:
            child += 1
        if scores[heap[place]] <= scores[heap[child]]:
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child
