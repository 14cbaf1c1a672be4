"""Errors in the words of a language, for people."""

import logging
import secrets

from core.domain.errors import ChatError
from core.domain.store import Unavailable
from core.i18n import t
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)


def describe_error(error: Exception, language: str, where: str) -> str:
    """The one place where errors become words for people. A bug becomes an apology with an id, which the log has."""
    if isinstance(error, ChatError):
        return t(language, error.key, **error.values)
    if isinstance(error, Unavailable):
        return t(language, "error.busy")
    bug = secrets.token_hex(3)
    log.error("error %s in %s\n%s", bug, where, safe_traceback(error))
    return t(language, "error.bug", id=bug)
