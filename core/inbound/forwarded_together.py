"""A comment and what its author forwards just before or behind it: one question, though platforms send each as a
message of its own, in either order. Pure.

Nothing is waited for. Where the first of them was asked already, the question with all of them takes its place.
"""

from collections import deque
from dataclasses import dataclass, replace

from core.domain.conversation import ChatId, Incoming
from core.inbound.question_text import GREETING, Forward, with_forwards

MAX_GAP_MS = 1000
"""Between two messages of one question, at most: Telegram counts whole seconds."""
MAX_FORWARDS = 20
"""Forwarded messages of one question, at most."""
MAX_REMEMBERED = 1000
"""People whose last messages are remembered."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What one person has sent of a question so far."""

    last: Incoming
    comment: str | None
    """None where none has come yet."""
    forwards: tuple[Forward, ...]
    asked: tuple[str, ...]
    """External ids of what the bot was asked of it."""


class ForwardedTogether:
    """Puts together the messages of an adapter, which come in the order of their conversation."""

    def __init__(self) -> None:
        self._runs: dict[tuple[ChatId, str], _Run] = {}
        self._joined: deque[str] = deque(maxlen=MAX_REMEMBERED)
        """External ids of questions that are more than the message of that id."""

    def commented(self, incoming: Incoming) -> Incoming:
        """A message to the bot that its author wrote, with what they forwarded just before. Commands stay alone."""
        run = self._before(incoming)
        comment = "" if incoming.text == GREETING else incoming.text
        if comment.startswith("/"):
            return incoming
        if run is None or run.comment is not None:
            run = _Run(incoming, comment, (), ())
        self._keep(replace(run, last=incoming, comment=comment, asked=(*run.asked, incoming.external_id)))
        if not run.forwards:
            return incoming
        self._joined.append(incoming.external_id)
        return replace(incoming, text=with_forwards(comment, run.forwards), joins=run.asked, alone=incoming.text)

    def forwarded(self, incoming: Incoming, forward: Forward, *, addressed: bool) -> Incoming | None:
        """What is asked by a forwarded message. `incoming` is how it is asked by itself, if it is `addressed` to the
        bot. None: nothing, unless a comment follows."""
        run = self._before(incoming)
        if run is None or len(run.forwards) >= MAX_FORWARDS:
            run = _Run(incoming, None, (), ())
        if not forward.text:
            self._keep(replace(run, last=incoming))
            return incoming if addressed else None
        forwards = (*run.forwards, forward)
        is_asked = addressed or run.comment is not None
        asked = (*run.asked, incoming.external_id) if is_asked else run.asked
        self._keep(_Run(incoming, run.comment, forwards, asked))
        if not is_asked:
            return None
        if not run.asked:
            return incoming
        self._joined.append(incoming.external_id)
        text = with_forwards(run.comment or "", forwards)
        return replace(incoming, text=text, joins=run.asked, alone=incoming.text if addressed else "")

    def is_joined(self, external_id: str) -> bool:
        """Whether the question of this id is more than its message: an edit of that is none of the question."""
        return external_id in self._joined

    def _before(self, incoming: Incoming) -> _Run | None:
        """What `incoming` goes on with. It is remembered no more, until it is kept again."""
        run = self._runs.pop((incoming.chat, incoming.author.id), None)
        if run is None or incoming.seq <= run.last.seq:
            return None
        return run if 0 <= incoming.at - run.last.at <= MAX_GAP_MS else None

    def _keep(self, run: _Run) -> None:
        if len(self._runs) >= MAX_REMEMBERED:
            self._runs.clear()
        self._runs[run.last.chat, run.last.author.id] = run
