"""What the model is asked: the system prompt, the conversation's last turns as far as they fit into its context, the
question. Pure: the caller hands in how to count tokens."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from core.answering.window import window
from core.domain.conversation import Turn
from core.domain.errors import Refused
from core.domain.prompt import Message, Prompt
from core.domain.settings import Settings

MAX_BYTES_PER_TOKEN = 8
"""Natural text has 2 to 6. A question with more is refused before it is tokenised, which takes time."""
ANONYMOUS_NAME = "Someone"
"""In place of a name without letters, or one that the filter blocks."""
_MAX_NAME_CHARACTERS = 64
_LANGUAGE_INSTRUCTIONS = {
    "auto": "Answer in the language of the last message.",
    "en": "Answer in English.",
    "vi": "Answer in Vietnamese (tiếng Việt).",
}
_SUPPORT_INSTRUCTION = (
    "The person may be thinking of suicide or self-harm. Go on warmly and calmly in two or three short sentences: "
    "you have heard them, they matter, and they should talk to someone they trust now. "
    "No advice on methods, no jokes, no other topic."
)
_HELPER_INSTRUCTION = (
    "The person fears that somebody close to them may be thinking of suicide or self-harm. Say in two or three short, "
    "calm sentences how to help: stay with them, ask openly, take them seriously, call for help in an emergency. "
    "No advice on methods, no jokes, no other topic."
)
_NOT_IN_A_NAME = re.compile(r"[\s:<>|]+")


class Risk(Enum):
    """Who may be in danger, by a question."""

    NONE = auto()
    ASKER = auto()
    ANOTHER = auto()


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """A question for the model. `author` is the asker's name, "" in a private chat. `prefix` is the beginning of the
    answer, where the model is to continue one."""

    text: str
    author: str = ""
    prefix: str = ""
    risk: Risk = Risk.NONE


def fit_prompt(
    settings: Settings, turns: Sequence[Turn], question: QuestionPrompt, budget: int, count: Callable[[Prompt], int]
) -> Prompt:
    """The prompt with as many of the turns as `window` keeps of those that fit into `budget` tokens. System prompt and
    question stay whole.

    `count` returns the tokens of a prompt; it is called a few times, since it blocks the event loop. Raises Refused
    where system prompt and question alone are too long.
    """
    prompt = build_prompt(settings, (), question)
    if len(question.text.encode()) > budget * MAX_BYTES_PER_TOKEN or count(prompt) > budget:
        raise Refused("refused.too_long", budget=budget, words=budget * 2 // 3)
    fitting = 0
    tried = most = len(turns)  # usually all fit; if not, bisection
    while fitting < most:
        longer = build_prompt(settings, turns[len(turns) - tried :], question)
        if count(longer) <= budget:
            fitting, prompt = tried, longer
        else:
            most = tried - 1
        tried = (fitting + most + 1) // 2
    if fitting == len(turns) <= settings.memory:
        return prompt  # no turn can be one too many
    return build_prompt(settings, window(turns, settings.memory, fitting), question)


def build_prompt(settings: Settings, turns: Sequence[Turn], question: QuestionPrompt) -> Prompt:
    """The system prompt, the turns (oldest first), the question, and the prefix of its answer if it has one.

    In groups each question carries its author's name.
    """
    instructions = [settings.system, _LANGUAGE_INSTRUCTIONS[settings.reply_language]]
    if question.risk is not Risk.NONE:
        instructions.append(_SUPPORT_INSTRUCTION if question.risk is Risk.ASKER else _HELPER_INSTRUCTION)
    system = Message("system", "\n".join(instructions))
    said: list[tuple[str, str, str | None]] = [(turn.author, turn.question, turn.answer) for turn in turns]
    said.append((question.author, question.text, question.prefix or None))
    messages = [system]
    for author, asked, answered in said:
        messages.append(Message("user", f"{speaker_label(author)}: {asked}" if author else asked))
        if answered is not None:
            messages.append(Message("assistant", answered))
    return tuple(messages)


def speaker_label(name: str) -> str:
    """A person's name as it stands before their words: one line of at most 64 characters, without what could pass for
    markup or another speaker."""
    return _NOT_IN_A_NAME.sub(" ", name).strip()[:_MAX_NAME_CHARACTERS] or ANONYMOUS_NAME
