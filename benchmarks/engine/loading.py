"""The engine as the bot loads it where its owner has set nothing."""

from pathlib import Path

from benchmarks.engine.folders import MODELS
from bots.config import Config
from core.engine.loader import Loader
from core.engine.options import WeightFormat

CONTEXT: int = Config.model_fields["context"].default
NICE: int = Config.model_fields["nice"].default


def loader(folder: Path, weights: WeightFormat = "auto", cache: Path = MODELS) -> Loader:
    """`cache`: where the compiled kernels are kept, and what was measured of the machine, as the bot keeps them beside
    its models."""
    return Loader(folder, weights=weights, context=CONTEXT, cache=cache)
