"""Everything that can go wrong, drawn once.

    QwentinError
    ├── SetupError        the owner must act: one line with what to do, exit code 78, no retry
    └── ChatError         a person in a chat must know: a key of core/i18n with its values
        ├── Refused       the question can't be answered as it is (too long, not allowed, bad value)
        ├── Unanswered    the model gave nothing that could be shown, twice
        └── EngineDied    the engine was lost in mid-answer; the question will run again, by itself

Anything else is a bug: an apology with an id in the chat, the traceback under that id in the log.
"""

import logging
import secrets
import traceback

from core.domain.conversation import Unavailable
from core.domain.reply_states import State
from core.i18n import say

log = logging.getLogger(__name__)

EX_CONFIG = 78
"""Exit code of a setup that no restart can mend (sysexits.h, EX_CONFIG)."""


class QwentinError(Exception):
    """Root of the errors that Qwentin raises on purpose."""


class SetupError(QwentinError):
    """The owner must act. Its text is one clear line: what is wrong, and what to do about it."""


class ChatError(QwentinError):
    """A person in a chat must know. Its key names a text in core/i18n; its values fill the text's placeholders."""

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


class Refused(ChatError):
    """The question can't be answered as it is."""


class Unanswered(ChatError):
    """The model gave nothing that could be shown, twice."""


class EngineDied(ChatError):
    """The engine was lost in mid-answer; the question will run again, by itself."""

    def __init__(self) -> None:
        super().__init__("error.again")


def outcome_of(error: Exception) -> State:
    """Where a reply ends that ran into this error."""
    return State.REFUSED if isinstance(error, Refused) else State.FAILED


def words(error: Exception, language: str, where: str) -> str:
    """The one place where errors become words for people. A bug becomes an apology with an id, which the log has."""
    if isinstance(error, ChatError):
        return say(language, error.key, **error.values)
    if isinstance(error, Unavailable):
        return say(language, "error.busy")
    bug = secrets.token_hex(3)
    log.error("error %s in %s\n%s", bug, where, trace(error))
    return say(language, "error.bug", id=bug)


def trace(error: BaseException) -> str:
    """Where it happened and of what kind, without the errors' own messages: they may quote what people wrote."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    return (f"{trace(cause)}\n" if cause else "") + f"{lines}{type(error).__module__}.{type(error).__qualname__}"
