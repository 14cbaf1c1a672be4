"""Drawing the next token of all rows of a step at once. The rules are those of core/engine/nn/sampler.py, which is also
how the same is done in PyTorch: the same number between 0 and 1 draws the same token."""

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
        ("seen", np.int64),
        ("seen_end", np.int64),
    ],
    align=True,
)
"""Of a row. `uniform`: at least 0, less than 1. `seen` to `seen_end`: its part of the ids that the penalty is for."""

TOP_P_CANDIDATES = 256
"""Top-p looks at so many of the most likely ids, and at all of them only where these are not enough."""
_SCAN_CHUNK = 64
"""Logits that are passed over together where none of them is large enough."""


@compiled
def sample_rows(thread: int, counters: Array, logits: Array, rules: Array, seen: Array, tokens: Array) -> None:
    """What each thread of a team does: `tokens` int64 [rows] from logits, float32 [rows, vocabulary], which change."""
    rows = len(rules)
    row = take_chunk(counters, 0)
    while row < rows:
        rule = rules[row]
        _penalise(logits[row], seen[rule.seen : rule.seen_end], rule.penalty)
        tokens[row] = _argmax(logits[row]) if rule.temperature <= 0 else _sample(logits[row], rule)
        finish_chunk(counters, 0)
        row = take_chunk(counters, 0)
    wait_for_phase(counters, 0, rows)


@compiled
def _penalise(logits: Array, seen: Array, penalty: Any) -> None:
    for token in seen:
        score = logits[token]
        logits[token] = score * penalty if score < 0 else score / penalty


@compiled
def _argmax(logits: Array) -> int:
    """The first of the largest."""
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
    """By chance."""
    scale = np.float32(1) / max(rule.temperature, np.float32(1e-4))
    for token in range(len(scores)):
        scores[token] *= scale
    if 0 < rule.top_k < len(scores):
        ids = _top_k(scores, rule.top_k)
        chances, total = _weights_of(scores, ids)
    elif rule.top_p >= 1:
        ids = np.arange(len(scores))
        chances, total = _weights_of(scores, ids)
    else:
        _, total = _weights_of(scores, np.arange(len(scores)))
        ids = _top_k(scores, min(TOP_P_CANDIDATES, len(scores)))
        chances, found = _weights_of(scores, ids)
        if found < total * rule.top_p:
            ids = _top_k(scores, len(scores))
            chances, found = _weights_of(scores, ids)
    count = _nucleus_size(chances, rule.top_p * total) if rule.top_p < 1 else len(ids)
    return int(ids[_pick(chances[:count], rule.uniform)])


@compiled
def _weights_of(scores: Array, ids: Array) -> Any:
    """Of some ids, relative to the likeliest of them; and what they add up to."""
    chances = np.empty(len(ids) + SCALES_MULTIPLE, np.float32)
    for place in range(len(ids)):
        chances[place] = scores[ids[place]]
    total = exp_and_sum(chances, len(ids))
    return chances[: len(ids)], total


@compiled
def _pick(chances: Array, uniform: Any) -> int:
    """The place at which so much of the whole has been passed."""
    total = np.float32(0)
    for chance in chances:
        total += chance
    left = uniform * total
    for place in range(len(chances)):
        left -= chances[place]
        if left < 0:
            return place
    return len(chances) - 1


@compiled
def _nucleus_size(chances: Array, needed: Any) -> int:
    """How many of the first together have what is needed; one in any case."""
    total = np.float32(0)
    for place in range(len(chances)):
        total += chances[place]
        if total >= needed:
            return place + 1
    return len(chances)


@compiled
def _top_k(scores: Array, count: int) -> Array:
    """The ids of the largest, the largest first. `heap` has the least of those found so far at its root."""
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
    """Let an id sink below those with smaller scores."""
    while 2 * place + 1 < len(heap):
        child = 2 * place + 1
        if child + 1 < len(heap) and scores[heap[child + 1]] < scores[heap[child]]:
            child += 1
        if scores[heap[place]] <= scores[heap[child]]:
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child
