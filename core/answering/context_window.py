"""What of the history fits into the model's context. Pure: the counting is handed in."""

from collections.abc import Callable, Sequence

from core.answering.prompt import Asked, build
from core.domain.conversation import Turn
from core.domain.errors import Refused
from core.domain.prompt import Prompt
from core.domain.settings import Settings

BYTES_A_TOKEN = 8
"""A text with more bytes for every token of the budget is not worth tokenising: natural text has 2 to 6."""


def fit(
    settings: Settings, turns: Sequence[Turn], question: Asked, budget: int, count: Callable[[Prompt], int]
) -> Prompt:
    """The prompt with as many of the last turns as `budget` tokens hold; the system prompt and the question stay whole.

    Raises Refused where these two alone are too long: by their bytes before anything is tokenised, else by tokens.
    `count` is called a few times at most: it tokenises, on the event loop.
    """

    def keeping(last: int) -> Prompt:
        return build(settings, turns[len(turns) - last :], question)

    if len(question.text.encode()) > budget * BYTES_A_TOKEN or count(keeping(0)) > budget:
        raise Refused("refused.too_long", budget=budget, words=budget * 2 // 3)
    return keeping(_most(len(turns), lambda last: count(keeping(last)) <= budget))


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, where 0 does and more is longer; the limit is tried first."""
    if fits(limit):
        return limit
    low, high = 0, limit - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
