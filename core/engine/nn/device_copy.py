"""Copies what a step needs from the host to the device: all of it together, without waiting for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch


def copy_together(arrays: Sequence[npt.NDArray[Any]], device: torch.device) -> Sequence[torch.Tensor]:
    """Flat arrays of one dtype as tensors on a device. On a CPU they may share memory with the arrays.

    To a GPU they go by one copy from pinned memory, behind what the GPU has been given to do: the host goes on at once.
    """
    if device.type == "cpu":
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    whole = torch.from_numpy(np.concatenate(arrays))
    if device.type == "cuda":
        whole = whole.pin_memory()  # PyTorch keeps it until the copy is done
    return torch.split(whole.to(device, non_blocking=True), [len(array) for array in arrays])
