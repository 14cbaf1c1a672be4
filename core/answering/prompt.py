"""What the model is asked: the system prompt, the turns of the conversation, the question. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.conversation import Turn
from core.domain.prompt import Message, Prompt
from core.domain.settings import Settings

_LANGUAGE = {
    "auto": "Answer in the language of the last message.",
    "en": "Answer in English.",
    "vi": "Answer in Vietnamese (tiếng Việt).",
}
_CAREFUL = (
    "The person may be thinking of suicide or self-harm. Go on warmly and calmly in two or three short sentences: "
    "you have heard them, they matter, and they should talk to someone they trust now. "
    "No advice on methods, no jokes, no other topic."
)
NOBODY = "Someone"
"""In place of a name that says nothing, or what nobody should repeat."""
_NOT_IN_A_NAME = re.compile(r"[\s:<>|]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it stands in a group or in private: `author` is "" in private. `begun`: the answer's beginning,
    where the model is to go on with it."""

    text: str
    author: str = ""
    prefix: str = ""
    careful: bool = False
    """Whoever asks may be in danger."""


def build(settings: Settings, turns: Sequence[Turn], question: Asked) -> Prompt:
    """System prompt, the turns oldest first, the question, and what its answer begins with. In groups what people said
    carries their names."""
    orders = (settings.system, _LANGUAGE[settings.reply_language], *((_CAREFUL,) if question.careful else ()))
    system = Message("system", "\n".join(orders))
    past = [message for turn in turns for message in _pair(turn)]
    begun = (Message("assistant", question.prefix),) if question.prefix else ()
    return (system, *past, Message("user", spoken(question.text, question.author)), *begun)


def _pair(turn: Turn) -> tuple[Message, Message]:
    return Message("user", spoken(turn.question, turn.author)), Message("assistant", turn.answer)


def spoken(text: str, author: str) -> str:
    """What somebody said, with the name before it where there is one."""
    return f"{label(author)}: {text}" if author else text


def label(name: str) -> str:
    """A name as it stands before its owner's words: one line, nothing that could pass for markup or another speaker."""
    return _NOT_IN_A_NAME.sub(" ", name).strip()[:64] or NOBODY
