"""The messages between the bot's process and the engine's worker: requests go in, events come back."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from core.domain.sampling import Sampling

FinishReason = Literal["stop", "length", "cancelled"]
"""Why a sequence ended: a stop id, the token limit or a full context, or a Cancel."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue these ids.

    `owner` is the conversation. Its key/value blocks are kept for its next prompt until a DropOwner.
    """

    id: int
    ids: tuple[int, ...]
    sampling: Sampling
    owner: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a sequence. Without effect if it has ended already."""

    id: int


@dataclass(frozen=True, slots=True)
class WarmPrefix:
    """Compute the keys and values of these ids while nothing else runs: the owner's next prompt begins with them."""

    ids: tuple[int, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class DropOwner:
    """Release the blocks that only this owner uses."""

    owner: str


@dataclass(frozen=True, slots=True)
class ShutdownRequest:
    """End the worker, even if sequences are running."""


Request = Generate | Cancel | WarmPrefix | DropOwner | ShutdownRequest


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step of loading the model, in words for the owner of the bot."""

    step: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded.

    `weights`: how they are held and what computes with them, in words. `context`: ids of prompt and answer together.
    """

    device: str
    weights: str
    context: int
    load_seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model can't be loaded, and the worker ends. `message`: one line for the owner of the bot."""

    message: str


@dataclass(frozen=True, slots=True)
class SequenceAdmitted:
    """The first step of a sequence has begun. `reused_ids` of its `prompt_ids` were cached and need no prefill."""

    id: int
    prompt_ids: int
    reused_ids: int


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """A part of this sequence's prompt is computed. Tells the engine that the worker is alive."""

    id: int


@dataclass(frozen=True, slots=True)
class NewTokens:
    """The tokens of one step, as pairs of sequence id and token."""

    tokens: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A sequence has ended and its blocks are released."""

    id: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Failed:
    """A sequence ended with an exception. The worker goes on."""

    id: int
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Throughput:
    """Speed and processor use over the last seconds of work.

    `prefill_rate`: prompt ids per second. `decode_rate`: tokens per second of one sequence. Either is 0 where nothing
    was measured. `own_cores` and `other_cores`: cores used by the engine and by all other programs.
    """

    prefill_rate: float
    decode_rate: float
    own_cores: float
    other_cores: float
    available_cores: int

    @property
    def starved(self) -> bool:
        """Whether other programs use more than a quarter of the cores."""
        return self.other_cores > self.available_cores / 4

    @property
    def bottleneck(self) -> str:
        """The processor share of the engine and of other programs, in words."""
        used = f"the engine gets {self.own_cores:.1f} of {self.available_cores} cores"
        return f"{used}, other programs {self.other_cores:.1f}" if self.other_cores >= 0.1 else used


Event = (
    LoadProgress | Ready | LoadFailed | SequenceAdmitted | PrefillProgress | NewTokens | Finished | Failed | Throughput
)

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)


class Channel(Protocol[Out_contra, In_co]):
    """One end of the pipe, such as multiprocessing's Connection.

    Every method raises EOFError or OSError once the other end is closed.
    """

    def send(self, message: Out_contra, /) -> None:
        """Send a message to the other end."""

    def poll(self, timeout: float | None, /) -> bool:
        """Whether a message can be received within `timeout` seconds; None waits without a limit."""

    def recv(self) -> In_co:
        """Wait for the next message."""

    def close(self) -> None:
        """Close this end."""
