"""How many questions may wait, how many commands one person may give, and who is told that there is no room."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.domain.conversation import Incoming, NewReply, QueueLoad, Reply
from core.domain.reply_states import Lane
from core.domain.settings import NO_LIMITS, Limits
from core.domain.store import Transaction
from core.i18n import t
from core.inbound.backlog import MERGE_AFTER_MS
from core.inbound.command_floods import CommandFloods
from core.inbound.refusals import Admitted, Asker, Refusals

QUESTION_WINDOW_MS = 600_000
"""A person's questions are counted over this time."""
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
    """The questions that wait: `load` is what the store has, and is counted on while a batch is admitted."""

    limits: Limits
    load: QueueLoad

    def admit(self, incoming: Incoming, away_until: int) -> Busy | None:
        """Count a question in, and return None; or return why there is no room. What was asked until `away_until`, by
        the platform's clock as all times of questions, always has room and is not held against anybody."""
        exempt = incoming.at <= away_until
        load, limits = self.load, NO_LIMITS if exempt else self.limits
        asked_at = load.asked.setdefault((incoming.chat.platform, incoming.author.id), [])
        here, place = load.here.get(incoming.chat, 0), load.waiting + 1
        since = max(incoming.at - QUESTION_WINDOW_MS, away_until + 1)
        lately = sorted(at for at in asked_at if at >= since) if limits.user else []
        if limits.user and len(lately) >= limits.user:
            free_at = lately[-limits.user] + QUESTION_WINDOW_MS
            return Busy("user", limits.user, place, max(free_at - incoming.at, 0))
        if limits.chat and here >= limits.chat:
            return Busy("chat", limits.chat, place)
        if limits.waiting and load.waiting >= limits.waiting:
            return Busy("full", limits.waiting, place)
        load.here[incoming.chat] = here + 1
        load.waiting = place
        if not exempt:
            asked_at.append(incoming.at)
        return None


class AdmissionControl:
    """Lets questions and commands in while there is room.

    `started`: when the bot started, by each platform's clock (ms UTC). A question that had waited for long then is
    exempt from every limit. Questions on other than `platforms` don't count. `clock`: seconds.
    """

    def __init__(
        self,
        limits: Limits,
        throughput: ThroughputEstimate,
        started: Mapping[str, int],
        platforms: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._throughput = limits, throughput
        self._started, self._platforms = started, platforms
        self._refusals = Refusals(clock)
        self._floods = CommandFloods(limits.commands, self._refusals)

    async def admit(self, tx: Transaction, new: Sequence[NewReply]) -> Admitted:
        """The batch with a refusal in place of each question and command for which there is no room, and what repeats
        a command that waits merged into that. Everything else passes."""
        questions = [each.incoming for each in new if each.lane is Lane.ANSWER]
        admitted = Admitted(list(new))
        if len(questions) < len(new):
            await self._floods.admit(tx, admitted)
        if not questions or not (self._limits.user or self._limits.chat or self._limits.waiting):
            return admitted
        since = min(incoming.at for incoming in questions) - QUESTION_WINDOW_MS
        queue = Queue(self._limits, await tx.inbox.queue_load(questions, since, self._platforms))
        for place, each in enumerate(new):
            if each.lane is Lane.ANSWER:
                busy = queue.admit(each.incoming, self._started.get(each.incoming.chat.platform, 0) - MERGE_AFTER_MS)
                if busy is not None:
                    asker = Asker(each.incoming.chat, each.incoming.author.id)
                    describe = partial(describe_refusal, busy, self._throughput)
                    await self._refusals.refuse(tx, admitted, place, asker, describe)
        return admitted

    async def join_merged(self, tx: Transaction, admitted: Admitted, stored: Sequence[Reply]) -> None:
        """What is answered by another reply of the same batch is merged into that."""
        for place, others in admitted.answered_by.items():
            await tx.inbox.set_merged_into([stored[other] for other in others], stored[place])

    def record(self, admitted: Admitted, stored: Sequence[Reply]) -> None:
        """The batch is stored. A person for whom there was room is told again when there is none."""
        if admitted.commands:
            self._floods.record(admitted)
        if self._refusals.told or admitted.refusals:
            self._refusals.record(admitted, stored)


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
