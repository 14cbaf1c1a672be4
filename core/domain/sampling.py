"""How the next token is chosen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """What one sequence is generated with.

    `temperature` 0 is greedy. `top_p` 1, `top_k` 0 and `repetition_penalty` 1 switch these off.
    `max_tokens` counts generated tokens. A token in `stop_ids` ends the answer and is not part of it.
    `seed` makes a run repeatable; None draws one. `choices` are the only tokens that may be chosen; empty: all may.
    """

    temperature: float = 0.7
    max_tokens: int = 512
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop_ids: tuple[int, ...] = ()
    choices: tuple[int, ...] = ()
