"""Where a model goes on to speak for the person who asked. Pure."""

from core.answering.speakers import Speakers, line_openings, may_open_with, opens_with

_OPENING_LINES = 3
"""Lines with words that show whether an answer is a dialogue."""


class FalseTurns:
    """Judges lines of an answer that begins with `prefix`. `user_role`: the chat template's word for the person.

    In an answer that begins as a dialogue there are no false turns.
    """

    def __init__(self, user_role: str, speakers: Speakers, prefix: str) -> None:
        self._openings, self._speakers = line_openings(user_role), speakers
        self._longest = max(map(len, self._openings))
        self._first_characters = "".join(opening[0].lower() + opening[0].upper() for opening in self._openings)
        self._opening: list[str] | None = [prefix]
        """The answer, as long as its first lines do not show whether it is a dialogue."""
        self._is_dialogue = False

    def read(self, text: str, lines: int) -> None:
        """Take the next part of the answer, which has `lines` whole lines with words by now."""
        if self._opening is not None:
            self._opening.append(text)
            if lines >= _OPENING_LINES:
                self._is_dialogue = self._speakers.begin("".join(self._opening), final=True) is True
                self._opening = None

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
