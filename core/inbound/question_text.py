"""What people wrote: quoted in the bot's own Markdown, put before a question, freed of the bot's name."""

import re

GREETING = "/start"
"""What a mention and nothing else is answered like."""

_QUOTED = 1000
"""Characters of the replied-to text that go before a question."""
_AFTER_NAME = re.compile(r"(?:[,:]|\s+,)?\s*")
_PUNCTUATION = ".,:;!?…)"


def about(asked: str, replied: str) -> str:
    """The question under what it is about; a mention alone asks what was replied to."""
    if not (asked and replied):
        return asked or replied
    cut = replied if len(replied) <= _QUOTED else f"{replied[:_QUOTED]}…"
    quote = "\n".join(f"> {line}".rstrip() for line in cut.split("\n"))
    return f"{quote}\n\n{asked}"


def seam(left: str, right: str) -> str:
    """The two sides of a removed name, as a person would have written them without it."""
    if not left.strip() or left.endswith("\n"):
        return left.lstrip() + _AFTER_NAME.sub("", right, count=1)
    if not right.strip():
        left = left.rstrip()
        return (left[:-1] if left.endswith((",", ":")) else left).rstrip()
    if right[0] in _PUNCTUATION:
        return left.rstrip(" ,:;") + right
    space = " " if left.endswith(" ") or right.startswith(" ") else ""
    rest = right.lstrip(" ")
    return left.rstrip(" ") + ("" if rest.startswith("\n") else space) + rest
