"""Reading the JSON files of a model's folder, and the SetupError for a damaged file."""

import json
from pathlib import Path
from typing import Any

from core.domain.errors import SetupError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises SetupError where there is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged_file(path, error) from error
    if not isinstance(content, dict):
        raise damaged_file(path, "not a JSON object")
    return content


def damaged_file(path: Path, why: object) -> SetupError:
    """The error for a damaged file. It names the target of a link: the hub's cache restores a deleted link from it."""
    return SetupError(f"{path.name} is damaged ({one_line(why)}): delete {path.resolve()} and download it again")


def one_line(error: object) -> str:
    """A library's error text on a single line, as a SetupError needs it."""
    return " ".join(str(error).split())
