"""Answers for which a guard model judges the question, too, before the model or anybody sees anything of an answer."""

import asyncio
import logging
from dataclasses import dataclass, replace

from core.answering.assistant import HELP_LINES_ALONE, AnswerContext, AnswerResult, AnswerWriter, Assistant
from core.domain.conversation import ChatId, Reply
from core.domain.errors import ChatError, Refused
from core.domain.reply_states import State
from core.domain.settings import Rules
from core.domain.store import Store
from core.filters import Danger, Filter, Level, Verdict
from core.filters.assessment import Assessment, add_assessment, likely_language
from core.llm.guard_model import GuardModel, GuardUnavailable
from core.llm.model import Model
from core.runtime.cancellation import interrupted_by

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuardUse:
    """A guard model, and whether it is `required`: what is done with a question that it can't judge in time.

    Where it is required, the question is not answered; otherwise the word list decides alone.
    """

    model: GuardModel
    required: bool = False


class GuardedAssistant(Assistant):
    """An Assistant that also asks a guard model what it says of each question.

    A bot without a guard model has none of this in the path of its questions.
    """

    guard_model: GuardModel

    def __init__(
        self, store: Store, model: Model, rules: Rules, content_filter: Filter, name: str, guard: GuardUse
    ) -> None:
        super().__init__(store, model, rules, content_filter, name)
        self.guard_model, self._required = guard.model, guard.required
        self._failing = False
        """Whether the guard model could not judge the last question."""

    async def answer(
        self, reply: Reply, context: AnswerContext, live: AnswerWriter, stop: asyncio.Event, language: str
    ) -> AnswerResult:
        """See Assistant. Raises ChatError, too, where the guard model is required and can't judge the question."""
        policy = context.settings.policy
        verdict = self.filter.judge_question(reply.text, policy)
        if not (_is_decided(verdict) or self._is_too_long(reply, context, verdict, language)):
            assessment = await self._assess(reply, policy.level, stop)
            if stop.is_set():
                return self._stopped(reply, verdict)
            if assessment is not None:
                danger = Danger(likely_language(reply.text, language))
                verdict = add_assessment(verdict, assessment, policy.level, danger)
            elif self._required:
                if verdict.danger is None:
                    raise ChatError("error.guard")
                self.filter.count("question", verdict)
                return self.help_lines_alone(verdict.danger)  # nobody in danger is sent away
        return await super().answer(reply, replace(context, verdict=verdict), live, stop, language)

    def forget(self, chat: ChatId) -> None:
        """See Assistant."""
        super().forget(chat)
        self.guard_model.drop(str(chat))

    def _is_too_long(self, reply: Reply, context: AnswerContext, verdict: Verdict, language: str) -> bool:
        """Whether the model can't answer a question of this length: then it takes no time of the guard model's."""
        try:
            self._build_request(reply, context.settings, [], verdict.danger, language)
        except Refused:
            return True
        return False

    async def _assess(self, reply: Reply, level: Level, stop: asyncio.Event) -> Assessment | None:
        """What the guard model says of a question; None where it says nothing, or the answer was stopped meanwhile."""
        try:
            async with interrupted_by(stop):
                assessment = await self.guard_model.assess(reply.text, level, str(reply.chat))
                self._note(None)
                return assessment
        except GuardUnavailable as failure:
            self._note(failure)
        return None

    def _stopped(self, reply: Reply, verdict: Verdict) -> AnswerResult:
        """The end of an answer that was stopped before its question was judged: the model does not see it. What an
        answer would have begun with stays."""
        text = reply.prefix
        if verdict.danger is not None and not text:
            text = self.help_lines_alone(verdict.danger).text
        return AnswerResult(State.STOPPED, text, text, "mark.stopped")

    def _note(self, failure: GuardUnavailable | None) -> None:
        """Log once when the guard model begins to fail, and once when it judges again."""
        if failure and not self._failing:
            rest = "questions are not answered" if self._required else "the word list decides alone"
            log.warning("the guard model does not judge: %s; until it does, %s", failure, rest)
        elif self._failing and not failure:
            log.info("the guard model judges again")
        self._failing = failure is not None


def _is_decided(verdict: Verdict) -> bool:
    """Whether the word list alone decides, as the model will not see the question whatever else is found in it."""
    return verdict.blocked and (verdict.danger is None or verdict.category in HELP_LINES_ALONE)
