"""An answer on its way: only text that is judged is released, and nothing that follows makes it blocked."""

import re
from collections.abc import Callable

from core.domain.filter_policy import STANDARD, Policy
from core.filters.deobfuscate import REACH, odd
from core.filters.lookahead import undecided
from core.filters.matcher import Hit, read
from core.filters.normalize import fold
from core.filters.verdict import FilterAction, Verdict, action_on, found, known, verdict

MASK = "•••"
_WORD = re.compile(r"\w+")


def masked(text: str) -> str:
    """Its first letter, and no more. No sign that a platform reads as markup."""
    return f"{text[:1]}{MASK}"


def _nothing(text: str) -> str:
    return MASK


class StreamGuard:
    """Holds back what may still become a hit, at most REACH characters.

    Profanity comes out masked; after anything worse it is `blocked`, and releases nothing more.
    """

    def __init__(self, policy: Policy = STANDARD) -> None:
        self._policy = policy
        self._before, self._held = "", ""
        self._seen = ""
        """The end of what was shown, as it was shown."""
        self.blocked = False
        self.masked = False
        self.verdict = Verdict()
        """What was found last."""

    def feed(self, piece: str) -> str:
        """The text that this piece sets free."""
        if self.blocked:
            return ""
        self._held += piece
        if len(self._held) < REACH and not any(map(str.isspace, piece)):
            return ""  # the last word goes on: nothing new is decided
        return self._release(final=False)

    def finish(self) -> str:
        """What was still held, at the end."""
        return "" if self.blocked else self._release(final=True)

    def _release(self, *, final: bool) -> str:
        text, start = self._before + self._held, len(self._before)
        hits = found(text, self._policy)
        end = len(text) if final else self._end(text, start, hits)
        if end <= start:
            return ""
        hits = [hit for hit in hits if hit.start < end and start < hit.end]
        end = max([end, *(hit.end for hit in hits)])
        shown = self._clean(self._shown(text[:end], start, hits))
        self._before, self._held = _context(text[:end]), text[end:]
        self._seen = _context(self._seen + shown)
        return shown

    def _end(self, text: str, start: int, hits: list[Hit]) -> int:
        """Up to where text may be released: nothing that follows changes what is found there, and it stands alone too:
        the first word of a phrase that is allowed is not."""
        end, known_hits = self._decided(text), set(hits)
        end = min([end, *(hit.start for hit in hits if start <= hit.start < end < hit.end)])
        while end > start:
            early = [hit.start for hit in found(text[:end], self._policy) if hit not in known_hits]
            if not early or min(early) >= end:
                break
            end = min(early)
        return max(end, len(text) - REACH)

    def _decided(self, text: str) -> int:
        """Up to where nothing that follows changes what is found."""
        folded, layers = fold(text), known(self._policy)
        ends = [undecided(read(text, folded, words, strange=odd(folded)), words) for words in layers]
        return min(ends)

    def _shown(self, text: str, start: int, hits: list[Hit]) -> str:
        """What comes of the hits: up to the first that ends the answer, the others masked."""
        stop = next((hit for hit in hits if action_on(hit.entry) is FilterAction.STOP), None)
        if stop is not None:
            self.blocked, self.verdict = True, verdict([stop])
            hits, text = [hit for hit in hits if hit.start < stop.start], text[: max(stop.start, start)]
        return self._covered(text, start, hits, masked)

    def _clean(self, shown: str) -> str:
        """The last word on what is shown, together with what was shown before. What a mask or the end of an answer
        leaves may be something else beside its neighbours; what had to be let go too early may be incomplete."""
        for cover in (masked, _nothing, _nothing):
            text, start = self._seen + shown, len(self._seen)
            hits = [hit for hit in found(text, self._policy) if action_on(hit.entry) is not FilterAction.SUPPORT]
            if not hits:
                return shown
            if all(hit.end <= start for hit in hits):  # the next word made it so: there shall be none
                shown, self.masked = _WORD.sub(MASK, shown, count=1), True
            else:
                shown = self._covered(text, start, hits, cover)
        self.blocked = True
        return ""

    def _covered(self, text: str, start: int, hits: list[Hit], cover: Callable[[str], str]) -> str:
        out, at = "", start
        for hit in hits:
            if hit.end > at and action_on(hit.entry) is not FilterAction.SUPPORT and at < len(text):
                out += text[at : max(hit.start, at)] + cover(text[max(hit.start, at) : hit.end])
                at, self.masked = hit.end, True
                self.verdict = self.verdict if self.blocked else verdict([hit])
        return out + text[at:]


def _context(text: str) -> str:
    """What later words may have to be seen with, from the beginning of a word on: a hit of REACH characters, and as
    much to its left."""
    near = text[-2 * REACH :]
    if len(near) == len(text):
        return near
    cut = next((at for at, char in enumerate(near) if char.isspace()), None)
    return near if cut is None else near[cut:]
