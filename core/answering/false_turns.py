"""Where a model goes on to speak for the person who asked. Pure."""

from core.answering.line_state import LineState
from core.answering.speakers import Speakers, line_openings, may_open_with, opens_with

_OPENING_LINES, _MAX_OPENING_LINES = 3, 10
"""Lines of words that show whether an answer is a dialogue, and as many as that is looked for in."""


class FalseTurns:
    """Judges lines of an answer. `user_role`: the chat template's word for the person.

    In an answer that begins as a dialogue there are no false turns, and none behind a dialogue that is announced.
    """

    def __init__(self, user_role: str, speakers: Speakers) -> None:
        self._openings, self._speakers = line_openings(user_role), speakers
        self._longest = max(map(len, self._openings))
        self._first_characters = "".join(opening[0].lower() + opening[0].upper() for opening in self._openings)
        self._opening: list[str] | None = []
        """The answer, as long as its first lines do not show whether it is a dialogue."""
        self._is_dialogue = False
        self._judged_line = ""

    def read(self, text: str, lines: LineState) -> None:
        """Take the next part of the answer, at whose end `lines` stands."""
        if self._opening is not None:
            self._opening.append(text)
            if text == "\n" and lines.lines >= _OPENING_LINES:
                self._judge_opening(final=lines.lines >= _MAX_OPENING_LINES)
        if lines.announced_line is not self._judged_line:
            self._judged_line = lines.announced_line
            self._is_dialogue = self._is_dialogue or self._speakers.have_role(self._judged_line)

    def _judge_opening(self, *, final: bool) -> None:
        is_dialogue = self._speakers.begin("".join(self._opening or ()), final=final)
        if is_dialogue is not None:
            self._is_dialogue, self._opening = self._is_dialogue or is_dialogue, None

    def begin(self, text: str, at: int, *, final: bool) -> bool | None:
        """Whether the line at `at` of a text, which stands behind a blank one, is a false turn. None where that takes
        more of it."""
        if self._is_dialogue or text[at] not in self._first_characters:
            return False
        start = text[at : at + self._longest + 1]
        opening = opens_with(start, self._openings)
        behind = start[len(opening) : len(opening) + 1]
        if not opening or not behind:
            waits = not final and (opening or may_open_with(start, self._openings))
            return None if waits else bool(opening)
        if not behind.isspace():  # user:password@host
            return False
        if self._opening is None:
            return True
        is_dialogue = self._speakers.begin("".join((*self._opening, text[at:])), final=final)
        return None if is_dialogue is None else not is_dialogue
