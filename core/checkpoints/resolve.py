"""From the name of a model to a checkpoint."""

import os
import re
from pathlib import Path

from core.checkpoints import builtin
from core.checkpoints.checkpoint import Checkpoint, Progress, inspect_checkpoint
from core.checkpoints.gguf_cache import converted_checkpoint, converted_folder, delete_stale_work, unreadable
from core.checkpoints.hub import Hub
from core.domain.errors import SetupError

BUILTIN = "builtin"
DEFAULT_MODEL = "Qwen/Qwen2.5-1.5B-Instruct@989aa7980e4cf806f80c7fef2b1adb7bc71aa306"
SMALL_MODEL = "Qwen/Qwen2.5-0.5B-Instruct@7ae557604adf67be50417f59c2c2f167def9a775"

PINNED_REVISIONS = dict(model.split("@") for model in (DEFAULT_MODEL, SMALL_MODEL))
"""By repository: these are used at a fixed revision also where the name has none."""
HUB_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)


def open_checkpoint(
    model: str, *, cache: Path, progress: Progress, offline: bool = False, endpoint: str | None = None
) -> Checkpoint:
    """The checkpoint of a model, downloaded or converted first where need be. Blocks meanwhile.

    `model` is "builtin", a folder, a .gguf file, or a name on the hub: "org/name" or "org/name@revision". `cache` keeps
    converted GGUF files; the hub library keeps downloads in its own cache. `endpoint` replaces the library's
    HF_ENDPOINT. Raises HubUnreachable where a download is needed and impossible now, SetupError for any other trouble.
    """
    delete_stale_work(cache)
    path = local_path(model)
    if model == BUILTIN:
        return open_gguf(builtin.builtin_file(), builtin.DISPLAY_NAME, cache, progress)
    if path and path.is_dir():
        return inspect_checkpoint(path)
    if path:
        return open_gguf(path, path.name, cache, progress)
    repo, revision = parse_hub_name(model)
    return inspect_checkpoint(Hub(endpoint).fetch(repo, revision, progress, offline), repo)


def local_path(model: str) -> Path | None:
    """The file or folder of this name, which goes before a model of the hub; None where there is none."""
    path = Path(os.path.expanduser(model))
    try:
        return path if model and path.exists() else None
    except (OSError, ValueError):  # not a valid path
        return None


def open_gguf(file: Path, name: str, cache: Path, progress: Progress) -> Checkpoint:
    """The checkpoint of a GGUF file, converted unless it has been already."""
    try:
        folder = converted_folder(file, cache)
        if found := converted_checkpoint(file, folder, name):
            return found
    except OSError as error:
        raise unreadable(file, error) from error
    from core.checkpoints.gguf_convert import convert  # noqa: PLC0415 (gguf and numpy, which most starts do without)

    return inspect_checkpoint(convert(file, cache, progress), name)


def parse_hub_name(model: str) -> tuple[str, str | None]:
    """Repository and revision of a name on the hub; raises SetupError for anything else."""
    match = HUB_NAME.fullmatch(model)
    if match is None or model.endswith(".gguf"):
        raise SetupError(
            f"there is no model {model!r}: give a folder, a .gguf file, a name on the hub (org/name) or {BUILTIN!r}"
        )
    return match["repo"], match["revision"] or PINNED_REVISIONS.get(match["repo"])
