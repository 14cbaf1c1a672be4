"""Errors as texts for the people in a chat."""

import logging
import secrets

from core.domain.errors import ChatError
from core.domain.store import Unavailable
from core.i18n import t
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)


def describe_error(error: Exception, language: str, where: str) -> str:
    """The text for an error. A bug becomes an apology with an id, under which the log has the traceback; `where` names
    the place in the log."""
    if isinstance(error, ChatError):
        return t(language, error.key, **error.values)
    if isinstance(error, Unavailable):
        return t(language, "error.busy")
    error_id = secrets.token_hex(3)
    log.error("error %s in %s\n%s", error_id, where, safe_traceback(error))
    return t(language, "error.bug", id=error_id)
