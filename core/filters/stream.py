"""An answer on its way: only text that is judged is released, and nothing that follows makes it blocked."""

from collections.abc import Callable

from core.filters.check import STANDARD, Action, Policy, Verdict, action_on, found, known, verdict
from core.filters.disguise import REACH, odd
from core.filters.fold import fold
from core.filters.scan import Hit, read, undecided

MASK = "•••"


def masked(text: str) -> str:
    """Its first letter, and no more. No sign that a platform reads as markup."""
    return f"{text[:1]}{MASK}"


def _covered(text: str) -> str:
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
        if end < len(text):  # what had to be let go too early is judged as it stands
            hits += found(text[:end], self._policy)
        hits = sorted({hit for hit in hits if start <= hit.start < end}, key=Hit.order)
        end = max([end, *(hit.end for hit in hits)])
        shown = self._shown(text[:end], start, hits)
        self._before, self._held = _context(text[:end]), text[end:]
        if self.masked:
            shown = self._shown_again(shown)
        self._seen = _context(self._seen + shown)
        return shown

    def _end(self, text: str, start: int, hits: list[Hit]) -> int:
        """Up to where text may be released: nothing that follows changes what is found there, and it stands alone too:
        the first word of a phrase that is allowed is not."""
        end = self._decided(text)
        end = max([end, *(hit.end for hit in hits if start <= hit.start < end)])
        while end > start:
            early = [hit.start for hit in found(text[:end], self._policy) if hit not in hits]
            if not early or min(early) >= end:
                break
            end = min(early)
        return max(end, len(text) - REACH)

    def _decided(self, text: str) -> int:
        """Up to where nothing that follows changes what is found."""
        folded, layers = fold(text), known(self._policy)
        ends = [undecided(read(text, folded, words, strange=odd(folded)), words) for words in layers]
        return min(ends)

    def _shown_again(self, shown: str) -> str:
        """What a mask leaves of a word may be a word of a phrase with what stands next to it."""
        for cover in (masked, _covered, _covered):
            text, start = self._seen + shown, len(self._seen)
            hits = [hit for hit in found(text, self._policy) if hit.end > start]
            if all(action_on(hit.entry) is Action.SUPPORT for hit in hits):
                return shown
            shown = self._shown(text, start, hits, cover)
        self.blocked = True
        return ""

    def _shown(self, text: str, start: int, hits: list[Hit], cover: Callable[[str], str] = masked) -> str:
        out, at = "", start
        for hit in hits:
            action = action_on(hit.entry)
            if action is Action.STOP:
                self.blocked, self.verdict = True, verdict([hit])
                return out + text[at : max(hit.start, at)]
            if action is Action.MASK and hit.end > at:
                out += text[at : max(hit.start, at)] + cover(text[max(hit.start, at) : hit.end])
                at, self.masked, self.verdict = hit.end, True, verdict([hit])
        return out + text[at:]


def _context(text: str) -> str:
    """What later words may have to be seen with: the last REACH characters, from the beginning of a word on."""
    near = text[-REACH:]
    if len(near) == len(text):
        return near
    cut = next((at for at, char in enumerate(near) if char.isspace()), None)
    return near if cut is None else near[cut:]
