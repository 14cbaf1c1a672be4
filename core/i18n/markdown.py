"""People's text inside the bot's own Markdown."""

import re

_MARKUP = re.compile(r"[\\`*_\[\]<>~|#]")


def escape(text: str) -> str:
    """`text` with a backslash before every sign of Markdown, so that a name can't become a link."""
    return _MARKUP.sub(r"\\\g<0>", text)
