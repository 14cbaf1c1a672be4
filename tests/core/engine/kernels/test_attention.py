"""Attention to the blocks of a sequence, wherever they lie, against PyTorch's."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from core.engine.kernels.attention import KVDtype, KVView
from core.engine.kernels.jit import Array
from core.engine.kernels.layout import SCALES_MULTIPLE
from core.engine.nn.kernel_model import as_numpy
from core.engine.nn.kv_cache import BLOCK_IDS
from tests.core.engine.kernels import pieces
from tests.sweeps import sweep
from tests.tables import each_row

DTYPES: dict[KVDtype, torch.dtype] = {"float32": torch.float32, "bf16": torch.bfloat16}
WIDTHS = [16, 48, 64, 80, 96, 128]
LENGTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 100, 255, 256, 257, 600]


@dataclass
class Sequence:
    """Keys and values of one head, [length, width], in blocks of a larger memory."""

    keys: torch.Tensor
    values: torch.Tensor
    blocks: list[int]
    garbage: float = float("nan")
    """Everywhere else."""

    def attend(self, q: Array) -> Array:
        """What queries see, float32 [heads, width]; they are divided by the root of the width already."""
        length, width = self.keys.shape
        memories = []
        for part in (self.keys, self.values):
            memory = torch.full((max(self.blocks) + 2, BLOCK_IDS, width), self.garbage, dtype=part.dtype)
            for number, block in enumerate(self.blocks):
                some = part[number * BLOCK_IDS : (number + 1) * BLOCK_IDS]
                memory[block, : len(some)] = some
            memories.append(as_numpy(memory))
        blocks = np.array([*self.blocks, 1 << 40], np.int64)
        scores = np.full((len(q), length + SCALES_MULTIPLE), np.nan, np.float32)
        mixed = np.full((len(q) + 1, width), pieces.GUARD, np.float32)
        pieces.attend(q, KVView(memories[0], memories[1], blocks, length), scores, mixed[: len(q)])
        assert (mixed[len(q)] == pieces.GUARD).all()
        return mixed[: len(q)]


def sequence(kind: KVDtype, length: int, width: int, order: str = "at random", seed: int = 1) -> Sequence:
    generator = torch.Generator().manual_seed(seed)
    keys, values = (torch.randn(length, width, generator=generator).to(DTYPES[kind]) for _ in range(2))
    count = -(-length // BLOCK_IDS)
    if order == "in order":
        blocks = list(range(3, 3 + count))
    elif order == "backwards":
        blocks = list(range(count, 0, -1))
    else:
        blocks = torch.randperm(2 * count, generator=generator)[:count].tolist()
    return Sequence(keys, values, blocks)


def queries(heads: int, width: int, seed: int = 2, size: float = 3.0) -> Array:
    generator = torch.Generator().manual_seed(seed)
    return np.asarray((torch.randn(heads, width, generator=generator) * size / width**0.5).numpy())


def theirs(q: Array, seen: Sequence) -> Array:
    """In float64."""
    queries, keys, values = (part[None].double() for part in (torch.from_numpy(q), seen.keys, seen.values))
    found = functional.scaled_dot_product_attention(queries, keys, values, scale=1.0)
    return np.asarray(found[0].numpy())


def near(found: Array, expected: Array) -> None:
    """The error of a sum in float32 grows with its values, of which some are several units."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6 * max(1.0, float(np.abs(expected).max())))


@each_row("kind", DTYPES)
@sweep(("width", "heads"), product(WIDTHS, range(1, 8)), quick=[(64, 1), (64, 7), (80, 3), (128, 2)])
def test_every_width_and_number_of_heads(kind: KVDtype, width: int, heads: int) -> None:
    q = queries(heads, width)
    for length in LENGTHS:
        seen = sequence(kind, length, width)
        near(seen.attend(q), theirs(q, seen))


@each_row("kind", DTYPES)
def test_every_length(kind: KVDtype) -> None:
    q = queries(3, 64)
    for length in range(1, 301):
        seen = sequence(kind, length, 64)
        near(seen.attend(q), theirs(q, seen))


@each_row("kind", DTYPES)
@each_row("length", [8, 77, 600])
def test_blocks_in_any_order(kind: KVDtype, length: int) -> None:
    """Those that lie one after another are gone through at once, which changes no bit."""
    q = queries(4, 64)
    found = [sequence(kind, length, 64, order) for order in ("in order", "backwards", "at random")]
    for seen in found:
        seen.keys, seen.values = found[0].keys, found[0].values
    answers = [seen.attend(q) for seen in found]
    near(answers[0], theirs(q, found[0]))
    assert all((answer == answers[0]).all() for answer in answers)


@each_row("kind", DTYPES)
@each_row("length", [1, 5, 8, 13, 100])
def test_what_lies_behind_the_end_changes_nothing(kind: KVDtype, length: int) -> None:
    """Nor what lies in other blocks: no number, infinity, anything."""
    q, seen = queries(4, 64), sequence(kind, length, 64)
    answers = []
    for garbage in (0.0, float("nan"), float("inf"), -float("inf"), 1e30):
        seen.garbage = garbage
        answers.append(seen.attend(q))
    assert np.isfinite(answers[0]).all()
    assert all((answer == answers[0]).all() for answer in answers)


@each_row("kind", DTYPES)
@each_row("width", WIDTHS)
def test_a_head_alone_and_among_others(kind: KVDtype, width: int) -> None:
    seen, q = sequence(kind, 77, width), queries(7, width)
    alone = np.concatenate([seen.attend(q[head : head + 1]) for head in range(7)])
    for heads in range(1, 8):
        assert (seen.attend(q[:heads]) == alone[:heads]).all()
        assert (seen.attend(q[7 - heads :]) == alone[7 - heads :]).all()


@each_row("kind", DTYPES)
@each_row("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_in_its_head(kind: KVDtype, bad: float) -> None:
    seen, q = sequence(kind, 77, 64), queries(5, 64)
    good = seen.attend(q)
    q[2, 7] = bad
    found = seen.attend(q)
    others = [0, 1, 3, 4]
    assert not np.isfinite(found[2]).any()
    assert (found[others] == good[others]).all()


@each_row("kind", DTYPES)
def test_a_key_or_value_that_is_no_number_is_not_lost(kind: KVDtype) -> None:
    q = queries(3, 64)
    for place in (0, 12, 76):
        for part in ("keys", "values"):
            seen = sequence(kind, 77, 64)
            getattr(seen, part)[place, 5] = np.nan
            found = seen.attend(q)
            assert np.isnan(found[:, 5]).all()
            assert np.isnan(found).all() == (part == "keys")


@each_row("kind", DTYPES)
def test_one_that_outweighs_all(kind: KVDtype) -> None:
    """Scores of some thousands."""
    seen, q = sequence(kind, 200, 64), queries(2, 64, size=1e4)
    near(seen.attend(q), theirs(q, seen))


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["float32", "bf16"]),
    heads=st.integers(1, 7),
    width=st.sampled_from([16, 32, 48, 64, 80, 96, 112, 128, 256]),
    length=st.integers(1, 600),
    seed=st.integers(0, 1 << 30),
    size=st.sampled_from([0.0, 0.1, 3.0, 30.0]),
)
def test_whatever_there_is(kind: KVDtype, heads: int, width: int, length: int, seed: int, size: float) -> None:
    seen, q = sequence(kind, length, width, seed=seed), queries(heads, width, seed, size)
    near(seen.attend(q), theirs(q, seen))
