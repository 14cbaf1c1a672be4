"""What of the model's text is the answer. Pure stages over a stream of pieces: thoughts are dropped, an echoed name and
false turns are cut, a loop ends it. A stage holds back only what could still turn into something it must not show."""

from collections.abc import Sequence

from core.answering.prompt import label
from core.domain.conversation import storable

_OPEN, _CLOSE, _FENCE = "<think>", "</think>", "```"
_SPEAKERS = ("User", "Human", "Assistant", "Người dùng")
_CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_LONGEST_STRETCH = 400
_SPAN, _SPAN_IN_CODE = 120, 400
"""Characters that a loop of short stretches must cover: refrains, tables and rows of zeros in code are no loops."""


def held(text: str, markers: Sequence[str]) -> int:
    """How many characters at the end of `text` could be the beginning of a marker."""
    longest = max(map(len, markers))
    for size in range(min(len(text), longest - 1), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            return size
    return 0


class Thinking:
    """Drops `<think>...</think>`, also where the closing tag never comes."""

    def __init__(self) -> None:
        self._buffer = ""
        self._inside = False

    def feed(self, piece: str) -> str:
        """What of the piece is no thought."""
        self._buffer += piece
        out = ""
        while True:
            marker = _CLOSE if self._inside else _OPEN
            before, found, rest = self._buffer.partition(marker)
            if found:
                out += "" if self._inside else before
                self._buffer, self._inside = rest, not self._inside
                continue
            keep = held(self._buffer, (marker,))
            out += "" if self._inside else self._buffer[: len(self._buffer) - keep]
            self._buffer = self._buffer[len(self._buffer) - keep :]
            return out

    def finish(self) -> str:
        """What was held at the end, where it was no thought."""
        return "" if self._inside else self._buffer


class EchoedName:
    """Cuts white space and an echoed "Name:" from the start of an answer."""

    def __init__(self, names: Sequence[str], *, begun: bool = False) -> None:
        self._markers = [f"{name}:" for name in names]
        self._buffer = ""
        self._decided = begun

    def feed(self, piece: str) -> str:
        """The text, once its start is decided."""
        if self._decided:
            return piece
        self._buffer = (self._buffer + piece).lstrip()
        self._cut()
        return "" if self._undecided() else self.finish()

    def finish(self) -> str:
        """What was held at the end."""
        text, self._buffer, self._decided = self._buffer, "", True
        return text

    def _cut(self) -> None:
        for marker in self._markers:
            if self._buffer[: len(marker)].casefold() == marker.casefold():
                self._buffer, self._markers = self._buffer[len(marker) :].lstrip(), []

    def _undecided(self) -> bool:
        size, start = len(self._buffer), self._buffer.casefold()
        return not size or any(size < len(marker) and marker[:size].casefold() == start for marker in self._markers)


class FalseTurns:
    """Ends the answer where the model begins to speak for somebody else: at the start of a line, outside code."""

    def __init__(self, names: Sequence[str], *, begun: bool = False) -> None:
        self._markers = [f"{name}:".casefold() for name in (*_SPEAKERS, *names)]
        self._buffer = "" if begun else "\n"  # as if a line had ended before the answer
        self._started = begun
        self._fences = 0
        self.ended = False

    def feed(self, piece: str) -> str:
        """The text that is surely the answer's own."""
        out = ""
        self._buffer += "" if self.ended else piece
        while self._buffer and not self.ended and (size := self._sure()):
            out += self._release(size)
        return out

    def finish(self) -> str:
        """What was held at the end."""
        return "" if self.ended else self._release(len(self._buffer))

    def _sure(self) -> int:
        """How much of the buffer is the answer's own; 0 where more must be seen, or where it has ended."""
        line = self._buffer.find("\n")
        control = min((at for tag in _CONTROL if (at := self._buffer.find(tag)) >= 0), default=-1)
        if control >= 0 and (line < 0 or control < line):
            self.ended = control == 0
            return control
        if line != 0:
            return line if line > 0 else len(self._buffer) - held(self._buffer, (*_CONTROL, _FENCE))
        return self._line_break()

    def _line_break(self) -> int:
        """The buffer begins with a line break: does a speaker's name follow?"""
        start = self._buffer[1:].replace("*", "").lstrip(" ").casefold()
        if self._fences % 2 == 0:
            if start.startswith(tuple(self._markers)):
                self.ended = True
                return 0
            if any(marker.startswith(start) for marker in self._markers):
                return 0
        return 1

    def _release(self, size: int) -> str:
        out, self._buffer = self._buffer[:size], self._buffer[size:]
        self._fences += out.count(_FENCE)
        if not self._started:
            self._started, out = True, out.removeprefix("\n")
        return out


def loop(text: str) -> int:
    """How many characters at the end only repeat the stretch before them; 0 where the text is no loop.

    A loop is the same stretch three times over, and more often where the stretch is short.
    """
    span = _SPAN_IN_CODE if text.count(_FENCE) % 2 else _SPAN
    for size in range(1, min(_LONGEST_STRETCH, len(text) // 3) + 1):
        if text[-1] != text[-1 - size]:
            continue
        times = max(3, -(-span // size))
        if text.endswith(text[-size:] * times) and text[-size:].strip():
            return size * (times - 1)
    return 0


class Output:
    """All stages in their order. `ended` says that the rest of the stream is not wanted. `begun`: the stream goes on
    with an answer, so that its first characters are no start."""

    def __init__(self, names: Sequence[str] = (), *, begun: bool = False) -> None:
        spoken = tuple(map(label, names))
        self._thinking = Thinking()
        self._lead, self._turns = EchoedName(("Assistant", *spoken), begun=begun), FalseTurns(spoken, begun=begun)
        self._text = ""
        self.surplus = 0
        """Characters at the end that a loop has added."""

    @property
    def ended(self) -> bool:
        """Whether nothing that follows can be part of the answer."""
        return self._turns.ended or bool(self.surplus)

    def feed(self, piece: str) -> str:
        """The part of the answer that this piece sets free."""
        return self._watch(self._turns.feed(self._lead.feed(self._thinking.feed(storable(piece)))))

    def finish(self) -> str:
        """What was held at the end."""
        rest = self._turns.feed(self._lead.feed(self._thinking.finish()) + self._lead.finish())
        return self._watch(rest + self._turns.finish())

    def _watch(self, piece: str) -> str:
        self._text += piece
        self.surplus = self.surplus + len(piece) if self.surplus else loop(self._text)
        return piece
