"""Errors in the words of a language, for people."""

import secrets

from core.domain.errors import ChatError, log
from core.domain.store import Unavailable
from core.i18n import say
from core.runtime.safe_traceback import trace


def words(error: Exception, language: str, where: str) -> str:
    """The one place where errors become words for people. A bug becomes an apology with an id, which the log has."""
    if isinstance(error, ChatError):
        return say(language, error.key, **error.values)
    if isinstance(error, Unavailable):
        return say(language, "error.busy")
    bug = secrets.token_hex(3)
    log.error("error %s in %s\n%s", bug, where, trace(error))
    return say(language, "error.bug", id=bug)
