"""A model that repeats itself without end. Pure."""

import re
from dataclasses import dataclass

from core.answering.line_state import LineState

_STEP = 64
"""Characters between two looks. They lie at fixed places of the text, so that it does not matter how it is cut."""
_MAX_UNIT = 800
"""Characters of the longest stretch whose repetition is looked for: about 200 tokens, a long paragraph."""
_MIN_COPIES = 5
_MIN_TOKENS, _MIN_TOKENS_OF_LINES, _MIN_TOKENS_OF_SIGNS = 300, 450, 2000
"""What a loop repeats at least: words within a line, whole lines, and code, tables, numbers and signs.

People wish for lines ("fifty times"), refrains, empty tables, boards of games and rows of zeros; nobody reads 25 times
the same sentence in one paragraph. An answer has at most 1,024 tokens today, so that the last bound is for larger
limits: there a fence that never ends must end some time before the limit does.
"""
_TOKEN = re.compile(r"[^\W_]{1,6}|([^\w\s]|_)\1{0,7}")
"""Stands for a token: a few letters, or a run of one sign, as tokenizers have them. Pieces of a stream are no tokens:
several may come at once."""
_WORD = re.compile(r"[^\W\d_]{2}")
_SENTENCE_END, _WORD_END = re.compile(r"[.!?…。！？\n]"), re.compile(r"\s")


@dataclass(slots=True)
class Loops:
    """Looks for a loop in a growing text, and ends it behind a sentence, a line or a word. Keeps all before that."""

    unit: int = 0
    """Characters of the stretch that is being repeated; 0 where none is."""
    ended: bool = False
    """Whether the text ends here, because it is a loop."""
    _tail: str = ""
    _unseen: int = 0
    """Characters at the end of the tail since the last look."""
    _repeated: int = 0
    """Characters up to the last look that stand one stretch before, too."""
    _density: float = 0
    """Tokens a character of what is repeated."""
    _stop: re.Pattern[str] | None = None
    """Where a loop may end, once there is one."""
    _left: int = 0
    """Characters within which it ends at any rate."""

    def feed(self, text: str, lines: LineState) -> int:
        """Take the next part of the text, which stands where `lines` says; returns how many characters are kept."""
        if self._stop is not None:
            return self._end(text, self._stop)
        self._tail += text
        self._unseen += len(text)
        return len(text) if self._unseen < _STEP else self._look(text, in_code=lines.on_line_of_code)

    def _look(self, text: str, *, in_code: bool) -> int:
        """Look at every place that is due."""
        end, kept = len(self._tail) - self._unseen, len(text)
        while self._unseen >= _STEP:
            end, self._unseen = end + _STEP, self._unseen - _STEP
            if self._is_loop(end, in_code=in_code):
                unit = self._tail[end - self.unit : end]
                self._stop, self._left = _SENTENCE_END if _SENTENCE_END.search(unit) else _WORD_END, self.unit
                rest = len(self._tail) - end
                kept = len(text) - rest + self._end(text[len(text) - rest :], self._stop)
                break
        self._tail = self._tail[-(_MAX_UNIT + _STEP + self._unseen) :]
        return kept

    def _is_loop(self, end: int, *, in_code: bool) -> bool:
        """Whether the text up to `end`, which is _STEP characters behind the last look, is a loop."""
        tail, start = self._tail, end - _STEP
        if self.unit and tail[start:end] == tail[start - self.unit : end - self.unit]:
            self._repeated += _STEP
        else:
            at = tail.rfind(tail[max(start, 0) : end], max(start - _MAX_UNIT, 0), end - 1)
            self.unit, self._repeated = (start - at, _STEP) if at >= 0 else (0, 0)
            sample = tail[end - max(self.unit, _STEP) : end]
            self._density = sum(1 for _ in _TOKEN.finditer(sample)) / len(sample)
        if not self.unit or self._repeated < (_MIN_COPIES - 1) * self.unit:
            return False
        return self._repeated * self._density >= self._bound(tail[end - self.unit : end], in_code=in_code)

    def _bound(self, unit: str, *, in_code: bool) -> int:
        if (in_code and "```" not in unit) or "|" in unit or not _WORD.search(unit + unit):
            return _MIN_TOKENS_OF_SIGNS
        return _MIN_TOKENS_OF_LINES if "\n" in unit else _MIN_TOKENS

    def _end(self, text: str, stop: re.Pattern[str]) -> int:
        found = stop.search(text)
        end = min(found.end(), self._left) if found else self._left
        if end <= len(text):
            self.ended = True
            return end
        self._left -= len(text)
        return len(text)

    def without_copies(self, text: str) -> str:
        """A text that ends in this loop, if there is one, with its first stretch alone, up to the end of a sentence."""
        if not self.ended or self._stop is None:
            return text
        end = len(text)
        while end > self.unit and text[end - 1] == text[end - 1 - self.unit]:
            end -= 1
        kept = text[:end].rstrip(" ")
        if self._stop.match(kept[-1:]) or self._stop.match(text, end - 1):
            return kept
        found = self._stop.search(text, end)
        return text[: found.end()] if found else kept
