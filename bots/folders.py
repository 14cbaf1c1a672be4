"""Where `.env`, data and cache lie: in a clone beside the code, otherwise where the system keeps a person's files."""

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir, user_config_dir, user_data_dir

APP = "qwentin"


@dataclass(frozen=True, slots=True)
class Folders:
    """`config` holds `.env`, `data` the databases, `cache` converted models. None of them needs to exist."""

    config: Path
    data: Path
    cache: Path


def find_folders(code: Path) -> Folders:
    """The folders of an installation. `code` holds its packages: a clone, by its pyproject.toml, or site-packages."""
    if (code / "pyproject.toml").is_file():
        return Folders(config=code, data=code / "data", cache=code / "data")
    return Folders(
        config=Path(user_config_dir(APP, appauthor=False)),
        data=Path(user_data_dir(APP, appauthor=False)),
        cache=Path(user_cache_dir(APP, appauthor=False)),
    )


FOLDERS = find_folders(Path(__file__).parents[1])
"""Those of this installation."""
