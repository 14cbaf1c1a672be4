"""How many questions may wait, and the refusal of a question for which there is no room."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from core.domain.conversation import ChatId, Incoming, NewReply, QueueLoad, Reply
from core.domain.reply_states import Lane, State
from core.domain.settings import NO_LIMITS, Limits
from core.domain.store import Transaction
from core.i18n import t
from core.i18n.person_language import read_language

QUESTION_WINDOW_MS = 600_000
"""A person's questions are counted over this time."""
REFUSAL_INTERVAL_MS = 60_000
"""A person is told once in this time and conversation that their questions are too many."""
LAST_ANSWER_WEIGHT = 0.2
"""How much the last answer counts in the measured time of an answer."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A question for which there is no room.

    `limit`: which limit it met ("chat", "user" or "full"), `maximum`: that limit, `place`: the place in the queue that
    it would have had, `wait_ms`: for "user", the time until the person may ask again.
    """

    limit: str
    maximum: int
    place: int
    wait_ms: int = 0


class ThroughputEstimate:
    """How long answers take. `slots`: answers that are generated at once."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.answer_s: float | None = None
        """The measured seconds of an answer, the last ones counting most; None before the first."""

    def record_answer(self, seconds: float) -> None:
        """An answer took this long."""
        if self.answer_s is None:
            self.answer_s = seconds
        else:
            self.answer_s = (1 - LAST_ANSWER_WEIGHT) * self.answer_s + LAST_ANSWER_WEIGHT * seconds

    def wait_s(self, place: int, ahead_in_chat: int = 0) -> float | None:
        """Seconds until the question at this place is answered. `ahead_in_chat`: questions of its own chat before it,
        which are answered one by one. None before anything was measured."""
        return None if self.answer_s is None else max(math.ceil(place / self._slots), ahead_in_chat) * self.answer_s


@dataclass(slots=True)
class Queue:
    """The questions that wait: `load` is what the store has, and is counted on while a batch is admitted. `now`: ms
    UTC."""

    limits: Limits
    load: QueueLoad
    now: int

    def admit(self, incoming: Incoming, *, exempt: bool) -> Busy | None:
        """Count a question in, and return None; or return why there is no room. An exempt question always has room."""
        load, limits = self.load, NO_LIMITS if exempt else self.limits
        asked_at = load.asked.setdefault((incoming.chat.platform, incoming.author.id), [])
        here, place = load.here.get(incoming.chat, 0), load.waiting + 1
        if limits.user and len(asked_at) >= limits.user:
            free_at = asked_at[-limits.user] + QUESTION_WINDOW_MS
            return Busy("user", limits.user, place, max(free_at - self.now, 0))
        if limits.chat and here >= limits.chat:
            return Busy("chat", limits.chat, place)
        if limits.waiting and load.waiting >= limits.waiting:
            return Busy("full", limits.waiting, place)
        load.here[incoming.chat] = here + 1
        load.waiting = place
        if not exempt:
            asked_at.append(self.now)
        return None


_Asker = tuple[ChatId, str]
"""A person in a conversation."""


@dataclass(slots=True)
class Admitted:
    """What is to be stored of a batch, in its order."""

    replies: list[NewReply] = field(default_factory=list)
    refusals: dict[_Asker, int] = field(default_factory=dict)
    """Where in `replies` a person's refusal stands."""
    silent: dict[_Asker, list[int]] = field(default_factory=dict)
    """Where in `replies` a person's questions stand that are refused together with that one."""


class AdmissionControl:
    """Lets questions in while there is room.

    What was asked until `away_until` (ms UTC) waited while the bot was not there, and is exempt from every limit.
    Questions on other than `platforms` don't count.
    """

    def __init__(
        self,
        limits: Limits,
        throughput: ThroughputEstimate,
        now: Callable[[], int],
        away_until: int,
        platforms: Collection[str],
    ) -> None:
        self._limits, self._throughput, self._now = limits, throughput, now
        self._away_until, self._platforms = away_until, platforms
        self._refused: dict[_Asker, tuple[int, int]] = {}
        """When a person was told last (ms UTC), and by which reply."""

    async def admit(self, tx: Transaction, new: Sequence[NewReply]) -> Admitted:
        """The batch with a refusal in place of each question for which there is no room. Everything else passes."""
        questions = [each.incoming for each in new if each.lane is Lane.ANSWER]
        if not questions or self._limits == NO_LIMITS:
            return Admitted(list(new))
        now, admitted = self._now(), Admitted()
        since = max(now - QUESTION_WINDOW_MS, self._away_until + 1)
        queue = Queue(self._limits, await tx.inbox.queue_load(questions, since, self._platforms), now)
        for each in new:
            busy = None
            if each.lane is Lane.ANSWER:
                busy = queue.admit(each.incoming, exempt=each.incoming.at <= self._away_until)
            admitted.replies.append(await self._refusal(tx, each.incoming, busy, admitted) if busy else each)
        return admitted

    async def join_refusals(self, tx: Transaction, admitted: Admitted, stored: Sequence[Reply]) -> None:
        """What was refused beside another question of the same batch is answered by that question's refusal."""
        for asker, places in admitted.silent.items():
            await tx.inbox.merge_refused([stored[place] for place in places], stored[admitted.refusals[asker]])

    def record(self, admitted: Admitted, stored: Sequence[Reply]) -> None:
        """The batch is stored. A person whose question had room is told again when there is none."""
        if not (self._refused or admitted.refusals):
            return
        now = self._now()
        self._refused = {
            asker: refused for asker, refused in self._refused.items() if refused[0] > now - REFUSAL_INTERVAL_MS
        }
        for each in admitted.replies:
            if each.lane is Lane.ANSWER:
                self._refused.pop(_asker(each.incoming), None)
        for asker, place in admitted.refusals.items():
            self._refused[asker] = now, stored[place].id

    async def _refusal(self, tx: Transaction, incoming: Incoming, busy: Busy, admitted: Admitted) -> NewReply:
        """One line a minute; what is refused meanwhile is merged into it. An interaction needs a line of its own."""
        asker, place = _asker(incoming), len(admitted.replies)
        refused_at, by = self._refused.get(asker, (0, None))
        unread = replace(incoming, text="")  # nothing is kept of a refused question
        if not incoming.reply_token:
            if asker in admitted.refusals:
                admitted.silent.setdefault(asker, []).append(place)
                return NewReply(unread, Lane.NOTICE, State.MERGED)
            if refused_at > self._now() - REFUSAL_INTERVAL_MS:
                return NewReply(unread, Lane.NOTICE, State.MERGED, merged_into=by)
        admitted.refusals[asker] = place
        language = await read_language(tx, incoming.chat.platform, incoming.author)
        return NewReply(unread, Lane.NOTICE, State.SENDING, final=describe_refusal(busy, self._throughput, language))


def _asker(incoming: Incoming) -> _Asker:
    return incoming.chat, incoming.author.id


def describe_refusal(busy: Busy, throughput: ThroughputEstimate, language: str) -> str:
    """The limit, the place in the queue, and when it would be the question's turn."""
    if busy.limit == "user":
        return t(language, "busy.user", most=busy.maximum, time=_duration(busy.wait_ms / 1000, language))
    wait_s = throughput.wait_s(busy.place, busy.maximum if busy.limit == "chat" else 0)
    turn = t(language, "busy.turn", time=_duration(wait_s, language)) if wait_s is not None else ""
    lines = t(language, f"busy.{busy.limit}", most=busy.maximum), t(language, "busy.place", place=busy.place), turn
    return " ".join(filter(None, lines))


def _duration(seconds: float, language: str) -> str:
    if seconds < 60:
        return t(language, "busy.seconds", count=max(5, 5 * round(seconds / 5)))
    return t(language, "busy.minutes", count=math.ceil(seconds / 60))
