"""Everything that can go wrong, drawn once.

    QwentinError
    ├── SetupError        the owner must act: one line with what to do, exit code 78, no retry
    └── ChatError         a person in a chat must know: a key of core/texts with its values
        ├── Refused       the question can't be answered as it is (too long, not allowed, bad value)
        ├── Unanswered    the model gave nothing that could be shown, twice
        └── EngineDied    the engine was lost in mid-answer; the same question may be asked again

Anything else is a bug: an apology with an id in the chat, the traceback under that id in the log.
"""

EX_CONFIG = 78
"""Exit code of a setup that no restart can mend (sysexits.h, EX_CONFIG)."""


class QwentinError(Exception):
    """Root of the errors that Qwentin raises on purpose."""


class SetupError(QwentinError):
    """The owner must act. Its text is one clear line: what is wrong, and what to do about it."""


class ChatError(QwentinError):
    """A person in a chat must know. Its key names a text in core/texts; its values fill the text's placeholders."""

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


class Refused(ChatError):
    """The question can't be answered as it is."""


class Unanswered(ChatError):
    """The model gave nothing that could be shown, twice."""


class EngineDied(ChatError):
    """The engine was lost in mid-answer; nothing of the question is lost, it may be asked again."""

    def __init__(self) -> None:
        super().__init__("error.again")
