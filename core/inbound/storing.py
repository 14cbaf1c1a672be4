"""Handing a message to the core so that it is stored once: trouble is waited for, poison is set aside."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from core.domain.conversation import Incoming
from core.runtime.retry import DATABASE_BACKOFF, Backoff
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

_ID = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_THREAD = re.compile(r"u?[0-9]{0,20}", re.ASCII)
_MOST = 2**63
_ODD = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What does not look like trouble with the database: it is about what was to be stored."""
_TRIES = 4
"""So often that is tried, all the same."""


async def store_with_retry(
    what: str, take: Callable[[], Awaitable[object]], backoff: Backoff = DATABASE_BACKOFF
) -> None:
    """Return when it is stored. What can never be stored is told and given up: it would hold up all that follows."""
    odd = 0
    for pause in backoff.pauses():
        try:
            await take()
            return
        except Exception as error:
            odd += isinstance(error, _ODD)
            if odd == _TRIES:
                log.error("%s can't be stored, set aside:\n%s", what, safe_traceback(error))
                return
            log.error("%s can't be stored, trying again: %s", what, type(error).__name__)
        await asyncio.sleep(pause)


def has_valid_fields(incoming: Incoming) -> bool:
    """Whether every field is of the kind that the platforms promise. Their libraries pass on whatever comes."""
    chat, author = incoming.chat, incoming.author
    texts = (author.name, author.locale, incoming.text, incoming.external_id)
    return (
        all(is_id(each) for each in (chat.chat, author.id, incoming.bot))
        and isinstance(chat.thread, str)
        and bool(_THREAD.fullmatch(chat.thread))
        and all(isinstance(each, str) for each in texts)
        and all(type(each) is int and 0 <= each < _MOST for each in (incoming.seq, incoming.at))
    )


def is_id(text: object) -> bool:
    """Whether it is one of the platforms' numbers, written out."""
    return isinstance(text, str) and bool(_ID.fullmatch(text))
