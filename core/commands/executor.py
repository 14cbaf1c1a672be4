"""Executes claimed commands: from the role of the person who asks to the stored reply."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.answering.assistant import Assistant
from core.commands.context import Call, Command, Outcome, check_call
from core.commands.registry import COMMANDS, UNKNOWN, find
from core.commands.services import CommandServices
from core.delivery.button_cleanup import ButtonCleanup
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Reply, Role
from core.domain.errors import Refused, outcome_of
from core.domain.permissions import is_asker, may_change, may_control
from core.domain.platform import ChatIdChanged, Unreachable
from core.domain.reply_states import ACTIVE, ReplyEvent, State
from core.domain.settings import Settings
from core.domain.store import Stale, Transaction, Unavailable
from core.i18n.error_texts import describe_error
from core.i18n.person_language import read_language
from core.runtime.database_trouble import DATABASE_TROUBLE
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, Backoff


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """A command that is carried out."""

    reply: Reply
    """As it is stored then: SENDING with its text, or QUEUED where it became an answer."""
    language: str
    """Of the person who gave the command: "en" or "vi"."""
    settings: Settings
    """The conversation's, as they were before the command."""


class CommandExecutor:
    """Executes commands. Only /retry and /undo wait for an answer: for the end of one they stop."""

    def __init__(
        self,
        services: CommandServices,
        assistant: Assistant,
        button_cleanup: ButtonCleanup,
        *,
        bot_name: str = "Qwentin",
        backoff: Backoff = DATABASE_BACKOFF,
    ) -> None:
        self._services, self._store, self._assistant = services, services.store, assistant
        self._button_cleanup, self._bot_name, self._backoff = button_cleanup, bot_name, backoff

    async def carry_out(self, reply: Reply, release_slot: Callable[[], None]) -> CarriedOut:
        """Execute a claimed command. Waits for a database that can't be used.

        `release_slot` is called before a wait that may be long. Raises Stale, ChatIdChanged, Unreachable.
        """
        for attempt, pause in enumerate(self._backoff.pauses()):
            try:
                if attempt and (done := await self._already_done(reply)):
                    return done
                try:
                    return await self._execute(reply, release_slot)
                except (Stale, ChatIdChanged, Unreachable, Unavailable):
                    raise
                except Exception as error:
                    return await self._finish_with_error(reply, error)
            except Unavailable as error:
                DATABASE_TROUBLE.report(f"command {reply.id}", error)
            await asyncio.sleep(pause)
        raise AssertionError("a back-off never ends")

    async def _already_done(self, reply: Reply) -> CarriedOut | None:
        """The reply, if a commit whose result was lost has executed the command. Raises Stale where the reply became
        an answer."""
        async with self._store.begin() as tx:
            current = await tx.replies.get(reply.id)
            if current.attempt != reply.attempt:
                raise Stale(f"reply {reply.id}: it became an answer")
            if current.state is State.GENERATING:
                return None
            return CarriedOut(current, *await self._read_language_and_settings(tx, reply))

    async def _execute(self, reply: Reply, release_slot: Callable[[], None]) -> CarriedOut:
        """Raises Refused for a person who was admitted when the command was stored, and is not any more."""
        services, outcome = self._services, Outcome()
        line = parse_command(reply.text) or CommandLine("")
        command = find(line.name) or UNKNOWN
        arguments = command.arguments(line.argument, reply.options)
        matters = command.asks_role(line.argument)
        role = await services.roles.role(reply.chat, reply.author, reply.private, matters=matters)
        if not services.roles.access.admits(reply.chat, reply.author):
            raise Refused("refused.access", user=f"{reply.chat.platform}:{reply.author.id}")
        if command.stops_answer:
            release_slot()  # this may take as long as a platform is slow
            await self._stop_running_answer(reply, command, role)
        failpoint("commanding")
        check_call(command, line.argument, may_change=may_change(reply.private, role))
        try:
            async with self._store.begin() as tx:
                language, settings = await self._read_language_and_settings(tx, reply)
                call = Call(
                    reply,
                    command,
                    line,
                    arguments,
                    role,
                    model=self._assistant.model,
                    rules=services.rules,
                    filter=services.filter,
                    now=services.now(),
                    bot_name=self._bot_name,
                    language=language,
                    commands=COMMANDS,
                    guard_model=self._assistant.guard_model,
                )
                outcome = await command.handler(call, tx)
                if outcome.became_answer:
                    stored = await tx.replies.get(reply.id)
                else:
                    stored = await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final=outcome.text)
        except Unavailable:
            # The commit may have happened. What is withdrawn then is shown by the sweep, as after a crash: if it has
            # not happened, a withdrawn reply would still be queued.
            self._follow_up(reply, replace(outcome, withdrawn=()))
            raise
        failpoint("commanded")
        self._follow_up(reply, outcome)
        return CarriedOut(stored, language, settings)

    async def _stop_running_answer(self, reply: Reply, command: Command, role: Role) -> None:
        """Stop the running answer and wait for its end. Raises Refused for everybody but its asker and admins."""
        async with self._store.begin() as tx:
            active = [answer for answer in await tx.replies.open_answers(reply.chat) if answer.state in ACTIVE]
        for answer in active:
            if not may_control(is_asker(answer, reply.author), reply.private, role):
                raise Refused(f"{command.name}.others")
            await self._services.control.stop(answer)
            await self._services.control.wait_for_outcome(answer)

    async def _finish_with_error(self, reply: Reply, error: Exception) -> CarriedOut:
        async with self._store.begin() as tx:
            language, settings = await self._read_language_and_settings(tx, reply)
            text = describe_error(error, language, f"reply {reply.id}")
            stored = await tx.replies.move(reply, ReplyEvent.FINISH, outcome=outcome_of(error), final=text)
        return CarriedOut(stored, language, settings)

    async def _read_language_and_settings(self, tx: Transaction, reply: Reply) -> tuple[str, Settings]:
        language = await read_language(tx, reply.chat.platform, reply.author)
        return language, self._services.rules.settings(await tx.preferences.settings(reply.chat))

    def _follow_up(self, reply: Reply, outcome: Outcome) -> None:
        for reply_id in outcome.stopped:
            self._services.control.halt(reply_id)
        for withdrawn in outcome.withdrawn:
            self._services.control.cancelled(withdrawn)
        if outcome.deleted_question is not None:
            self._button_cleanup.note_deleted(outcome.deleted_question)
        if outcome.forget:
            self._assistant.forget(reply.chat)
        if outcome.chosen_language:
            self._services.languages.remember(reply.chat.platform, reply.author.id, outcome.chosen_language)
