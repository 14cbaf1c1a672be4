"""A sequence: the token ids of one answer, prompt first, and how many of them are computed. Imports no torch."""

from dataclasses import dataclass, field

from core.domain.sampling import Sampling
from core.engine.prompt_lookup import PromptLookup


@dataclass(slots=True, eq=False)
class Sequence:
    """The ids of a prompt and of the tokens sampled after it.

    The keys and values of the first `computed` ids are in `blocks`. `max_length` is the longest that `ids` may become;
    0 for a prefix that is only warmed. The first `registered` blocks can be found by other sequences.
    """

    id: int
    owner: str
    ids: list[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_length: int = 0
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    registered: int = 0
    cacheable: bool = True
    """Whether other sequences may share its blocks. False once its owner is dropped."""
    admission_reported: bool = False
    """Whether an Admitted event has been sent."""
    lookup: PromptLookup | None = None
    """Guesses its next tokens. None before the first guess."""

    @property
    def uncomputed(self) -> int:
        """Ids still to be computed. The logits of the last one give the next token."""
        return len(self.ids) - self.computed


@dataclass(slots=True, frozen=True)
class SequenceSlice:
    """The part of a sequence that one step computes: `count` ids from position `start`, then `guesses`.

    Guesses follow the sequence's last id only. A token is drawn after that and after each of them.
    """

    sequence: Sequence
    start: int
    count: int
    guesses: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """The position after the last id of the slice, guesses not counted."""
        return self.start + self.count

    @property
    def rows(self) -> int:
        """The number of ids that are computed, guesses among them."""
        return self.count + len(self.guesses)

    @property
    def ids(self) -> list[int]:
        """The ids that are computed, guesses among them."""
        return [*self.sequence.ids[self.start : self.end], *self.guesses]

    @property
    def samples_token(self) -> bool:
        """Whether the slice reaches the sequence's last id, so that a token is sampled after it. Before advance() only,
        as guesses that hold become ids."""
        return self.end == len(self.sequence.ids) and self.sequence.max_length > 0
