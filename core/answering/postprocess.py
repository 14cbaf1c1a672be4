"""What of the model's text is the answer. Pure stages over a stream of pieces: thinking is dropped, an echoed name and
false turns are cut, a loop ends the answer. Each stage holds back only what may still become something to drop."""

import re
from collections.abc import Sequence

from core.answering.prompt import speaker_label
from core.domain.conversation import storable

_THINK_START, _THINK_END, _CODE_FENCE = "<think>", "</think>", "```"
_ROLE_NAMES = ("User", "Human", "Assistant", "Người dùng")
_CONTROL_TAGS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_MAX_LOOP_UNIT = 400
"""Characters of the longest stretch whose repetition is looked for."""
_MIN_LOOP_LENGTH, _MIN_LOOP_LENGTH_IN_CODE = 120, 400
"""Characters that a loop of short stretches must cover: refrains, tables and rows of zeros in code are no loops."""
_MIN_REPEATED = 80
"""Characters at the end of any loop that stand one stretch before it too: two stretches of at least 40 characters, or
_MIN_LOOP_LENGTH without one shorter stretch."""
_LOOP_CHARACTERS = 3 * _MAX_LOOP_UNIT
"""No loop that is looked for covers more."""
_MAY_END = re.compile(r"[\n<`]")
"""Where an answer may end, code may begin, or a line."""


def partial_marker_length(text: str, markers: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a marker."""
    longest = max(map(len, markers))
    for size in range(min(len(text), longest - 1), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            return size
    return 0


class ThinkingBlocks:
    """Drops `<think>...</think>`, also where the closing tag never comes."""

    def __init__(self) -> None:
        self._buffer = ""
        self._inside = False

    def feed(self, piece: str) -> str:
        """Take the next piece; returns the text outside thinking blocks that is decided by now."""
        self._buffer += piece
        if not self._inside and "<" not in self._buffer:
            out, self._buffer = self._buffer, ""
            return out
        out = ""
        while True:
            marker = _THINK_END if self._inside else _THINK_START
            before, found, rest = self._buffer.partition(marker)
            if found:
                out += "" if self._inside else before
                self._buffer, self._inside = rest, not self._inside
                continue
            keep = partial_marker_length(self._buffer, (marker,))
            out += "" if self._inside else self._buffer[: len(self._buffer) - keep]
            self._buffer = self._buffer[len(self._buffer) - keep :]
            return out

    def finish(self) -> str:
        """The text that was held back, unless it belongs to a thinking block."""
        return "" if self._inside else self._buffer


class EchoedName:
    """Cuts white space and an echoed "Name:" from the start of an answer. `has_prefix`: the stream continues an answer,
    so it has no start to cut."""

    def __init__(self, names: Sequence[str], *, has_prefix: bool = False) -> None:
        self._markers = [f"{name}:" for name in names]
        self._buffer = ""
        self._decided = has_prefix

    def feed(self, piece: str) -> str:
        """Take the next piece; returns "" until it is decided how the answer starts."""
        if self._decided:
            return piece
        self._buffer = (self._buffer + piece).lstrip()
        self._cut()
        return "" if self._undecided() else self.finish()

    def finish(self) -> str:
        """The text that was held back."""
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
    """Ends the answer where the model begins to speak for another person: at the start of a line, outside code. A
    control tag ends it anywhere. `has_prefix`: the stream continues an answer."""

    def __init__(self, names: Sequence[str], *, has_prefix: bool = False) -> None:
        self._markers = tuple(f"{name}:".casefold() for name in (*_ROLE_NAMES, *names))
        self._buffer = "" if has_prefix else "\n"  # the start of the answer is the start of a line
        self._started = has_prefix
        self._fences = 0
        self.ended = False

    def feed(self, piece: str) -> str:
        """Take the next piece; returns the text that surely belongs to the answer."""
        out = ""
        self._buffer += "" if self.ended else piece
        if self._started and not _MAY_END.search(self._buffer):
            return self._release(len(self._buffer))
        while self._buffer and not self.ended:
            self.ended = self._begins_with_end()
            size = 0 if self.ended else self._decided_size()
            if not size:
                break
            out += self._release(size)
        return out

    def finish(self) -> str:
        """The text that was held back, unless the answer has ended before it."""
        return "" if self.ended else self._release(len(self._buffer))

    def _begins_with_end(self) -> bool:
        """Whether the buffer begins with a control tag, or with a line of another speaker."""
        if self._buffer.startswith(_CONTROL_TAGS):
            return True
        return self._begins_with_line() and self._next_line().startswith(self._markers)

    def _decided_size(self) -> int:
        """How many characters the answer surely has at the beginning of the buffer; 0 where more text must come
        first."""
        stops = [at for mark in ("\n", *_CONTROL_TAGS) if (at := self._buffer.find(mark)) >= 0]
        if not stops:
            return len(self._buffer) - partial_marker_length(self._buffer, (*_CONTROL_TAGS, _CODE_FENCE))
        if min(stops) > 0:
            return min(stops)
        line = self._next_line()
        may_name_speaker = self._begins_with_line() and any(marker.startswith(line) for marker in self._markers)
        return 0 if may_name_speaker else 1

    def _begins_with_line(self) -> bool:
        """Whether the buffer begins with a line break outside code."""
        return self._buffer.startswith("\n") and self._fences % 2 == 0

    def _next_line(self) -> str:
        """The buffer after its line break, without the markup in which a name may stand."""
        return self._buffer[1:].replace("*", "").lstrip(" ").casefold()

    def _release(self, size: int) -> str:
        out, self._buffer = self._buffer[:size], self._buffer[size:]
        self._fences += out.count(_CODE_FENCE)
        if not self._started:
            self._started, out = True, out.removeprefix("\n")
        return out


def loop_length(text: str, *, in_code: bool) -> int:
    """How many characters at the end only repeat the stretch before them; 0 where the text is no loop.

    A loop is the same stretch at least three times over, more often where the stretch is short or the text is code.
    The last _LOOP_CHARACTERS of a text are enough.
    """
    min_length = _MIN_LOOP_LENGTH_IN_CODE if in_code else _MIN_LOOP_LENGTH
    end, repeated = len(text), text[-_MIN_REPEATED:]
    if end < min_length:
        return 0
    first = end - min(_MAX_LOOP_UNIT, end // 3) - len(repeated)
    at = text.rfind(repeated, max(first, 0), end - 1)
    while at >= 0:  # from the shortest stretch on
        size = end - len(repeated) - at
        times = max(3, -(-min_length // size))
        if text.endswith(text[-size:] * times) and text[-size:].strip():
            return size * (times - 1)
        at = text.rfind(repeated, max(first, 0), at + len(repeated) - 1)
    return 0


class PostProcessor:
    """All stages in their order. `names` are those of the people in the conversation; `has_prefix`: the stream
    continues an answer."""

    def __init__(self, names: Sequence[str] = (), *, has_prefix: bool = False) -> None:
        labels = tuple(map(speaker_label, names))
        self._thinking = ThinkingBlocks()
        self._echoed_name = EchoedName(("Assistant", *labels), has_prefix=has_prefix)
        self._false_turns = FalseTurns(labels, has_prefix=has_prefix)
        self._tail = ""
        """The end of the released text."""
        self._fences, self._backticks = 0, 0
        """Code fences in the released text, and backticks at its end that may become one."""
        self.loop_length = 0
        """Characters at the end of the released text that only repeat what stands before them."""

    @property
    def ended(self) -> bool:
        """Whether nothing that follows can be part of the answer."""
        return self._false_turns.ended or bool(self.loop_length)

    def feed(self, piece: str) -> str:
        """Take the next piece of the model's text; returns the part of the answer that is decided by now."""
        text = self._echoed_name.feed(self._thinking.feed(storable(piece)))
        return self._note_loop(self._false_turns.feed(text))

    def finish(self) -> str:
        """The rest of the answer, at the end of the model's text."""
        text = self._echoed_name.feed(self._thinking.finish()) + self._echoed_name.finish()
        return self._note_loop(self._false_turns.feed(text) + self._false_turns.finish())

    def _note_loop(self, piece: str) -> str:
        if not piece:
            return ""
        self._tail = (self._tail + piece)[-_LOOP_CHARACTERS:]
        if "`" in piece or self._backticks:
            ticks = "`" * self._backticks + piece
            self._fences += ticks.count(_CODE_FENCE)
            self._backticks = (len(ticks) - len(ticks.rstrip("`"))) % len(_CODE_FENCE)
        if self.loop_length:
            self.loop_length += len(piece)
        else:
            self.loop_length = loop_length(self._tail, in_code=self._fences % 2 == 1)
        return piece
