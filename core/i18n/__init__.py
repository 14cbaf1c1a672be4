"""The bot's texts in English and Vietnamese: one TOML file each, with `key = "text with {placeholders}"` in groups."""

import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "vi")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Every text of a language by its key, "group.name"."""
    nested = tomllib.loads(files(__name__).joinpath(f"{language}.toml").read_text("utf-8"))
    return {f"{group}.{key}": text.strip() for group, texts in nested.items() for key, text in texts.items()}


def t(language: str, key: str, /, **values: object) -> str:
    """The text of `key` in a language ("en" or "vi"), its placeholders filled with `values`.

    Raises KeyError for an unknown key or a missing value.
    """
    return catalogue(language)[key].format(**values)


def placeholders(text: str) -> frozenset[str]:
    """The names of a text's placeholders."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
