"""How many questions may wait, and what is said to those that may not."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from core.domain.conversation import ChatId, Incoming, NewReply, QueueLoad, Reply
from core.domain.reply_states import Lane, State
from core.domain.settings import NO_LIMITS, Limits
from core.domain.store import Transaction
from core.i18n import choose_language, t

WINDOW = 600_000
"""Milliseconds in which a person's questions are counted."""
TOLD_EVERY = 60_000
"""Milliseconds in which a person hears once in a conversation that it is too much."""
SMOOTH = 0.2
"""How much the last answer counts in the measured speed."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A question that may not wait: which limit it met, that limit, the place that it would have had, and where the
    limit is a person's, the milliseconds until he may ask again."""

    limit: str
    most: int
    place: int
    wait: int = 0


class ThroughputEstimate:
    """Seconds that an answer takes, as measured: the last ones count most."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.seconds: float | None = None

    def took(self, seconds: float) -> None:
        """An answer has ended."""
        self.seconds = seconds if self.seconds is None else (1 - SMOOTH) * self.seconds + SMOOTH * seconds

    def until(self, place: int, here: int = 0) -> float | None:
        """Seconds until whoever stands there is answered, where `here` go before him one by one; None before anything
        was measured."""
        return None if self.seconds is None else max(math.ceil(place / self._slots), here) * self.seconds


class Queue:
    """Counts on from what the store knows while a batch is admitted."""

    def __init__(self, limits: Limits, crowd: QueueLoad, now: int) -> None:
        self._limits, self._now = limits, now
        self._here = defaultdict(int, crowd.here)
        self._asked = defaultdict(list, {author: list(times) for author, times in crowd.asked.items()})
        self._waiting = crowd.waiting

    def join(self, incoming: Incoming, *, piled: bool) -> Busy | None:
        """None where the question may wait, and is counted then; one that piled up may in any case."""
        asked = self._asked[incoming.chat.platform, incoming.author.id]
        busy = None if piled else self._busy(incoming.chat, asked)
        if busy is None:
            self._here[incoming.chat] += 1
            self._waiting += 1
            if not piled:
                asked.append(self._now)
        return busy

    def _busy(self, chat: ChatId, asked: Sequence[int]) -> Busy | None:
        most, place = self._limits, self._waiting + 1
        if most.user and len(asked) >= most.user:
            return Busy("user", most.user, place, max(asked[-most.user] + WINDOW - self._now, 0))
        if most.chat and self._here[chat] >= most.chat:
            return Busy("chat", most.chat, place)
        if most.waiting and self._waiting >= most.waiting:
            return Busy("full", most.waiting, place)
        return None


class AdmissionControl:
    """Lets questions in, while there is room. What was asked until `away` (milliseconds UTC) waited while the bot was
    not there, and is held against no limit; who waits on other than `platforms` does not count."""

    def __init__(
        self,
        limits: Limits,
        speed: ThroughputEstimate,
        now: Callable[[], int],
        away: int,
        platforms: Collection[str],
    ) -> None:
        self._limits, self._speed, self._now, self._away, self._platforms = limits, speed, now, away, platforms
        self._told: dict[tuple[ChatId, str], tuple[int, int]] = {}
        """When somebody was told last in a conversation, and by which reply."""

    async def admit(self, tx: Transaction, owed: Sequence[NewReply]) -> Sequence[NewReply]:
        """The same, with a refusal in place of each question for which there is no room. Commands pass."""
        asking = [each.incoming for each in owed if each.lane is Lane.ANSWER]
        if not asking or self._limits == NO_LIMITS:
            return owed
        now = self._now()
        crowd = await tx.inbox.queue_load(asking, max(now - WINDOW, self._away + 1), self._platforms)
        queue, telling = Queue(self._limits, crowd, now), set[tuple[ChatId, str]]()
        admitted = []
        for each in owed:
            busy = self._busy(queue, each.incoming) if each.lane is Lane.ANSWER else None
            admitted.append(await self._refusal(tx, each.incoming, busy, telling) if busy else each)
        return admitted

    def _busy(self, queue: Queue, incoming: Incoming) -> Busy | None:
        return queue.join(incoming, piled=incoming.at <= self._away)

    async def join(self, tx: Transaction, owed: Sequence[NewReply], replies: Sequence[Reply]) -> None:
        """What was refused beside another question of the same batch is told with that one."""
        told = {_who(each): reply for each, reply in zip(owed, replies, strict=True) if each.state is State.SENDING}
        silent: defaultdict[tuple[ChatId, str], list[Reply]] = defaultdict(list)
        for each, reply in zip(owed, replies, strict=True):
            if each.state is State.MERGED and each.merged_into is None:
                silent[_who(each)].append(reply)
        for who, others in silent.items():
            await tx.inbox.merge_refused(others, told[who])

    def told(self, owed: Sequence[NewReply], replies: Sequence[Reply]) -> None:
        """They are stored. Whoever is let in again is told again, too."""
        now = self._now()
        self._told = {who: told for who, told in self._told.items() if told[0] > now - TOLD_EVERY}
        for each, reply in zip(owed, replies, strict=True):
            if each.lane is Lane.ANSWER:
                self._told.pop(_who(each), None)
            elif each.state is State.SENDING:
                self._told[_who(each)] = now, reply.id

    async def _refusal(
        self, tx: Transaction, incoming: Incoming, busy: Busy, telling: set[tuple[ChatId, str]]
    ) -> NewReply:
        """Told once a minute; what is refused meanwhile is told with it. An interaction wants a response of its own."""
        who = incoming.chat, incoming.author.id
        at, by = self._told.get(who, (0, None))
        if not incoming.reply_token and (who in telling or at > self._now() - TOLD_EVERY):
            return NewReply(replace(incoming, text=""), Lane.NOTICE, State.MERGED, merged_into=by)
        telling.add(who)
        wanted = await tx.preferences.language(incoming.chat.platform, incoming.author.id)
        said = words(busy, self._speed, choose_language(wanted, incoming.author.locale))
        return NewReply(replace(incoming, text=""), Lane.NOTICE, State.SENDING, final=said)


def _who(owed: NewReply) -> tuple[ChatId, str]:
    return owed.incoming.chat, owed.incoming.author.id


def words(busy: Busy, speed: ThroughputEstimate, language: str) -> str:
    """The limit, the place, and when it would be one's turn."""
    if busy.limit == "user":
        return t(language, "busy.user", most=busy.most, time=_time(busy.wait / 1000, language))
    until = speed.until(busy.place, busy.most if busy.limit == "chat" else 0)
    turn = t(language, "busy.turn", time=_time(until, language)) if until is not None else ""
    lines = t(language, f"busy.{busy.limit}", most=busy.most), t(language, "busy.place", place=busy.place), turn
    return " ".join(filter(None, lines))


def _time(seconds: float, language: str) -> str:
    if seconds < 60:
        return t(language, "busy.seconds", count=max(5, 5 * round(seconds / 5)))
    return t(language, "busy.minutes", count=math.ceil(seconds / 60))
