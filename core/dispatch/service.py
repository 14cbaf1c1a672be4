"""The whole bot around a store, a model and platforms: the one place where its parts are put together."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from core.answering.assistant import Assistant
from core.commands.buttons import ButtonActions
from core.commands.executor import CommandExecutor
from core.commands.role_lookup import RoleLookup
from core.commands.services import CommandServices
from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.reply_control import ReplyControl
from core.delivery.streaming_message import Delivery
from core.dispatch.answer_runner import AnswerRunner
from core.dispatch.bookkeeping import Bookkeeping
from core.dispatch.dispatcher import Dispatcher
from core.dispatch.environment import Environment
from core.dispatch.recovery import ReplyRecovery
from core.dispatch.reply_runner import ReplyMessages, ReplyRunner
from core.dispatch.timing import DEFAULT_TIMING, ServiceTiming
from core.dispatch.typing_indicator import TypingIndicator
from core.domain.conversation import Reply
from core.domain.permissions import Access
from core.domain.platform import Platform
from core.domain.reply_states import Lane, State
from core.domain.store import Store
from core.i18n.person_language import PersonLanguages
from core.inbound.admission import AdmissionControl, ThroughputEstimate
from core.inbound.event_consumer import EventConsumer
from core.inbound.ingest import Ingest
from core.runtime.retry import until_stored
from core.runtime.supervision import Loop, running_loops


class ChatService:
    """Answers on every platform that it serves. Used inside `running()`.

    `now`: milliseconds UTC. `name`: what the bot calls itself.
    """

    def __init__(
        self,
        store: Store,
        assistant: Assistant,
        access: Access,
        *,
        now: Callable[[], int],
        name: str = "Qwentin",
        timing: ServiceTiming = DEFAULT_TIMING,
    ) -> None:
        self._store, self._database_backoff = store, timing.database_backoff
        self._platforms: dict[str, Platform] = {}
        self.rate_limiter = ChatRateLimiter()
        delivery = Delivery(
            store,
            self.rate_limiter,
            secrets.token_hex(4),
            assistant.filter,
            now,
            send_backoff=timing.send_backoff,
            database_backoff=timing.database_backoff,
            typing_every_s=timing.typing_every_s,
        )
        self.control = ReplyControl(store, self._cancelled)
        environment = Environment(store, self.control, self.rate_limiter, now, timing, self._platforms)
        messages = ReplyMessages(delivery, self._platforms, assistant.rules, environment.engine_deaths)
        self._dispatcher = Dispatcher(environment, assistant.model.slots)
        self.languages = PersonLanguages(store)
        services = CommandServices(
            store,
            self.control,
            RoleLookup(self._platforms, access),
            self.languages,
            assistant.rules,
            assistant.filter,
            now,
        )
        button_cleanup = ButtonCleanup(self._platforms, self.rate_limiter)
        commands = CommandExecutor(services, assistant, button_cleanup, bot_name=name, backoff=timing.database_backoff)
        throughput = ThroughputEstimate(assistant.model.slots)
        answers = AnswerRunner(environment, assistant, throughput)
        self._runner = ReplyRunner(environment, self._dispatcher, messages, answers, commands, button_cleanup)
        self._button_cleanup = button_cleanup
        self._recovery = ReplyRecovery(environment, self._dispatcher, button_cleanup)
        self._bookkeeping = Bookkeeping(environment)
        self._typing = TypingIndicator(environment, self._dispatcher)
        admission = AdmissionControl(assistant.rules.limits, throughput, environment.started, self._platforms)
        dispatcher = self._dispatcher
        self.ingest = Ingest(store, access, admission, dispatcher.stored, dispatcher.wake_all, self._discarded)
        self.buttons = ButtonActions(services, self.ingest.accept)
        self.events = EventConsumer(self.ingest, self.buttons, self, self.languages, timing.database_backoff)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block is left. What is then unfinished stays in the store for the next start.

        If one of the loops ends, the block is cancelled and its error raised.
        """
        loops: dict[str, Loop] = {
            "storing what comes in": self.ingest.run,
            "showing what is ready": partial(self._dispatcher.show_ready, self._runner.run),
            "merging backlogs": self._recovery.merge_backlogs,
            "claiming answers": partial(self._dispatcher.run_lane, Lane.ANSWER, self._runner.run),
            "claiming commands": partial(self._dispatcher.run_lane, Lane.NOTICE, self._runner.run),
            "claiming commands that look": partial(self._dispatcher.run_lane, Lane.LOOK, self._runner.run),
            "showing typing indicators": self._typing.run,
            "looking for orphaned replies": self._recovery.sweep,
            "deleting what is done": self._bookkeeping.run,
            "removing buttons that were left behind": self._button_cleanup.run,
        }
        async with running_loops(loops):
            yield

    async def serve(self, platform: Platform) -> None:
        """Run a platform's replies from now on, those that were left unfinished first.

        Its questions are answered once all that waited there is stored (`settle`), or after a while.
        """
        await until_stored(
            self._store,
            f"the languages of people on {platform.name}",
            lambda tx: self.languages.load(tx, platform.name),
            self._database_backoff,
        )
        await self._recovery.serve(platform)

    def settle(self, platform: str) -> None:
        """Everything that waited on a platform while the bot was away is stored. Idempotent, does not wait."""
        self._recovery.settle(platform)

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and return once what is running has ended, after `seconds` at the latest."""
        await self._dispatcher.drain(seconds)

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot: cancel what waits there, stop what runs. Its data stay. Raises Unavailable."""
        await self._runner.leave(platform, chat)

    async def move(self, platform: str, old: str, new: str) -> None:
        """A chat goes on under another id. Idempotent. Raises Unavailable."""
        async with self._store.begin() as tx:
            await tx.chats.change_id(platform, old, new)

    def _discarded(self, reply: Reply) -> None:
        """A reply was ended in silence: stop it, or remove what is to be seen of it."""
        if reply.state is State.GENERATING:
            self.control.halt(reply.id)
        else:
            self._cancelled(reply)
        self.control.notify_changed()

    def _cancelled(self, reply: Reply) -> None:
        """A reply was cancelled before it ran: show what is still to be seen of it, or let others run."""
        if reply.state is State.SENDING:
            self._dispatcher.stored([reply])
        else:
            self._dispatcher.wake_held_up(reply.lane)
