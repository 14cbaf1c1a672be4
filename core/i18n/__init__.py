"""What the bot says to people, in English and Vietnamese: one TOML table of `key = "text with {placeholders}"` each."""

import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "vi")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Every text of a language by its dotted key."""
    nested = tomllib.loads(files(__name__).joinpath(f"{language}.toml").read_text("utf-8"))
    return {f"{group}.{key}": text.strip() for group, texts in nested.items() for key, text in texts.items()}


def t(language: str, key: str, /, **values: object) -> str:
    """The text of `key`, filled in. Raises KeyError for an unknown key or a missing value."""
    return catalogue(language)[key].format(**values)


def placeholders(text: str) -> frozenset[str]:
    """The names a text wants to be filled with."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


def choose_language(wanted: str, locale: str) -> str:
    """The language for a person: his own choice ("en", "vi"), else ("auto") his client's, else English."""
    if wanted in LANGUAGES:
        return wanted
    return "vi" if locale.lower().replace("_", "-").split("-")[0] == "vi" else "en"
