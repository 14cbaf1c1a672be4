"""Text of people inside the bot's own Markdown."""

import re

_MARKUP = re.compile(r"[\\`*_\[\]<>~|#]")


def escape(text: str) -> str:
    """What people wrote, so that it stays what they wrote: as Markdown a name could be a link."""
    return _MARKUP.sub(r"\\\g<0>", text)
