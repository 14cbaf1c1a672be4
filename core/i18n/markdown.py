"""People's text inside the bot's own Markdown."""

import re

_MARKUP = re.compile(r"[\\&\[\]`*_<>~|#$]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_ENTITIES = {"\\": "&#92;", "&": "&amp;", "[": "&#91;", "]": "&#93;", ":": "&#58;", ".": "&#46;"}
"""What a backslash before it would make a formula of, or not hide. In an address backslashes would show."""


def escape(text: str) -> str:
    """`text` with every sign of Markdown written so that it is no sign: a name can't become a link."""
    return _MARKUP.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), text)
