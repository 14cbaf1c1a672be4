"""From the name of a model to a local folder that is safe to load. Knows no torch, and shows no progress itself."""

from core.checkpoints.checkpoint import Checkpoint, Progress, inspect
from core.checkpoints.hub import HubUnreachable
from core.checkpoints.resolve import BUILTIN, DEFAULT_MODEL, SMALL_MODEL, open_checkpoint

__all__ = [
    "BUILTIN",
    "DEFAULT_MODEL",
    "SMALL_MODEL",
    "Checkpoint",
    "HubUnreachable",
    "Progress",
    "inspect",
    "open_checkpoint",
]
