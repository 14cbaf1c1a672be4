"""Where a model goes on to speak for the person who asked. Pure."""

from core.answering.line_state import MAX_LINE, LineState
from core.answering.speakers import MAX_HELD, Speakers, line_openings, may_open_with, opens_with

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
        """The answer, as long as its first lines do not show whether it is a dialogue; of each line the beginning."""
        self._size = 0
        self._is_dialogue = False
        self._judged_line = ""

    def read(self, text: str, lines: LineState) -> None:
        """Take the next part of the answer, at whose end `lines` stands."""
        if self._opening is not None:
            if text == "\n":
                self._opening.append(text)
                self._size = 0
                if lines.lines >= _OPENING_LINES:
                    self._judge_opening(final=lines.lines >= _MAX_OPENING_LINES)
            elif self._size < MAX_LINE:
                self._opening.append(text[: MAX_LINE - self._size])
                self._size += len(text)
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
        if self._is_dialogue:
            return False
        first = at + (text[at] == " ")  # more space belongs to an item of a list
        if first == len(text):
            return False if final else None
        if text[first] not in self._first_characters:
            return False
        opens = self._opens_turn(text[first : first + self._longest + 1], final=final)
        if not opens or self._opening is None:
            return opens
        line = text[first : first + MAX_HELD]
        is_dialogue = self._speakers.begin("".join((*self._opening, line)), final=final or len(line) == MAX_HELD)
        return None if is_dialogue is None else not is_dialogue

    def _opens_turn(self, start: str, *, final: bool) -> bool | None:
        """Whether a line with this start opens with the word for the person. None where that takes more of it."""
        opening = opens_with(start, self._openings)
        behind = start[len(opening) : len(opening) + 1]
        if not opening or not behind:
            waits = not final and (opening or may_open_with(start, self._openings))
            return None if waits else bool(opening)
        return opening[-1] != ":" or behind.isspace()  # else user:password@host
