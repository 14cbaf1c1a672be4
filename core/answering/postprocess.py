"""What of the model's text is the answer, decided while it comes. Leading thoughts, an echoed name and calls of tools
are dropped; a false turn and a loop end the answer. Holds back only what may still become something to drop. Pure."""

import re
from collections.abc import Sequence

from core.answering.false_turns import FalseTurns
from core.answering.line_state import MAX_RUN, SIGNS, LineState, parts_of
from core.answering.loops import Loops
from core.answering.speakers import EchoedName, Speakers, line_openings
from core.answering.thoughts import LeadingThoughts
from core.answering.tool_calls import ToolCall, may_be_call
from core.domain.conversation import storable

_CONTROL_TAGS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_CONTROL_TAG = re.compile("|".join(map(re.escape, _CONTROL_TAGS)))
_MENTIONED = re.compile(r"[ \t]+[^\W\d_A-Z]|[ \t]*[,;:.?!)\]}\"'’”»*_](?!<)")
"""What follows a control tag that a sentence speaks of."""
_MAX_SPACE = 10
_SIGN = re.compile(rf"{SIGNS}|<")
"""Where code, a line, a control tag or a call of a tool may begin: most pieces have none of these."""
_LONGEST_TAG = 20
"""Characters of any tag."""


class PostProcessor:
    """The stages of one answer.

    `echoes`: names that the model may put before its answer: the bot's, the asker's. `people`: everybody's in the
    conversation; `user_role`: the template's word for them. `prefix`: the beginning of the answer that the stream
    continues. `mark` stands where calls of tools were.
    """

    def __init__(
        self,
        echoes: Sequence[str] = (),
        people: Sequence[str] = (),
        *,
        user_role: str = "user",
        prefix: str = "",
        mark: str = "",
    ) -> None:
        speakers = Speakers((*echoes, *people, user_role))
        openings = [opening for name in ("Assistant", *echoes) for opening in line_openings(name)]
        self._lines, self._turns = LineState(), FalseTurns(user_role, speakers)
        for part in parts_of(prefix) if prefix else ():
            self._lines.feed(part)
            self._turns.read(part, self._lines)
        continues_line = prefix != "" and (not prefix.endswith("\n") or self._lines.in_code)
        self._thoughts = LeadingThoughts(decided=continues_line)
        self._echoed_name = EchoedName(openings, speakers, decided=prefix != "")
        self._first_signs = {"<", *(opening[0].casefold() for opening in openings)}
        """With which thoughts or an echo may begin; empty once the answer has begun."""
        self._call, self._mark = ToolCall(), mark
        self._gap: str | None = None
        """White space behind calls that were dropped; None where none was, or their mark is written."""
        self._buffer, self._last = "", prefix[-1:]
        self._loops = Loops()
        self.notice = ""
        """Why the answer was ended, as a key of core/i18n; "" where no reader misses anything."""
        self.ended = False
        """Whether nothing that follows can be part of the answer."""
        self.is_history = True
        """Whether the model should remember the answer as it is shown. If not, see for_history."""

    def feed(self, piece: str, *, final: bool = False) -> str:
        """Take the next piece of the model's text; returns the part of the answer that is decided by now. `final`:
        nothing follows, so all of it is decided."""
        text = storable(piece)
        if text and self._first_signs and text[0].casefold() not in self._first_signs and not text[0].isspace():
            self._echoed_name.decided = self._thoughts.decided = True  # as nearly always
        if not self._echoed_name.decided or not self._thoughts.decided:
            text = self._thoughts.feed(text, final=final)
            if text or final:
                text = self._feed_name(text, final=final)
        if piece:
            self._first_signs = set()
        if not (text or self._buffer) or self.ended:
            out = ""
        elif self._buffer or _SIGN.search(text) or self._lines.begins_paragraph:
            out = self._scan(text, final=final)
        else:  # as nearly always
            out = self._release(text)
        if final and self._gap is not None:
            out += self._with_mark("")
        return out

    def _feed_name(self, text: str, *, final: bool) -> str:
        """What is left of a text behind the first thoughts. Behind an echo there may be thoughts, too."""
        was_decided = self._echoed_name.decided
        text = self._echoed_name.feed(text, final=final and self._thoughts.decided)
        if self._echoed_name.was_cut and not was_decided and self._echoed_name.decided:
            self._thoughts = LeadingThoughts()
            return self._thoughts.feed(text, final=final)
        return text

    def for_history(self, text: str) -> str:
        """What the model should remember of the answer `text`: no marks, and one copy of what it repeated."""
        if self._loops.ended:
            text = self._loops.without_copies(text)
        return text.replace(self._mark, "") if self._mark else text

    def _scan(self, text: str, *, final: bool) -> str:
        """Release what is decided of the buffer, sign by sign."""
        self._buffer += text
        out, at = list[str](), 0
        while at < len(self._buffer) and not self.ended:
            end, is_call = self._decide(at, final=final)
            if end == at or self.ended:
                break
            if is_call:
                self._gap = ""
            else:
                out.append(self._release(self._buffer[at:end]))
            at = end
        self._buffer = "" if self.ended else self._buffer[at:]
        return "".join(out)

    def _decide(self, at: int, *, final: bool) -> tuple[int, bool]:
        """Up to where the buffer is decided, and whether that is the call of a tool. `at` where more must come first,
        or where the answer ends."""
        if self._call.is_open:
            size = self._call.feed(self._buffer, at, final=final) or 0
            if size or self._call.is_open:
                return at + size, True
        if self._lines.begins_paragraph and self._may_be_false_turn(at, final=final):
            return at, False
        found = _SIGN.search(self._buffer, at)
        if found is None or found.start() > at:
            return found.start() if found else len(self._buffer), False
        if found[0] == "<":
            return (at + 1, False) if self._lines.in_code else self._decide_tag(at, final=final)
        if found.end() == len(self._buffer) and not (final or found[0] == "\n" or len(found[0]) == MAX_RUN):
            return at, False  # more signs may follow, and they are one run
        return found.end(), False

    def _may_be_false_turn(self, at: int, *, final: bool) -> bool:
        """Whether the line at `at` is a false turn, which ends the answer, or may be one."""
        if self._lines.announced or self._lines.in_code:
            return False
        is_false_turn = self._turns.begin(self._buffer, at, final=final)
        if is_false_turn:
            self.ended, self.notice = True, "mark.turn"
        return is_false_turn is not False

    def _decide_tag(self, at: int, *, final: bool) -> tuple[int, bool]:
        if tag := _CONTROL_TAG.match(self._buffer, at):
            is_mention = self._is_mention(tag.end(), final=final)
            self.ended = is_mention is False
            return at + bool(is_mention), False
        rest = self._buffer[at : at + _LONGEST_TAG]
        if not final and (may_be_call(rest) or any(tag.startswith(rest) for tag in _CONTROL_TAGS)):
            return at, False
        if not rest.startswith(("<tool", "<|tool")):
            return at + 1, False
        size = self._call.feed(self._buffer, at, final=final)
        if size is None:
            return at, False
        return (at + size, True) if size else (at + 1, False)

    def _is_mention(self, end: int, *, final: bool) -> bool | None:
        """Whether a control tag that ends there is a word of a sentence. None where that takes more of the text."""
        if self._last and not (self._last[-1].isspace() or self._last[-1] in "(\"'“‘«*_"):
            return False
        behind = self._buffer[end : end + _MAX_SPACE]
        found = _MENTIONED.match(behind)
        may_change = not behind.strip(" \t") or (found is not None and found.end() == len(behind))
        if may_change and not final and len(behind) < _MAX_SPACE:
            return None
        return found is not None

    def _release(self, text: str) -> str:
        """A part of the answer, text without signs or one sign, as it is shown; less of it where a loop ends it."""
        kept = self._loops.feed(text, self._lines)
        if self._loops.ended:
            text, self.ended, self.notice, self.is_history = text[:kept], True, "mark.loop", False
        self._lines.feed(text)
        self._turns.read(text, self._lines)
        if self._gap is not None:
            return self._with_mark(text)
        self._last = text
        return text

    def _with_mark(self, text: str) -> str:
        """The mark of dropped calls before the text that follows them; "" while that is white space."""
        gap = (self._gap or "") + text
        if text.isspace():
            self._gap = gap
            return ""
        before = "" if not self._last or self._last[-1].isspace() else " "
        between = "" if not text or gap[0].isspace() else " "
        self._gap, self._last, self.is_history = None, text, False
        return f"{before}{self._mark}{between}{gap if text else ''}"
