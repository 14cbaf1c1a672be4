"""What of the history fits into the model's context. Pure: the counting is handed in."""

from collections.abc import Callable, Sequence

from core.chat import Turn
from core.errors import Refused
from core.prompts import Asked, Prompt, build
from core.settings import Settings

BYTES_A_TOKEN = 16
"""A text with more bytes for every token of the budget is not worth tokenising: natural text has 2 to 5."""


def fit(
    settings: Settings, turns: Sequence[Turn], question: Asked, budget: int, count: Callable[[Prompt], int]
) -> Prompt:
    """The prompt with as many of the last turns as `budget` tokens hold; the system prompt and the question stay whole.

    Raises Refused where these two alone are too long: by their bytes before anything is tokenised, else by tokens.
    """
    if len(question.text.encode()) > budget * BYTES_A_TOKEN:
        raise Refused("refused.too_long", budget=budget, words=budget * 2 // 3)
    for skipped in range(len(turns) + 1):
        prompt = build(settings, turns[skipped:], question)
        if count(prompt) <= budget:
            return prompt
    raise Refused("refused.too_long", budget=budget, words=budget * 2 // 3)
