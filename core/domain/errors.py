"""The errors that Qwentin raises on purpose.

    QwentinError
    ├── SetupError        the owner must act: one line with what to do, exit code 78, no retry
    └── ChatError         for a person in a chat: a key of core/i18n with its values
        ├── Refused       the question can't be answered as it is (too long, not allowed, bad value)
        ├── Unanswered    the model twice gave nothing that can be shown
        └── EngineDied    the engine died during the answer; the question will be answered again

Any other exception is a bug: the chat gets an apology with an id, the log the traceback with the same id.
"""

from core.domain.reply_states import State

EX_CONFIG = 78
"""The exit code for a SetupError, which a restart does not mend (EX_CONFIG of sysexits.h)."""


class QwentinError(Exception):
    """The base class of all errors that Qwentin raises on purpose."""


class SetupError(QwentinError):
    """The owner must act. Its text is one clear line: what is wrong, and what to do about it."""


class ChatError(QwentinError):
    """An error for a person in a chat. `key` names a text in core/i18n; `values` fill the text's placeholders."""

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


class Refused(ChatError):
    """The question or command can't be carried out as it is."""


class Unanswered(ChatError):
    """The model twice gave nothing that can be shown."""


class EngineDied(ChatError):
    """The engine died during the answer; the question will be answered again."""

    def __init__(self) -> None:
        super().__init__("error.again")


def outcome_of(error: Exception) -> State:
    """The terminal state of a reply that ended with this error."""
    return State.REFUSED if isinstance(error, Refused) else State.FAILED
