"""The pieces of the kernels are compiled once, as the kernels themselves; the tiny models are those of nn."""

import pytest

from tests.core.engine.kernels.pieces import keep
from tests.core.engine.nn.conftest import KERNELS, compiled_once, models, one_thread

__all__ = ["compiled_once", "models", "one_thread"]


@pytest.fixture(scope="session", autouse=True)
def pieces() -> None:
    keep(KERNELS)
