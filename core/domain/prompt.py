"""What a model is asked: messages of a chat template."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]
