"""A tiny model with random weights, made once and never changed."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Llama of two layers and a context of 1024."""
    from tests.core.engine.tiny import save

    return save(tmp_path_factory.mktemp("tiny"))
