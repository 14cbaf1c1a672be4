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


def choose_language(preference: str, locale: str) -> str:
    """The language for a person: their own choice where `preference` is "en" or "vi"; for "auto" Vietnamese where their
    client's `locale` ("vi", "vi-VN", "vi_VN.UTF-8") is, else English."""
    if preference in LANGUAGES:
        return preference
    return "vi" if locale.lower().replace("_", "-").split("-")[0] == "vi" else "en"
