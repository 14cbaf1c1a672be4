"""How much of the history fits into the model's context. Pure: the caller hands in how to count tokens."""

from collections.abc import Callable, Sequence

from core.answering.prompt import QuestionPrompt, build_prompt
from core.domain.conversation import Turn
from core.domain.errors import Refused
from core.domain.prompt import Prompt
from core.domain.settings import Settings

MAX_BYTES_PER_TOKEN = 8
"""Natural text has 2 to 6. A question with more is refused before it is tokenised, which takes time."""


def fit_prompt(
    settings: Settings, turns: Sequence[Turn], question: QuestionPrompt, budget: int, count: Callable[[Prompt], int]
) -> Prompt:
    """The prompt with as many of the last turns as fit into `budget` tokens. System prompt and question stay whole.

    `count` returns the tokens of a prompt; it is called a few times, since it blocks the event loop. Raises Refused
    where system prompt and question alone are too long.
    """

    def with_last(kept: int) -> Prompt:
        return build_prompt(settings, turns[len(turns) - kept :], question)

    if len(question.text.encode()) > budget * MAX_BYTES_PER_TOKEN or count(with_last(0)) > budget:
        raise Refused("refused.too_long", budget=budget, words=budget * 2 // 3)
    return with_last(_largest(len(turns), lambda kept: count(with_last(kept)) <= budget))


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, by bisection. 0 is known to fit; `limit` is tried first."""
    if fits(limit):
        return limit
    low, high = 0, limit - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
