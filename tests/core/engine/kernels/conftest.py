"""The pieces of the kernels are compiled once, as the kernels themselves; the tiny models are those of nn."""

import pytest

from tests.core.engine.kernels.pieces import keep
from tests.core.engine.nn.conftest import compiled_once, models, one_thread
from tests.real import KERNELS

__all__ = ["compiled_once", "models", "one_thread"]


@pytest.fixture(scope="session", autouse=True)
def pieces() -> None:
    keep(KERNELS)
