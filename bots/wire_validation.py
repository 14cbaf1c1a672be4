"""Checks what the Telegram and Discord libraries hand on: they pass through whatever a server sends. Pure."""

import re

from core.domain.conversation import Incoming

_ID = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_THREAD = re.compile(r"u?[0-9]{0,20}", re.ASCII)
_MAX_INTEGER = 2**63
"""Integers of the database are below it."""


def has_valid_fields(incoming: Incoming) -> bool:
    """Whether every field has the type and the form that both platforms promise: their ids are numbers."""
    chat, author = incoming.chat, incoming.author
    ids = (chat.chat, author.id, incoming.bot)
    texts = (author.name, author.locale, incoming.text, incoming.external_id)
    return (
        all(isinstance(each, str) and _ID.fullmatch(each) for each in ids)
        and isinstance(chat.thread, str)
        and bool(_THREAD.fullmatch(chat.thread))
        and all(isinstance(each, str) for each in texts)
        and all(type(each) is int and 0 <= each < _MAX_INTEGER for each in (incoming.seq, incoming.at))
    )


def is_id(value: object) -> bool:
    """Whether `value` is the decimal text of one of the platforms' ids."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))
