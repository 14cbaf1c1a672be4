"""Filtering an answer while it streams: releases only text that is judged, and that nothing after it can make
blocked."""

import re
from collections.abc import Callable

from core.domain.filter_policy import STANDARD, Policy
from core.filters.deobfuscate import WINDOW_CHARACTERS
from core.filters.matcher import Hit
from core.filters.verdict import Examined, FilterAction, Verdict, action_for, examine, judge, policy_lexicons

MASK = "•••"
_WORD, _SPACE = re.compile(r"\w+"), re.compile(r"\s")


def mask_word(text: str) -> str:
    """The first letter and MASK, which no platform reads as markup."""
    return f"{text[:1]}{MASK}"


def _mask_fully(text: str) -> str:
    return MASK


class StreamGuard:
    """Holds back what may still become a hit, WINDOW_CHARACTERS at most.

    Profanity is released masked. At anything worse the guard becomes `blocked` and releases nothing more.
    """

    def __init__(self, policy: Policy = STANDARD) -> None:
        self._policy, self._lexicons = policy, policy_lexicons(policy)
        self._examined: Examined | None = None
        self._context, self._pending = "", ""
        """The end of the text that is decided, and the text after it that is not."""
        self._released_context = ""
        """The end of the released text, masks included."""
        self.blocked = False
        self.masked = False
        """Whether anything was masked."""
        self.verdict = Verdict()
        """What was found last."""

    def feed(self, piece: str) -> str:
        """Take the next piece of the answer; returns the text that is decided by now, "" once the guard is blocked."""
        if self.blocked:
            return ""
        self._pending += piece
        if len(self._pending) < WINDOW_CHARACTERS and not _SPACE.search(piece):
            return ""  # the last word goes on: nothing new is decided
        return self._release(final=False)

    def finish(self) -> str:
        """Release what is left at the end of the answer; "" once the guard is blocked."""
        return "" if self.blocked else self._release(final=True)

    def _release(self, *, final: bool) -> str:
        text, start = self._context + self._pending, len(self._context)
        examined = self._examine(text)
        end = len(text) if final else self._releasable_end(examined, start)
        if end <= start:
            return ""
        if self._released_context == self._context and _is_harmless(examined, end):
            released = text[start:end]
            self._context = self._released_context = _context_of(text[:end])
            self._pending = text[end:]
            return released
        hits = [hit for hit in examined.hits if hit.start < end and start < hit.end]
        end = max([end, *(hit.end for hit in hits)])
        released = self._recheck(self._apply(text[:end], start, hits))
        self._context, self._pending = _context_of(text[:end]), text[end:]
        self._released_context = _context_of(self._released_context + released)
        return released

    def _examine(self, text: str) -> Examined:
        """Examine a text; the same text again costs nothing."""
        if self._examined is None or self._examined.text != text:
            self._examined = examine(text, self._policy.level, self._lexicons)
        return self._examined

    def _releasable_end(self, examined: Examined, start: int) -> int:
        """The end of the text that may be released: nothing after it changes the hits in it, and it has no hit of its
        own that the whole text lacks, as the first word of an allowed phrase would be."""
        text, hits = examined.text, examined.hits
        end, known_hits = examined.undecided_from(), set(hits)
        end = min([end, *(hit.start for hit in hits if start <= hit.start < end < hit.end)])
        while end > start and not _is_harmless(examined, end):
            new = [hit.start for hit in self._examine(text[:end]).hits if hit not in known_hits]
            if not new or min(new) >= end:
                break
            end = min(new)
        return max(end, len(text) - WINDOW_CHARACTERS)

    def _apply(self, text: str, start: int, hits: list[Hit]) -> str:
        """The text from `start` up to the first hit that ends the answer, the other hits masked."""
        stop = next((hit for hit in hits if action_for(hit.entry) is FilterAction.STOP), None)
        if stop is not None:
            self.blocked, self.verdict = True, judge([stop])
            hits, text = [hit for hit in hits if hit.start < stop.start], text[: max(stop.start, start)]
        return self._mask(text, start, hits, mask_word)

    def _recheck(self, text: str) -> str:
        """Judge the text again together with what was released before it, and mask what is found.

        A mask, or the end of an answer, can leave a hit beside its neighbours. So can text that the window did not hold
        long enough.
        """
        for mask in (mask_word, _mask_fully, _mask_fully):
            whole, start = self._released_context + text, len(self._released_context)
            hits = [hit for hit in self._examine(whole).hits if action_for(hit.entry) is not FilterAction.SUPPORT]
            if not hits:
                return text
            if all(hit.end <= start for hit in hits):  # released text became a hit by the word after it: mask that word
                text, self.masked = _WORD.sub(MASK, text, count=1), True
            else:
                text = self._mask(whole, start, hits, mask)
        self.blocked = True
        return ""

    def _mask(self, text: str, start: int, hits: list[Hit], mask: Callable[[str], str]) -> str:
        """The text from `start` on, the hits in it masked, except those that ask for support."""
        out, at = "", start
        for hit in hits:
            if hit.end > at and action_for(hit.entry) is not FilterAction.SUPPORT and at < len(text):
                out += text[at : max(hit.start, at)] + mask(text[max(hit.start, at) : hit.end])
                at, self.masked = hit.end, True
                self.verdict = self.verdict if self.blocked else judge([hit])
        return out + text[at:]


def _context_of(text: str) -> str:
    """The end of a text that later words may have to be judged with: twice WINDOW_CHARACTERS, for a hit and what stands
    to its left, from the beginning of a word on."""
    tail = text[-2 * WINDOW_CHARACTERS :]
    if len(tail) == len(text):
        return tail
    cut = _SPACE.search(tail)
    return tail[cut.start() :] if cut else tail


def _is_harmless(examined: Examined, end: int) -> bool:
    """Whether the text up to `end` surely has no hit."""
    return examined.is_harmless and (end == len(examined.text) or examined.text[end - 1].isspace())
