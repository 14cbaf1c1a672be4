"""Loads the engine as the bot does by default."""

from pathlib import Path

from benchmarks.engine.folders import MODELS
from bots.config import Config
from core.engine.loader import Loader
from core.engine.options import WeightFormat

CONTEXT: int = Config.model_fields["context"].default
NICE: int = Config.model_fields["nice"].default


def loader(folder: Path, weights: WeightFormat = "auto", cache: Path = MODELS) -> Loader:
    """A loader with the bot's default options. `cache`: for compiled kernels and measurements of the machine."""
    return Loader(folder, weights=weights, context=CONTEXT, cache=cache)
