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

from core.domain.reply_states import State

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
