"""A sequence: the token ids of one answer, its prompt first, and how far it has come. Knows no torch."""

from dataclasses import dataclass, field

from core.domain.sampling import Sampling


@dataclass(slots=True, eq=False)
class Sequence:
    """`ids` are the prompt and what was drawn since; of these `computed` have their keys and values in `blocks`."""

    id: int
    owner: str
    ids: list[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_length: int = 0
    """How long `ids` may become."""
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    registered: int = 0
    """So many of the blocks, from the first on, can be found by their content."""
    cacheable: bool = True
    """Whether what it computes may be kept for others."""
    admission_reported: bool = False
    """Whether it is known how much of its prompt was reused."""

    @property
    def uncomputed(self) -> int:
        """Ids that are still to be computed; the last one's logits give the next."""
        return len(self.ids) - self.computed


@dataclass(slots=True, frozen=True)
class SequenceSlice:
    """What one step computes of a sequence: `count` ids from `start` on."""

    sequence: Sequence
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count

    @property
    def samples_token(self) -> bool:
        """Whether it reaches the last id, so that a token is drawn. (What is only read ahead has no limit.)"""
        return self.end == len(self.sequence.ids) and self.sequence.max_length > 0
