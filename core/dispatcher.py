"""The work queue: accept, claim, run, recover. One active answer a conversation; commands and notices run beside it."""

import asyncio
import itertools
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from core.access import Access
from core.assistant import Assistant, Ending
from core.chat import Incoming, Platform, Reply, Role, Stale, Store
from core.commands import UNKNOWN, Call, find, parse, run
from core.errors import ChatError, Refused
from core.intake import Intake
from core.live_message import LiveMessage, RateGate
from core.splitting import close
from core.states import ACTIVE, Event, Lane, State
from core.texts import choose, say

log = logging.getLogger(__name__)

NOTICES_AT_ONCE = 8


class _Hand:
    """One of the few that work at once. Let go as soon as the scarce part is over, at the latest at the end."""

    def __init__(self, hands: asyncio.Semaphore) -> None:
        self._hands: asyncio.Semaphore | None = hands

    def let_go(self) -> None:
        """Idempotent."""
        hands, self._hands = self._hands, None
        if hands is not None:
            hands.release()


class Dispatcher:
    """Sees to it that every stored message gets its outcome. Knows platforms only through their protocol."""

    def __init__(
        self,
        store: Store,
        assistant: Assistant,
        platforms: Mapping[str, Platform],
        access: Access,
        *,
        now: Callable[[], int],
        name: str = "Qwentin",
    ) -> None:
        self._store, self._assistant, self._platforms, self._access = store, assistant, platforms, access
        self._now, self._name = now, name
        self._intake = Intake(store, access, self._pulse)
        self._instance = secrets.token_hex(4)
        self._rate = RateGate()
        self._stops: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recover, then work until the block is left. What is then unfinished stays in the store for the next start.

        If one of the loops dies, the block is cancelled and its error raised.
        """
        async with self._store.begin() as tx:
            unfinished = await tx.replies.recover(self._platforms)
        work = (
            self._intake.write(),
            self._resume(unfinished),
            self._serve(Lane.ANSWER, self._assistant.model.slots),
            self._serve(Lane.NOTICE, NOTICES_AT_ONCE),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [tasks.create_task(each) for each in work]
                try:
                    yield
                finally:
                    for task in loops:
                        task.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def accept(self, incoming: Incoming) -> Reply | None:
        """C1: returns when the message is stored. None: it was stored before, or nothing is owed for it."""
        return await self._intake.accept(incoming)

    async def outcome(self, reply: Reply) -> Reply:
        """The reply, once nothing is owed for it any more."""
        while True:
            changed = self._changed
            async with self._store.begin() as tx:
                current = await tx.replies.get(reply.id)
            if not current.state.open:
                return current
            await changed.wait()

    async def stop(self, reply: Reply) -> None:
        """Stop a reply as /stop does, without a notice of its own (Ctrl-C, a button). Idempotent."""
        try:
            async with self._store.begin() as tx:
                moved = await tx.replies.move(await tx.replies.get(reply.id), Event.STOP)
        except Stale:
            return
        if moved.state is State.GENERATING:
            self._halt(reply.id)
        self._pulse()

    # Claim and run

    async def _resume(self, unfinished: Sequence[Reply]) -> None:
        """What the last process left in mid-air: it needs no model, so it needs no hand."""
        await asyncio.gather(*(self._run(reply, _Hand(asyncio.Semaphore())) for reply in unfinished))

    async def _serve(self, lane: Lane, at_once: int) -> None:
        hands = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await hands.acquire()
                reply = await self._claim(lane)
                tasks.create_task(self._run(reply, _Hand(hands)))

    async def _claim(self, lane: Lane) -> Reply:
        """The next reply, however long it takes; a database in trouble is tried again, ever more slowly."""
        pauses = _backoff()
        while True:
            changed = self._changed
            try:
                async with self._store.begin() as tx:
                    reply = await tx.replies.claim(lane, self._platforms, self._now())
            except Exception as error:
                log.error("nothing can be claimed; trying again\n%s", _trace(error))
                await asyncio.sleep(next(pauses))
                continue
            if reply is not None:
                return reply
            pauses = _backoff()
            await changed.wait()

    async def _run(self, reply: Reply, hand: _Hand) -> None:
        """A claimed reply to its end. Whatever goes wrong here stays in this conversation."""
        try:
            await self._bring(reply, hand)
        except Stale as stale:
            log.debug("%s", stale)
        except Exception as error:
            await self._give_up(reply, error)
        finally:
            if reply.lane is Lane.ANSWER:
                self._stops.pop(reply.id, None)
            hand.let_go()
            self._pulse()

    async def _bring(self, reply: Reply, hand: _Hand) -> None:
        language = await self._language(reply)
        async with self._live(reply) as live:
            if reply.state is State.GENERATING:
                doing = self._answer if reply.lane is Lane.ANSWER else self._notice
                reply = await doing(reply, live, language, hand)
            hand.let_go()  # showing takes no model: a slow platform must not keep others from theirs
            if reply.state is not State.SENDING:
                return  # /retry: the command's row waits in the other lane now
            await live.finish(_shown(reply.final or "", live, language))
        async with self._store.begin() as tx:  # C7
            await tx.replies.move(reply, Event.DELIVER)

    async def _give_up(self, reply: Reply, error: Exception) -> None:
        """An apology in place of what can't be shown, if even that can be; then nothing more is owed."""
        try:
            async with self._store.begin() as tx:
                reply = await tx.replies.get(reply.id)
            async with self._live(reply) as live:
                await live.finish(_words(error, choose("auto", reply.author.locale), reply))
        except Exception as again:
            log.error("reply %s can't be shown\n%s", reply.id, _trace(again))
        try:
            async with self._store.begin() as tx:
                await tx.replies.move(reply, Event.FAIL)
        except Exception as again:
            log.error("reply %s can't be given up\n%s", reply.id, _trace(again))

    def _live(self, reply: Reply) -> LiveMessage:
        surface = self._platforms[reply.chat.platform].surface(reply)
        return LiveMessage(self._store, reply, surface, self._rate, self._instance, self._allowed)

    def _allowed(self, rendered: str) -> bool:
        return not self._assistant.filter.check(rendered).blocked

    # The answer lane

    async def _answer(self, reply: Reply, live: LiveMessage, language: str, hand: _Hand) -> Reply:
        stop = self._stops.setdefault(reply.id, asyncio.Event())
        ending, notice = await self._ending(reply, live, stop, language)
        final = "\n\n".join(filter(None, (close(ending.text), notice)))
        if ending.text and not live.allows(final):
            ending, final = Ending(State.DONE), say(language, "refused.answer")
        async with self._store.begin() as tx:  # C6
            if ending.outcome is State.REFUSED and reply.question:
                await tx.turns.forget_pair(reply.question)
            else:
                await tx.turns.remember(reply, ending.text)
            return await tx.replies.move(reply, Event.FINISH, outcome=ending.outcome, final=final)

    async def _ending(self, reply: Reply, live: LiveMessage, stop: asyncio.Event, language: str) -> tuple[Ending, str]:
        if reply.outcome is State.STOPPED:  # stopped, and then a crash: nothing is generated any more
            return Ending(State.STOPPED), say(language, "mark.stopped")
        try:
            ending = await self._assistant.answer(reply, live, stop)
        except Exception as error:
            return Ending(_outcome(error)), _words(error, language, reply)
        return ending, say(language, ending.notice) if ending.notice else ""

    # The notice lane

    async def _notice(self, reply: Reply, live: LiveMessage, language: str, hand: _Hand) -> Reply:
        try:
            return await self._carry_out(await self._call(reply, language), hand)
        except Stale:
            raise
        except Exception as error:
            outcome, words = _outcome(error), _words(error, language, reply)
            async with self._store.begin() as tx:
                return await tx.replies.move(reply, Event.FINISH, outcome=outcome, final=words)

    async def _call(self, reply: Reply, language: str) -> Call:
        """What the command will need: asked outside any transaction, at this moment."""
        name, argument = parse(reply.text) or ("", "")
        command = find(name) or UNKNOWN
        role = Role.ADMIN if reply.private else Role.MEMBER
        if not reply.private and command.asks_role(argument):
            role = await self._platforms[reply.chat.platform].role(reply)
        return Call(
            reply,
            command,
            argument,
            self._access.role(reply.chat.platform, reply.author, role),
            model=self._assistant.model,
            rules=self._assistant.rules,
            now=self._now(),
            name=self._name,
            language=language,
        )

    async def _carry_out(self, call: Call, hand: _Hand) -> Reply:
        if not self._access.admits(call.reply.chat, call.reply.author):
            raise Refused("refused.access", user=f"{call.reply.chat.platform}:{call.reply.author.id}")
        if call.command.settles:
            hand.let_go()  # this may take as long as a platform is slow
            await self._settle(call)
        async with self._store.begin() as tx:
            text = await run(call, tx)
            if text is not None:
                reply = await tx.replies.move(call.reply, Event.FINISH, outcome=State.DONE, final=text)
            else:
                reply = await tx.replies.get(call.reply.id)
        for stopped in call.stopped:
            self._halt(stopped)
        return reply

    async def _settle(self, call: Call) -> None:
        """Stop the running answer, which only its asker and admins may, and wait until it is done."""
        async with self._store.begin() as tx:
            active = [reply for reply in await tx.replies.open(call.reply.chat) if reply.state in ACTIVE]
        for reply in active:
            if not (call.setter or call.owns(reply)):
                raise Refused(f"{call.command.name}.others")
            await self.stop(reply)
            await self.outcome(reply)

    # Small things

    async def _language(self, reply: Reply) -> str:
        async with self._store.begin() as tx:
            wanted = await tx.preferences.language(reply.chat.platform, reply.author.id)
        return choose(wanted, reply.author.locale)

    def _halt(self, reply_id: int) -> None:
        """Raise the flag of a reply that is being generated; its run may not have looked for it yet."""
        self._stops.setdefault(reply_id, asyncio.Event()).set()

    def _pulse(self) -> None:
        """Wake everybody who waits for a change; each looks for himself whether it was his."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, ... 30, 30, ..."""
    return (min(2.0**n, 30.0) for n in itertools.count())


def _shown(text: str, live: LiveMessage, language: str) -> str:
    """The last gate of all: commands repeat what people wrote."""
    return text if live.allows(text) else say(language, "refused.answer")


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _outcome(error: Exception) -> State:
    return State.REFUSED if isinstance(error, Refused) else State.FAILED


def _words(error: Exception, language: str, reply: Reply) -> str:
    """The one place where errors become words for people. A bug becomes an apology with an id, which the log has."""
    if isinstance(error, ChatError):
        return say(language, error.key, **error.values)
    bug = secrets.token_hex(3)
    log.error("error %s in reply %s\n%s", bug, reply.id, _trace(error))
    return say(language, "error.bug", id=bug)


def _trace(error: BaseException) -> str:
    """Where it happened and of what kind, without the errors' own messages: they may quote what people wrote."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    return (f"{_trace(cause)}\n" if cause else "") + f"{lines}{type(error).__module__}.{type(error).__qualname__}"
