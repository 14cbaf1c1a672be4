"""What crosses the pipe between the bot's process and the engine's. Knows neither end: orders go in, news come back."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from core.domain.sampling import Sampling

FinishReason = Literal["stop", "length", "cancelled"]
"""Why a sequence ended: a stop token, max_tokens or a full context, or a Cancel."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Generate from these ids. `owner` is whom the sequence belongs to: the key of what is kept for its next one."""

    id: int
    ids: tuple[int, ...]
    sampling: Sampling
    owner: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget this sequence, whether it waits, runs or has ended."""

    id: int


@dataclass(frozen=True, slots=True)
class WarmPrefix:
    """When there is nothing else to do, read these ids: the owner's next prompt is likely to begin with them."""

    ids: tuple[int, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class DropOwner:
    """Forget what is kept for this owner alone."""

    owner: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the worker, whatever it is doing."""


Request = Generate | Cancel | WarmPrefix | DropOwner | Shutdown


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step of the start, in words for the owner."""

    step: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; `context` is how many tokens it can hold, prompt and answer together."""

    device: str
    weights: str
    """In what form they are held, and what computes with them."""
    context: int
    load_seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model can't be loaded: one line for the owner. The worker ends."""

    message: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The sequence is being worked on: of its prompt's tokens so many were known from before and need no reading."""

    id: int
    prompt_ids: int
    reused_ids: int


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """A part of this sequence's prompt has been read and there is more: a sign of life."""

    id: int


@dataclass(frozen=True, slots=True)
class NewTokens:
    """What one step has drawn: pairs of a sequence's id and its next token."""

    tokens: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The sequence has ended and everything it held is free."""

    id: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Failed:
    """The sequence ended by a bug or for want of memory; the worker lives on."""

    id: int
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast the engine was in the last seconds of work, and what it had for that.

    `read`: ids of prompts a second; `drawn`: tokens a second of one chat; 0 where there were none. `share` and
    `others`: the cores that the engine and all other programs used, of `cores`.
    """

    prefill_rate: float
    decode_rate: float
    own_cores: float
    other_cores: float
    available_cores: int

    @property
    def starved(self) -> bool:
        """Whether others take so much that it is felt: a quarter of the cores."""
        return self.other_cores > self.available_cores / 4

    @property
    def bottleneck(self) -> str:
        """What the engine gets of the processor, and whether others take it, in a few words."""
        used = f"the engine gets {self.own_cores:.1f} of {self.available_cores} cores"
        return f"{used}, other programs {self.other_cores:.1f}" if self.other_cores >= 0.1 else used


Event = LoadProgress | Ready | LoadFailed | Admitted | PrefillProgress | NewTokens | Finished | Failed | Throughput

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)


class Channel(Protocol[Out_contra, In_co]):
    """One end of the pipe; multiprocessing's Connection is one. A lost other end is an EOFError or an OSError."""

    def send(self, message: Out_contra, /) -> None:
        """Hand a message to the other end."""

    def poll(self, timeout: float | None, /) -> bool:
        """Whether there is something to receive, waiting that long for it; None waits for as long as it takes."""

    def recv(self) -> In_co:
        """Wait for the next message."""

    def close(self) -> None:
        """Free this end."""
