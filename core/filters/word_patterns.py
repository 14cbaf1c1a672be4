"""Large patterns of words that are searched for at the starts of words only. Pure.

A pattern with many alternatives that each begin with `\\b` tries all of them at every character. One `\\b` before them
all lets the search pass over most characters at once, and choose among the alternatives by their first letter.
"""

import re
from collections.abc import Iterable, Iterator

CLAUSE_START = r"(?:(?<![^|,])|(?<=[|,] ))"
"""Behind `\\b`: the start of a text, or of a part of a sentence, where `|` and `,` stand between the parts."""
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|[()|]|[^\\\[()|]+", re.DOTALL)
"""An escaped character, a set of characters, a bracket, a bar, or anything else."""


def any_of(words: str) -> str:
    """A pattern for any of these words or patterns, which are separated by ";"."""
    return f"(?:{'|'.join(part.strip() for part in words.split(';'))})"


def at_word_start(patterns: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all of these, each of whose alternatives begins with `\\b` and a letter.

    It tells whether any of them is in a text, not which is the first.
    Raises ValueError for an alternative that begins otherwise.
    """
    parts = list[str]()
    for alternative in (each for pattern in patterns for each in alternatives(pattern)):
        if not alternative.startswith(r"\b"):
            raise ValueError(f"does not begin with \\b: {alternative}")
        parts.append(alternative[2:])
    return re.compile(rf"\b(?=\w)(?:{'|'.join(parts)})")


def alternatives(pattern: str) -> Iterator[str]:
    """The alternatives of a pattern that stand in no bracket."""
    depth, written = 0, ""
    for part in _PART.findall(pattern):
        if part == "|" and not depth:
            yield written
            written = ""
            continue
        depth += {"(": 1, ")": -1}.get(part, 0)
        written += part
    yield written
