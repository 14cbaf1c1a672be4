"""The engine as the bot loads it where its owner has set nothing."""

from pathlib import Path

from bots.config import Config
from core.engine.loader import Loader, Weights

CONTEXT: int = Config.model_fields["context"].default


def loader(folder: Path, weights: Weights = "auto") -> Loader:
    """Nothing of an earlier measurement of the machine is kept."""
    return Loader(folder, weights=weights, context=CONTEXT)
