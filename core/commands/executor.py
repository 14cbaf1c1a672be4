"""Executes claimed commands: from the role of the person who asks to the stored reply."""

import itertools
from collections.abc import Callable

from core.answering.assistant import Assistant
from core.commands.context import Call, Outcome, check_call
from core.commands.registry import COMMANDS, UNKNOWN, find
from core.commands.services import CommandServices
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Reply
from core.domain.errors import Refused, outcome_of
from core.domain.permissions import is_asker
from core.domain.platform import ChatIdChanged, Unreachable
from core.domain.reply_states import ACTIVE, ReplyEvent, State
from core.domain.store import Stale, Transaction, Unavailable
from core.i18n.error_texts import describe_error
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, Backoff, while_unavailable


class CommandExecutor:
    """Executes commands in the notice lane. Only /retry and /undo wait for an answer: for the end of one they stop."""

    def __init__(
        self,
        services: CommandServices,
        assistant: Assistant,
        *,
        bot_name: str = "Qwentin",
        backoff: Backoff = DATABASE_BACKOFF,
    ) -> None:
        self._services, self._store, self._assistant = services, services.store, assistant
        self._bot_name, self._backoff = bot_name, backoff

    async def carry_out(self, reply: Reply, language: str, release_slot: Callable[[], None]) -> Reply:
        """Execute a claimed command and return its reply as it is stored then: SENDING with its text, or QUEUED where
        the command became an answer.

        Waits for a database that can't be used. `release_slot` is called before a wait that may be long. Raises Stale,
        ChatIdChanged, Unreachable.
        """
        attempts = itertools.count(1)

        async def attempt() -> Reply:
            if next(attempts) > 1 and (done := await self._already_done(reply)):
                return done
            return await self._try_once(reply, language, release_slot)

        return await while_unavailable(f"command {reply.id}", attempt, self._backoff)

    async def _already_done(self, reply: Reply) -> Reply | None:
        """The reply, if a commit whose result was lost has executed the command. Raises Stale where the reply became
        an answer."""
        async with self._store.begin() as tx:
            current = await tx.replies.get(reply.id)
        if current.attempt != reply.attempt:
            raise Stale(f"reply {reply.id}: it became an answer")
        return current if current.state is not State.GENERATING else None

    async def _try_once(self, reply: Reply, language: str, release_slot: Callable[[], None]) -> Reply:
        try:
            return await self._execute(await self._call(reply, language), release_slot)
        except (Stale, ChatIdChanged, Unreachable, Unavailable):
            raise
        except Exception as error:
            text = describe_error(error, language, f"reply {reply.id}")
            async with self._store.begin() as tx:
                return await tx.replies.move(reply, ReplyEvent.FINISH, outcome=outcome_of(error), final=text)

    async def _call(self, reply: Reply, language: str) -> Call:
        """All that the command will need. The role is asked for outside any transaction."""
        line = parse_command(reply.text) or CommandLine("")
        command = find(line.name) or UNKNOWN
        services, model = self._services, self._assistant.model
        role = services.roles.unasked(reply.chat.platform, reply.author)
        if reply.private or command.asks_role(line.argument):
            role = await services.roles.role(reply.chat, reply.author, reply.private)
        return Call(
            reply,
            command,
            line,
            command.arguments(line.argument, reply.options),
            role,
            model=model,
            rules=services.rules,
            filter=services.filter,
            now=services.now(),
            bot_name=self._bot_name,
            language=language,
            commands=COMMANDS,
        )

    async def _execute(self, call: Call, release_slot: Callable[[], None]) -> Reply:
        """Raises Refused for a person who was admitted when the command was stored, and is not any more."""
        chat, author = call.reply.chat, call.reply.author
        if not self._services.roles.admits(chat, author):
            raise Refused("refused.access", user=f"{chat.platform}:{author.id}")
        if call.command.stops_answer:
            release_slot()  # this may take as long as a platform is slow
            await self._stop_running_answer(call)
        failpoint("commanding")
        check_call(call)
        outcome = Outcome()
        try:
            async with self._store.begin() as tx:
                outcome = await call.command.handler(call, tx)
                reply = await _store_outcome(tx, call.reply, outcome)
        except Unavailable:
            self._follow_up(call.reply, outcome)  # the commit may have happened
            raise
        failpoint("commanded")
        self._follow_up(call.reply, outcome)
        return reply

    async def _stop_running_answer(self, call: Call) -> None:
        """Stop the running answer and wait for its end. Raises Refused for everybody but its asker and admins."""
        async with self._store.begin() as tx:
            active = [reply for reply in await tx.replies.open_answers(call.reply.chat) if reply.state in ACTIVE]
        for reply in active:
            if not call.may_control(is_asker(reply, call.reply.author)):
                raise Refused(f"{call.command.name}.others")
            await self._services.control.stop(reply)
            await self._services.control.wait_for_outcome(reply)

    def _follow_up(self, reply: Reply, outcome: Outcome) -> None:
        for reply_id in outcome.stopped:
            self._services.control.halt(reply_id)
        for cancelled in outcome.cancelled:
            self._services.control.tidy(cancelled)
        if outcome.forget:
            self._assistant.forget(reply.chat)
        if outcome.chosen_language:
            self._services.languages.remember(reply.chat.platform, reply.author.id, outcome.chosen_language)


async def _store_outcome(tx: Transaction, reply: Reply, outcome: Outcome) -> Reply:
    if outcome.became_answer:
        return await tx.replies.get(reply.id)
    return await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final=outcome.text)
