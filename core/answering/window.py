"""Which of a conversation's turns a prompt holds. Its first turn stays the same for a few questions and then moves on
by several at once: what the engine keeps of a prompt serves the next one only if both begin alike. Pure."""

from collections.abc import Sequence

from core.domain.conversation import Turn

WINDOW_STEP = 3
"""The first turn's index is a multiple of this, so a prompt holds up to two turns more than asked for."""


def max_turns(memory: int) -> int:
    """How many turns a prompt holds at most if it is to hold at least `memory`. 0 stays 0."""
    return memory + WINDOW_STEP - 1 if memory else 0


def window(turns: Sequence[Turn], memory: int, fitting: int) -> Sequence[Turn]:
    """The turns for a prompt: the last `memory` and up to two before them, or fewer where no more fit.

    `turns`: the conversation's last max_turns(memory), or all if there are fewer; oldest first. `fitting`: how many of
    the last ones fit into the model's context. Of `memory` turns that fit all are kept, of fewer more than half.
    Depends on nothing but the arguments, so an answer that is given again has the same turns.
    """
    wanted, most = min(memory, len(turns)), min(fitting, max_turns(memory))
    least = wanted if most >= wanted else most // 2 + 1
    step = min(WINDOW_STEP, most - least + 1)
    longest, shortest = turns[len(turns) - most :], turns[len(turns) - least :]
    for skipped in range(len(longest) - len(shortest) + 1):
        if skipped < len(longest) and longest[skipped].index % step == 0:
            return longest[skipped:]
    return longest  # the filter has taken out the turn that would be the first
