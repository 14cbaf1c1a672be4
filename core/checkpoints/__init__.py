"""From the name of a model to a local folder that is safe to load. Does not import torch; callers show the progress."""

from core.checkpoints.checkpoint import Checkpoint, Progress, inspect_checkpoint
from core.checkpoints.hub import HubUnreachable
from core.checkpoints.resolve import BUILTIN, DEFAULT_MODEL, SMALL_MODEL, open_checkpoint

__all__ = [
    "BUILTIN",
    "DEFAULT_MODEL",
    "SMALL_MODEL",
    "Checkpoint",
    "HubUnreachable",
    "Progress",
    "inspect_checkpoint",
    "open_checkpoint",
]
