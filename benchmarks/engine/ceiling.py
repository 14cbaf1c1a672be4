"""What the matrices alone allow: every product of one decode step, without attention, norms and bookkeeping."""

import time

import torch

from core.engine.nn.linear import Linear
from core.engine.nn.transformer import Transformer

WARM = 3
"""Steps before the clock starts."""


def products(model: Transformer) -> list[Linear]:
    """In the order in which a step multiplies with them."""
    layers = [matrix for layer in model.layers for matrix in (layer.qkv, layer.out, layer.gate_up, layer.down)]
    return [*layers, model.head]


@torch.inference_mode()
def ceiling(model: Transformer, like: torch.Tensor, steps: int) -> float:
    """Seconds for so many steps of one row."""
    matrices = products(model)
    rows = {width: torch.randn(1, width).to(like) for width in {matrix.columns for matrix in matrices}}

    def step() -> None:
        for matrix in matrices:
            matrix(rows[matrix.columns])

    for _ in range(WARM):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - began
