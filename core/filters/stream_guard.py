"""Filtering an answer while it streams: releases only text that is judged, and that nothing after it can make
blocked."""

import re
from collections.abc import Callable, Sequence

from core.domain.filter_policy import STANDARD, Policy
from core.filters.conditions import is_allowed_word, is_word
from core.filters.context import awaits_cue
from core.filters.deobfuscate import ORDINARY_DISGUISES, WINDOW_CHARACTERS
from core.filters.lexicon import GAP, MAX_GAP_WORDS, Entry, Lexicon
from core.filters.matcher import Hit, may_match
from core.filters.tokenize import VIETNAMESE_MARKED, WORD, Form, Token, fold, plain_tokens
from core.filters.verdict import Examined, FilterAction, Verdict, action_for, examine, judge, policy_lexicons

MASK = "•••"
_WORD, _SPACE = re.compile(r"\w+"), re.compile(r"\s")
_LETTER_AT_END = re.compile(r"(?<![^\W_])[^\W\d_](?![^\W_])[\W_]{0,4}$")
_PLAIN = re.compile(rf"[\x20-)+-;=?-\[\]^a-z{{}}–—“”‘’…{VIETNAMESE_MARKED}]*")
_NEAR_CHARACTERS = 16
"""How far a disguise reaches back: letters apart, with signs between them."""
_MAX_CONTEXT = 3 * WINDOW_CHARACTERS
"""How long the context grows before it is cut, so that it is not cut after each word."""
_WORD_BEFORE_LINE_END = re.compile(r"(?<![^\W_])\w{1,7}-?\n$")
"""A word that the next line may go on."""
_SPACED_LETTERS_AT_END = re.compile(r"(?:(?<![^\W_])[^\W\d_](?![^\W_])[\W_]{0,4})+$")


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
        self._uncertain_characters = 0
        """How much more must be examined together with the released text: in it a word was masked, or was released
        before it was decided."""
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
        released = self._release_ordinary(final=False)
        return self._release(final=False) if released is None else released

    def finish(self) -> str:
        """Release what is left at the end of the answer; "" once the guard is blocked."""
        if self.blocked:
            return ""
        released = self._release_ordinary(final=True)
        return self._release(final=True) if released is None else released

    def _release_ordinary(self, *, final: bool) -> str | None:
        """Release words that no entry has, as nearly all are; None where the text must be examined as a whole.

        A hit of ordinary words begins where text is held back, because what it begins with is held back until the rest
        is there. So the released text need not be read again, unless more was released than was decided.
        """
        cut = len(self._pending) if final else self._pending.rfind(" ") + 1
        if not cut or self._uncertain_characters > 0 or len(self._pending) >= WINDOW_CHARACTERS:
            return None
        head = self._pending[:cut]
        near = self._context[-_NEAR_CHARACTERS:].lower() + head.lower()
        if not _is_ordinary(near):
            return None
        folded = fold(head)
        words = set(WORD.findall(folded.accented))
        if any(may_match(words, lexicon) for lexicon in self._lexicons):
            return None
        end = cut
        if not final:
            end = min(_end_of_decided(plain_tokens(folded, lexicon), cut, lexicon) for lexicon in self._lexicons)
            if letters := _SPACED_LETTERS_AT_END.search(head, max(0, cut - WINDOW_CHARACTERS)):
                end = min(end, letters.start())
        context = self._context + head[:end]
        self._context = self._released_context = context if len(context) < _MAX_CONTEXT else _context_of(context)
        self._pending = self._pending[end:]
        return head[:end]

    def _release(self, *, final: bool) -> str:
        text, start = self._context + self._pending, len(self._context)
        examined = self._examined = examine(text, self._policy.level, self._lexicons)
        end = len(text) if final else self._decided_end(examined)
        harmless = examined.is_harmless and (end == len(text) or text[end - 1 : end].isspace())
        if not (harmless or final):
            end = self._unchanging_end(examined, start, end)
        if capped := end < len(text) - WINDOW_CHARACTERS:  # more is not held back
            end, harmless = len(text) - WINDOW_CHARACTERS, False
        if end <= start:
            return ""
        if harmless and self._released_context == self._context:  # as nearly always: nothing to mask
            self._context = self._released_context = _context_of(text[:end])
            self._pending = text[end:]
            self._uncertain_characters -= end - start
            return text[start:end]
        hits = [hit for hit in examined.hits if hit.start < end and start < hit.end]
        end = max([end, *(hit.end for hit in hits)])
        released = self._recheck(self._apply(text[:end], start, hits))
        self._context, self._pending = _context_of(text[:end]), text[end:]
        self._released_context = _context_of(self._released_context + released)
        if capped or hits:
            self._uncertain_characters = 2 * WINDOW_CHARACTERS
        else:
            self._uncertain_characters -= end - start
        return released

    def _decided_end(self, examined: Examined) -> int:
        """The end of the text that no later word can complete a hit of, or lift one in."""
        text, end = examined.text, undecided_from(examined)
        last_word = text.rfind(" ") + 1
        return min([end, *(hit.start for hit in examined.hits if hit.start < end and awaits_cue(text, hit, last_word))])

    def _unchanging_end(self, examined: Examined, start: int, end: int) -> int:
        """The end, up to `end`, of the text in which nothing that follows changes the hits, and which has no hit of its
        own that the whole text lacks, as the first word of an allowed phrase would be."""
        text, hits = examined.text, examined.hits
        known_hits = set(hits)
        end = min([end, *(hit.start for hit in hits if start <= hit.start < end < hit.end)])
        while end > start and not (examined.is_harmless and text[end - 1].isspace()):
            new = [hit.start for hit in self._examine(text[:end]).hits if hit not in known_hits]
            if not new or min(new) >= end:
                break
            end = min(new)
        return end

    def _examine(self, text: str) -> Examined:
        """Examine a text; the same text again costs nothing."""
        if self._examined is None or self._examined.text != text:
            self._examined = examine(text, self._policy.level, self._lexicons)
        return self._examined

    def _apply(self, text: str, start: int, hits: list[Hit]) -> str:
        """The text from `start` up to the first hit that ends the answer, the other hits masked."""
        stop = next((hit for hit in hits if action_for(hit) is FilterAction.STOP), None)
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
            hits = [hit for hit in self._examine(whole).hits if action_for(hit) is not FilterAction.SUPPORT]
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
            if hit.end > at and action_for(hit) is not FilterAction.SUPPORT and at < len(text):
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


def _is_ordinary(lower: str) -> bool:
    """Whether a text in small letters has no markup, no rare characters, and no word in disguise."""
    return _PLAIN.fullmatch(lower) is not None and not any(each.search(lower) for each in ORDINARY_DISGUISES)


def _end_of_decided(tokens: Sequence[Token], end: int, lexicon: Lexicon) -> int:
    """The position before `end` from which text that follows may still complete a hit of these tokens."""
    for at, token in enumerate(tokens):
        for shape in token.forms:
            if shape.skeleton in lexicon.openers and _may_go_on(tokens, at, shape, lexicon):
                return token.start
    return end


def undecided_from(examined: Examined) -> int:
    """The position from which text that follows may still complete a hit; the text's length where it can't."""
    text = examined.text
    last_word = len(text) if text[-1:].isspace() else max(text.rfind(sign) for sign in " \n\t") + 1
    first = max(0, last_word - WINDOW_CHARACTERS)
    if examined.readings:
        pairs = zip(examined.readings, examined.lexicons, strict=True)
        searched = [(tokens, lexicon) for reading, lexicon in pairs for tokens in reading.sequences]
    else:
        searched = [(plain_tokens(examined.folded, lexicon, first), lexicon) for lexicon in examined.lexicons]
    end = last_word
    for tokens, lexicon in searched:
        complete = [token for token in tokens if first <= token.start and token.end <= last_word]
        for at, token in enumerate(complete):
            for shape in token.forms:
                if token.start < end and shape.skeleton in lexicon.openers and _may_go_on(complete, at, shape, lexicon):
                    end = token.start
    if (broken := _WORD_BEFORE_LINE_END.search(text, first, last_word)) is not None:
        end = min(end, broken.start())
    if _LETTER_AT_END.search(text, max(0, last_word - 6), last_word) is None:
        return end
    letters = _SPACED_LETTERS_AT_END.search(text, first, last_word)
    return min(end, letters.start()) if letters else end


def _may_go_on(tokens: Sequence[Token], at: int, shape: Form, lexicon: Lexicon) -> bool:
    """Whether an entry or an allowed phrase begins at token `at` and depends on what follows the last token."""
    if at == len(tokens) - 1 and any(
        entry.at_sentence_end or entry.abbreviation or entry.name or shape.doubtful
        for entry in lexicon.words.get(shape.skeleton, ())
    ):
        return True
    phrases = lexicon.phrases_by_first.get(shape.skeleton, ())
    if any(is_word(shape, entry, 0) and _is_unfinished(tokens, at, entry) for entry in phrases):
        return True
    rest = len(tokens) - at
    return any(
        len(phrase) > rest and all(is_allowed_word(t, w) for t, w in zip(tokens[at:], phrase, strict=False))
        for phrase in lexicon.allowed_phrases.get(shape.skeleton, ())
    )


def _is_unfinished(tokens: Sequence[Token], at: int, entry: Entry) -> bool:
    """Whether the tokens from `at` on are the beginning of a phrase, or all of one that depends on what follows."""
    index, step = 1, at + 1
    while index < len(entry.words) and step < len(tokens):
        if entry.words[index] == GAP:
            index += 1
            if index == len(entry.words):
                return True
            ahead = [n for n in range(step, min(step + MAX_GAP_WORDS + 1, len(tokens)))
                     if any(is_word(shape, entry, index) for shape in tokens[n].forms)]  # fmt: skip
            if not ahead:
                return len(tokens) - step <= MAX_GAP_WORDS
            step = ahead[0]
        if not any(is_word(shape, entry, index) for shape in tokens[step].forms):
            return False
        index, step = index + 1, step + 1
    return index < len(entry.words) or (step == len(tokens) and (entry.at_sentence_end or entry.abbreviation))
