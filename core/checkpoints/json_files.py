"""The files of a model's folder: read, or named as damaged."""

import json
from pathlib import Path
from typing import Any

from core.domain.errors import SetupError


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(content, dict):
        raise damaged(path, "not a JSON object")
    return content


def damaged(path: Path, why: object) -> SetupError:
    """Names the file behind a link: the hub's cache gives a deleted link back its damaged content."""
    return SetupError(f"{path.name} is damaged ({line(why)}): delete {path.resolve()} and download it again")


def line(what: object) -> str:
    """Libraries spread their errors over several lines; a SetupError is one."""
    return " ".join(str(what).split())
