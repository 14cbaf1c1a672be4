"""Lines that open with the name of whoever speaks: echoes of a name, and dialogues. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.answering.line_state import LineKind, kind_of, may_be_other_than_words
from core.answering.thoughts import THOUGHT

_MARKS = ("", "*", "**", "***", "_", "__", "___")
_ROLES = frozenset(
    """user|human|assistant|system|bot|ai|chatbot|model|customer|client|agent|support|you|me|q|a
    |người dùng|trợ lý|trợ lí|hệ thống|khách hàng|nhân viên|phóng viên|người phỏng vấn|người được phỏng vấn|người dẫn
    |người dẫn chuyện|giáo viên|học sinh|sinh viên|bác sĩ|bệnh nhân|người bán|người mua|tổng đài|lễ tân|con trai
    |con gái|hướng dẫn viên|người mẹ|người cha|bạn|tôi""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
"""Casefolded. Other speakers are known by their capital letters."""
_NO_NAMES = frozenset(
    """note|notes|tip|tips|hint|example|examples|warning|caution|important|summary|conclusion|result|results|answer
    |solution|output|input|step|title|subject|date|time|place|price|total|source|pros|cons|here|yes|no|sure|remember
    |update|translation|lưu ý|chú ý|ghi chú|ví dụ|mẹo|cảnh báo|tóm tắt|kết luận|kết quả|đáp án|bước|lời giải|nguồn
    |tiêu đề|ngày|giờ|giá|tổng|ưu điểm|nhược điểm|bản dịch|vâng|dạ""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
"""Casefolded: what often stands before a colon and speaks nothing."""
_LABEL = re.compile(r"[*_]{0,3}([^\s:：*#>|`<\[\]-][^:：*\n]{0,70}?)[*_]{0,3}\s?[:：][*_]{0,3}(?P<words>[^\n]*)")
_ASIDE = re.compile(r"\s*\([^()]*\)\s*\Z")
"""How a person of a play speaks."""
_MAX_LABEL = 80
"""Characters before and with the colon."""
_MAX_NAME_WORDS = 3
_DIALOGUE_LINES, _SPOKEN_LINES = 3, 2
"""A dialogue has this number of spoken lines among its first ones of words."""
_NUMBERED = re.compile(r"\s+(?:\d{1,2}|[A-Z])\Z")
"""What tells speakers of the same role apart."""
_FENCE = re.compile(r"\s*(?:```|~~~)")
MAX_HELD = 600
"""Characters of an answer, or of a line in it, that may begin a dialogue: the rest of a longer one is not waited
for."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who speaks in lines: roles, and those with these labels, in any case of letters."""

    labels: Sequence[str]

    def begin(self, text: str, *, final: bool) -> bool | None:
        """Whether a text begins as a dialogue: two of its first three lines of words open with a speaker. None where
        that takes more of it."""
        verdicts = list[bool | None]()
        for line, is_code, is_whole in _lines(text):
            verdict = False if is_code else self._speak(line, is_whole=is_whole or final)
            if verdict is False and not is_code:
                if not (is_whole or final):
                    verdict = None if may_be_other_than_words(line) else False
                elif kind_of(line) is not LineKind.WORDS:
                    continue
            verdicts.append(verdict)
            if len(verdicts) == _DIALOGUE_LINES:
                break
        return _is_dialogue(verdicts, final=final)

    def have_role(self, line: str) -> bool:
        """Whether a line opens with a role or one of the labels."""
        label = _LABEL.match(line)
        return label is not None and self._know(_NUMBERED.sub("", _ASIDE.sub("", label[1]).strip()))

    def _speak(self, line: str, *, is_whole: bool) -> bool | None:
        """Whether a line opens with a speaker; None where that takes more of it."""
        label = _LABEL.match(line)
        if label is None:
            may_be = not is_whole and len(line) < _MAX_LABEL and ":" not in line
            return None if may_be else False
        name, words = _ASIDE.sub("", label[1]).strip(), label["words"]
        if self._know(name):
            return True
        if not _is_name(name):
            return False
        if not words.strip():
            return False if is_whole else None
        return words[0].isspace()

    def _know(self, name: str) -> bool:
        folded = name.casefold()
        is_label = folded not in _NO_NAMES and any(folded == label.casefold() for label in self.labels)
        return is_label or folded in _ROLES


def _lines(text: str) -> Iterator[tuple[str, bool, bool]]:
    """The lines that are not blank: each with whether it is code, and whether it has ended."""
    fenced = False
    lines = text.split("\n")
    for number, line in enumerate(lines):
        is_fence = bool(_FENCE.match(line))
        if line.strip():
            yield line.rstrip(), fenced or is_fence, number < len(lines) - 1
        fenced ^= is_fence


def _is_dialogue(verdicts: Sequence[bool | None], *, final: bool) -> bool | None:
    """Whether lines of which these open with a speaker begin a dialogue; None for what takes more of the text."""
    if verdicts.count(True) >= _SPOKEN_LINES:
        return True
    may_be = verdicts.count(False) + _SPOKEN_LINES <= _DIALOGUE_LINES
    return None if may_be and not final else False


def _is_name(name: str) -> bool:
    """Whether a label may be the name of a person: a few words with capital letters."""
    words = name.split()
    if not words or len(words) > _MAX_NAME_WORDS:
        return False
    if not _NO_NAMES.isdisjoint((words[0].casefold(), name.casefold())):
        return False
    return all(word[0].isupper() or (number and word[0].isdigit()) for number, word in enumerate(words))


@lru_cache(maxsize=128)
def line_openings(name: str) -> tuple[str, ...]:
    """What a line that `name` speaks opens with, plain and in bold."""
    return tuple(
        dict.fromkeys(
            f"{mark}{name}{end}" for mark in _MARKS for colon in ":：" for end in (f"{mark}{colon}", f"{colon}{mark}")
        )
    )


def opens_with(text: str, openings: Iterable[str]) -> str:
    """The longest of the openings that the text begins with, in any case of letters; "" where there is none."""
    found = (opening for opening in openings if text[: len(opening)].casefold() == opening.casefold())
    return max(found, key=len, default="")


def may_open_with(text: str, openings: Iterable[str]) -> bool:
    """Whether the text is the beginning of an opening."""
    size, start = len(text), text.casefold()
    return any(size < len(opening) and opening[:size].casefold() == start for opening in openings)


@dataclass(slots=True)
class EchoedName:
    """Cuts white space and one echoed "Name:" from the start of an answer that is no dialogue."""

    openings: Sequence[str]
    """See line_openings."""
    speakers: Speakers
    decided: bool = False
    """Whether the start is behind; also where the stream continues an answer, so that it has no start to cut."""
    was_cut: bool = False
    _buffer: str = ""

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns "" until it is decided how the answer starts."""
        if self.decided:
            return piece
        self._buffer = text = (self._buffer + piece).lstrip()
        if text and text[0].casefold() not in {opening[0].casefold() for opening in self.openings}:
            self.decided = True
            return text
        if echo := opens_with(text, self.openings):
            rest = text[len(echo) :].lstrip()
            is_dialogue = not THOUGHT.match(rest) and self.speakers.begin(
                text[:MAX_HELD], final=final or len(text) > MAX_HELD
            )
            if is_dialogue is None:
                return ""
            self.openings = ()
            if not is_dialogue:
                self._buffer, self.was_cut = rest, True
                text = rest
        if not final and (not text or may_open_with(text, self.openings)):
            return ""
        self.decided = True
        return text
