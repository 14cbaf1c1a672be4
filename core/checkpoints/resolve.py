"""From the name of a model to a checkpoint."""

import os
import re
from pathlib import Path

from core.checkpoints import builtin
from core.checkpoints.checkpoint import Checkpoint, Progress, inspect
from core.checkpoints.hub import Hub
from core.domain.errors import SetupError

BUILTIN = "builtin"
DEFAULT_MODEL = "Qwen/Qwen2.5-1.5B-Instruct@989aa7980e4cf806f80c7fef2b1adb7bc71aa306"
SMALL_MODEL = "Qwen/Qwen2.5-0.5B-Instruct@7ae557604adf67be50417f59c2c2f167def9a775"

PINNED = dict(model.split("@") for model in (DEFAULT_MODEL, SMALL_MODEL))
HUB_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)


def open_checkpoint(
    model: str, *, cache: Path, progress: Progress, offline: bool = False, endpoint: str | None = None
) -> Checkpoint:
    """`model` is "builtin", a folder, a .gguf file, or a name on the hub: "org/name" or "org/name@revision".

    Blocks while it downloads or converts. `cache` keeps converted GGUF files; what comes from the hub goes into the hub
    library's own cache. `endpoint` is another hub than HF_ENDPOINT's.
    """
    path = local(model)
    if model == BUILTIN:
        return inspect(converted(builtin.builtin_file(), cache, progress), builtin.NAME)
    if path and path.is_dir():
        return inspect(path)
    if path:
        return inspect(converted(path, cache, progress), path.name)
    repo, revision = hub_name(model)
    return inspect(Hub(endpoint).fetch(repo, revision, progress, offline), repo)


def local(model: str) -> Path | None:
    """What is there goes before what the hub may have under the same name."""
    path = Path(os.path.expanduser(model))
    try:
        return path if model and path.exists() else None
    except (OSError, ValueError):  # no name that a file could have
        return None


def converted(file: Path, cache: Path, progress: Progress) -> Path:
    from core.checkpoints.gguf_convert import convert  # noqa: PLC0415 (gguf and numpy, which most starts don't need)

    return convert(file, cache, progress)


def hub_name(model: str) -> tuple[str, str | None]:
    match = HUB_NAME.fullmatch(model)
    if match is None or model.endswith(".gguf"):
        raise SetupError(
            f"there is no model {model!r}: give a folder, a .gguf file, a name on the hub (org/name) or {BUILTIN!r}"
        )
    return match["repo"], match["revision"] or PINNED.get(match["repo"])
