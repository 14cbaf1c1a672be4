"""What of the model's text is the answer. Pure stages over a stream of pieces: thinking is dropped, an echoed name and
false turns are cut, a loop ends the answer. Each stage holds back only what may still become something to drop."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
_FENCES = re.compile(r"`{3,}")
_MAY_END = re.compile(r"[\n<`]")
"""Where an answer may end, code may begin, or a line: most pieces have none of these."""
_LINE_OR_TAG = re.compile("|".join(map(re.escape, ("\n", *_CONTROL_TAGS))))


def partial_marker_length(text: str, markers: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a marker."""
    longest = max(map(len, markers))
    for size in range(min(len(text), longest - 1), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            return size
    return 0


@dataclass(slots=True)
class ThinkingBlocks:
    """Drops `<think>...</think>`, also where the closing tag never comes."""

    buffer: str = ""
    inside: bool = False

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns the text outside thinking blocks that is decided by now."""
        self.buffer += piece
        if not self.inside and "<" not in self.buffer:
            out, self.buffer = self.buffer, ""
            return out
        out = ""
        while (marker := _THINK_END if self.inside else _THINK_START) in self.buffer:
            before, _, self.buffer = self.buffer.partition(marker)
            out += "" if self.inside else before
            self.inside = not self.inside
        end = len(self.buffer) - (0 if final else partial_marker_length(self.buffer, (marker,)))
        out += "" if self.inside else self.buffer[:end]
        self.buffer = self.buffer[end:]
        return out


@dataclass(slots=True)
class EchoedName:
    """Cuts white space and an echoed "Name:" from the start of an answer."""

    markers: Sequence[str]
    decided: bool
    """Whether the start is behind; also where the stream continues an answer, so that it has no start to cut."""
    buffer: str = ""

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns "" until it is decided how the answer starts."""
        if self.decided:
            return piece
        self.buffer = (self.buffer + piece).lstrip()
        for marker in self.markers:
            if self.buffer[: len(marker)].casefold() == marker.casefold():
                self.buffer, self.markers = self.buffer[len(marker) :].lstrip(), ()
        size, start = len(self.buffer), self.buffer.casefold()
        may_be_name = any(size < len(marker) and marker[:size].casefold() == start for marker in self.markers)
        if (may_be_name or not size) and not final:
            return ""
        self.decided = True
        return self.buffer


@dataclass(slots=True)
class FalseTurns:
    """Ends the answer where the model begins to speak for another person: at the start of a line, outside code. A
    control tag ends it anywhere."""

    markers: tuple[str, ...]
    """With which a line of another speaker begins, casefolded."""
    started: bool
    """Whether text has been released; also where the stream continues an answer."""
    buffer: str
    """Begins with a line break where nothing has been released, because the start of the answer is that of a line."""
    fences: int = 0
    ended: bool = False

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns the text that surely belongs to the answer."""
        self.buffer += piece
        out = ""
        while self.buffer and not self.ended:
            size = self._decided_size() if _MAY_END.search(self.buffer) else len(self.buffer)
            if not size:
                break
            chunk, self.buffer = self.buffer[:size], self.buffer[size:]
            self.fences += len(_FENCES.findall(chunk))
            out += chunk
        if final and not self.ended:
            out, self.buffer = out + self.buffer, ""
        if out and not self.started:
            self.started, out = True, out.removeprefix("\n")
        return out

    def _decided_size(self) -> int:
        """How many characters the answer surely has at the beginning of the buffer: 0 where it ends there, or where
        more text must come first."""
        found = _LINE_OR_TAG.search(self.buffer)
        if found is None:
            ticks = len(self.buffer) - len(self.buffer.rstrip("`"))  # more may follow, and they are one fence
            return len(self.buffer) - max(ticks, partial_marker_length(self.buffer, _CONTROL_TAGS))
        if found.start():
            return found.start()
        if found[0] != "\n":
            self.ended = True
            return 0
        if self.fences % 2:
            return 1
        line = self.buffer[1:].replace("*", "").lstrip(" ").casefold()  # a name may stand in markup
        self.ended = line.startswith(self.markers)
        return 0 if self.ended or any(marker.startswith(line) for marker in self.markers) else 1


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
        self._echoed_name = EchoedName([f"{name}:" for name in ("Assistant", *labels)], decided=has_prefix)
        markers = tuple(f"{name}:".casefold() for name in (*_ROLE_NAMES, *labels))
        self._false_turns = FalseTurns(markers, started=has_prefix, buffer="" if has_prefix else "\n")
        self._tail = ""
        """The end of the released text."""
        self._fences, self._backticks = 0, 0
        """Code fences in the released text, and backticks at its end that may become one."""
        self.loop_length = 0
        """Characters at the end of the released text that only repeat what stands before them."""
        self.ended = False
        """Whether nothing that follows can be part of the answer."""

    def feed(self, piece: str, *, final: bool = False) -> str:
        """Take the next piece of the model's text; returns the part of the answer that is decided by now. `final`:
        nothing follows, so all of it is decided."""
        text = self._thinking.feed(storable(piece), final=final)
        text = self._echoed_name.feed(text, final=final)
        text = self._false_turns.feed(text, final=final)
        if text:
            self._tail = (self._tail + text)[-_LOOP_CHARACTERS:]
            if "`" in text or self._backticks:
                ticks = "`" * self._backticks + text
                self._fences += ticks.count(_CODE_FENCE)
                self._backticks = (len(ticks) - len(ticks.rstrip("`"))) % len(_CODE_FENCE)
            if self.loop_length:
                self.loop_length += len(text)
            else:
                self.loop_length = loop_length(self._tail, in_code=self._fences % 2 == 1)
        self.ended = self._false_turns.ended or bool(self.loop_length)
        return text

    def finish(self) -> str:
        """The rest of the answer, at the end of the model's text."""
        return self.feed("", final=True)
