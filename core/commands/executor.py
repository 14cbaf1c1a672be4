"""The notice lane: a command is carried out, from who may to what is said. It never waits for an answer in progress."""

from collections.abc import Callable, Mapping
from typing import Protocol

from core.answering.assistant import Assistant
from core.commands.context import Call, check_call
from core.commands.registry import COMMANDS, UNKNOWN, find
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Author, ChatId, Reply, Role
from core.domain.errors import Refused, outcome_of
from core.domain.permissions import Access
from core.domain.platform import ChatMoved, DeliveryError, Platform, Unreachable
from core.domain.reply_states import ACTIVE, Event, State
from core.domain.store import Stale, Store, Unavailable
from core.i18n.error_texts import describe_error
from core.runtime.failpoints import failpoint
from core.runtime.retry import while_unavailable


class Desk(Protocol):
    """What the clerk needs of the dispatcher."""

    name: str
    """The bot's own."""

    async def stop(self, reply: Reply) -> None: ...
    async def outcome(self, reply: Reply) -> Reply: ...
    def halt(self, reply_id: int) -> None: ...
    def tidy(self, reply: Reply) -> None: ...


class CommandExecutor:
    """Carries out commands for whoever may give them."""

    def __init__(
        self,
        store: Store,
        assistant: Assistant,
        platforms: Mapping[str, Platform],
        access: Access,
        desk: Desk,
        now: Callable[[], int],
    ) -> None:
        self._store, self._assistant, self._platforms, self._access = store, assistant, platforms, access
        self._desk, self._now = desk, now

    async def carry_out(self, reply: Reply, language: str, let_go: Callable[[], None]) -> Reply:
        """A claimed command to what is said about it; a database in trouble is waited for. `let_go` is called before a
        wait that may be long."""
        again = False

        async def step() -> Reply:
            nonlocal again
            if again and (done := await self._done(reply)):
                return done
            again = True
            return await self._tried(reply, language, let_go)

        return await while_unavailable(f"command {reply.id}", step)

    async def _done(self, reply: Reply) -> Reply | None:
        """The reply, if the command was carried out by a commit that nobody knew had happened. Raises Stale where it
        runs on as an answer."""
        async with self._store.begin() as tx:
            current = await tx.replies.get(reply.id)
        if current.attempt != reply.attempt:
            raise Stale(f"reply {reply.id}: it runs on as an answer")
        return current if current.state is not State.GENERATING else None

    async def _tried(self, reply: Reply, language: str, let_go: Callable[[], None]) -> Reply:
        try:
            return await self._do(await self._call(reply, language), let_go)
        except (Stale, ChatMoved, Unreachable, Unavailable):
            raise
        except Exception as error:
            said = describe_error(error, language, f"reply {reply.id}")
            async with self._store.begin() as tx:
                return await tx.replies.move(reply, Event.FINISH, outcome=outcome_of(error), final=said)

    async def role(self, chat: ChatId, author: Author, *, private: bool) -> Role:
        """What a person may do in a chat, asked at this moment. Raises Refused where the platform can't tell."""
        if private:
            return self._access.role(chat.platform, author, Role.ADMIN)
        try:
            role = await self._platforms[chat.platform].role(chat, author)
        except (ChatMoved, Unreachable):
            raise
        except DeliveryError as error:
            raise Refused("error.role") from error
        return self._access.role(chat.platform, author, role)

    async def _call(self, reply: Reply, language: str) -> Call:
        """What the command will need: asked outside any transaction, at this moment."""
        line = parse_command(reply.text) or CommandLine("")
        command = find(line.name) or UNKNOWN
        role = self._access.role(reply.chat.platform, reply.author, Role.MEMBER)
        if reply.private or command.asks_role(line.argument):
            role = await self.role(reply.chat, reply.author, private=reply.private)
        return Call(
            reply,
            command,
            line,
            role,
            model=self._assistant.model,
            rules=self._assistant.rules,
            filter=self._assistant.filter,
            now=self._now(),
            bot_name=self._desk.name,
            language=language,
            commands=COMMANDS,
        )

    async def _do(self, call: Call, let_go: Callable[[], None]) -> Reply:
        if not self._access.admits(call.reply.chat, call.reply.author):
            raise Refused("refused.access", user=f"{call.reply.chat.platform}:{call.reply.author.id}")
        if call.command.stops_answer:
            let_go()  # this may take as long as a platform is slow
            await self._settle(call)
        failpoint("commanding")
        try:
            async with self._store.begin() as tx:
                check_call(call)
                text = await call.command.handler(call, tx)
                if text is not None:
                    reply = await tx.replies.move(call.reply, Event.FINISH, outcome=State.DONE, final=text)
                else:
                    reply = await tx.replies.get(call.reply.id)
        except Unavailable:
            self._follow_up(call)  # it may be stored, or will be
            raise
        failpoint("commanded")
        self._follow_up(call)
        return reply

    def _follow_up(self, call: Call) -> None:
        for stopped in call.stopped:
            self._desk.halt(stopped)
        for cancelled in call.cancelled:
            self._desk.tidy(cancelled)
        if call.forgets:
            self._assistant.forget(call.reply.chat)

    async def _settle(self, call: Call) -> None:
        """Stop the running answer, which only its asker and admins may, and wait until it is done."""
        async with self._store.begin() as tx:
            active = [reply for reply in await tx.replies.open_answers(call.reply.chat) if reply.state in ACTIVE]
        for reply in active:
            if not (call.setter or call.owns(reply)):
                raise Refused(f"{call.command.name}.others")
            await self._desk.stop(reply)
            await self._desk.outcome(reply)
