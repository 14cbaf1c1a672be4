"""Buttons: what a press does, judged at this moment. Whatever a press carries may be forged, stale or a stranger's."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from core.commands.settings_view import PANEL, TYPED, revision
from core.domain.conversation import Author, ChatId, Incoming, Question, Reply, Role, Setting
from core.domain.errors import Refused
from core.domain.permissions import Access
from core.domain.platform import PLACEHOLDER, ButtonAction, DeliveryError
from core.domain.reply_states import Lane, State
from core.domain.settings import SETTING_PARSERS, Rules, Settings
from core.domain.store import Store
from core.filters import Filter
from core.i18n import choose_language, t
from core.i18n.error_texts import describe_error

RESET = "reset"
"""In place of a value: back to the default, as with the commands."""


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button under one of the bot's messages. `id` is the platform's, unique for a bot."""

    id: str
    chat: ChatId
    message_id: str
    seq: int
    author: Author
    private: bool
    bot: str
    at: int
    reply_token: str = field(default="", repr=False)
    """See core.domain.conversation.Incoming."""
    text: str | None = field(default=None, repr=False)
    """What the message shows, where the platform says so and it is the bot's own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the presser alone is told; "" is nothing. `alert`: so that he must see it. `remove`: the message under whose
    button he pressed is nobody's, and goes."""

    text: str
    alert: bool = False
    remove: bool = False


class Desk(Protocol):
    """What presses need of the dispatcher."""

    async def accept(self, incoming: Incoming) -> Reply | None: ...
    async def stop(self, reply: Reply) -> None: ...
    async def role(self, chat: ChatId, author: Author, *, private: bool) -> Role: ...


class ButtonActions:
    """Does what a press asks for, where the presser may."""

    def __init__(
        self, store: Store, desk: Desk, access: Access, rules: Rules, content_filter: Filter, now: Callable[[], int]
    ) -> None:
        self._store, self._desk, self._access, self._rules, self._now = store, desk, access, rules, now
        self._filter = content_filter
        self._again: deque[int] = deque(maxlen=1000)
        """Answers that are being retried or continued: a second tap is one too many."""

    async def language(self, press: Press) -> str:
        """The presser's."""
        async with self._store.begin() as tx:
            wanted = await tx.preferences.language(press.chat.platform, press.author.id)
        return choose_language(wanted, press.author.locale)

    async def settings(self, chat: ChatId) -> Settings:
        """What is in force there now."""
        async with self._store.begin() as tx:
            return self._rules.settings(await tx.preferences.settings(chat))

    async def act(self, press: Press, action: ButtonAction, reply_id: int) -> Answer:
        """Stop, retry or continue the answer that the button is under."""
        language = await self.language(press)
        try:
            if action is ButtonAction.STOP and await self._orphaned(press, reply_id):
                return Answer(t(language, "press.removed"), remove=True)
            reply = await self._pressed(press, reply_id)
            if action is ButtonAction.STOP:
                await self._stop(press, reply)
                return Answer(t(language, "stop.done"))
            await self._once_more(press, reply, action)
            return Answer("")
        except Exception as error:
            return Answer(describe_error(error, language, f"press {press.id}"), alert=True)

    async def change(self, press: Press, name: str, text: str, seen: str) -> tuple[Answer, Settings | None]:
        """Set one of the panel's settings, if the panel showed what is still so (`seen` is the value's revision); and
        what the panel should show now. RESET goes back to the default."""
        return await self._changed(press, name if name in PANEL else "", text, seen)

    async def fill_in(self, press: Press, text: str, seen: str) -> tuple[Answer, Settings | None]:
        """The same for what is typed into a form of the panel."""
        return await self._changed(press, TYPED, text or RESET, seen)

    async def may_change(self, press: Press) -> Answer | None:
        """What the presser is told who may not change settings there, so that nobody fills in a form for nothing."""
        language = await self.language(press)
        try:
            await self._ask(press)
        except Exception as error:
            return Answer(describe_error(error, language, f"press {press.id}"), alert=True)
        return None

    async def _ask(self, press: Press) -> None:
        self._admit(press)
        if not await self._setter(press):
            raise Refused("refused.press")

    async def _changed(self, press: Press, name: str, text: str, seen: str) -> tuple[Answer, Settings | None]:
        language = await self.language(press)
        try:
            await self._ask(press)
            changed, settings = await self._change(press, name, text, seen)
        except Exception as error:
            return Answer(describe_error(error, language, f"press {press.id}"), alert=True), None
        if not changed:
            return Answer(t(language, "press.changed"), alert=True), settings
        value = settings.values[name]
        return Answer(t(language, "press.clamped") if value.clamped else ""), settings

    async def _orphaned(self, press: Press, reply_id: int) -> bool:
        """See `orphaned`. Who is admitted may remove it: it is nobody's."""
        self._admit(press)
        async with self._store.begin() as tx:
            reply = await tx.replies.find(reply_id)
            shown = await tx.messages.exists(press.chat.platform, press.chat.chat, press.message_id)
            answers = await tx.replies.open_answers(press.chat)
        sending = any(chunk.message_id is None for answer in answers for chunk in answer.chunks)
        return orphaned(press, reply, known=shown or sending)

    async def _pressed(self, press: Press, reply_id: int) -> Reply:
        """The answer that the button is under. Raises Refused for one that is not, whatever the button says."""
        self._admit(press)
        async with self._store.begin() as tx:
            reply = await tx.replies.find(reply_id)
        here = reply is not None and reply.chat == press.chat and reply.lane is Lane.ANSWER
        if reply is None or not here or press.message_id not in [chunk.message_id for chunk in reply.chunks]:
            raise Refused("press.stale")
        return reply

    async def _stop(self, press: Press, reply: Reply) -> None:
        if reply.state not in (State.QUEUED, State.GENERATING):
            raise Refused("stop.nothing")
        asker = reply.asker.id if reply.asker else ""
        if press.author.id not in (reply.author.id, asker) and not await self._setter(press):
            raise Refused("stop.others")
        await self._desk.stop(reply)

    async def _once_more(self, press: Press, reply: Reply, action: ButtonAction) -> None:
        """As the command does, which checks once more when its turn comes."""
        async with self._store.begin() as tx:
            question = await tx.turns.last_question(press.chat)
            busy = bool(await tx.replies.open_answers(press.chat))
            cut = question is not None and await tx.turns.is_truncated(question.id)
        if question is None or question.id != reply.question or busy or (action is ButtonAction.CONTINUE and not cut):
            raise Refused("press.stale")
        await self._ours(press, question, action)
        command = Incoming(
            press.chat,
            press.bot,
            f"b:{press.id}",
            press.seq,
            press.author,
            f"/{action}",
            press.private,
            press.at,
            press.reply_token,
        )
        if reply.id in self._again:
            raise Refused("press.stale")
        await self._desk.accept(command)
        self._again.append(reply.id)

    async def _ours(self, press: Press, question: Question, action: ButtonAction) -> None:
        if press.author.id != question.author.id and not await self._setter(press):
            raise Refused(f"{action}.others")

    async def _change(self, press: Press, name: str, text: str, seen: str) -> tuple[bool, Settings]:
        if not name:
            raise Refused("press.stale")
        setting = Setting(str(SETTING_PARSERS[name](text)), press.author.name, self._now()) if text != RESET else None
        async with self._store.begin() as tx:
            before = self._rules.settings(await tx.preferences.settings(press.chat))
            if revision(press.chat, before, name) != seen:
                wanted = self._rules.value(name, setting).value  # tapped twice: it is so already
                return before.values[name].value == wanted, before
            if setting and self._filter.check(setting.value, before.policy).blocked:
                raise Refused("blocked.setting")
            if setting:
                await tx.preferences.set(press.chat, name, setting)
            else:
                await tx.preferences.delete(press.chat, name)
            return True, self._rules.settings(await tx.preferences.settings(press.chat))

    def _admit(self, press: Press) -> None:
        if not self._access.admits(press.chat, press.author):
            raise Refused("refused.access", user=f"{press.chat.platform}:{press.author.id}")

    async def _setter(self, press: Press) -> bool:
        try:
            return press.private or await self._desk.role(press.chat, press.author, private=False) >= Role.ADMIN
        except DeliveryError as error:
            raise Refused("error.role") from error


def orphaned(press: Press, reply: Reply | None, *, known: bool) -> bool:
    """Whether the message under whose Stop button somebody pressed is an empty stub that nobody knows: a crash between
    the platform's taking it and its id being stored leaves one.

    `known`: a reply there has it; or one is being sent, which may be this very message, whose id is not stored yet.
    """
    if known or reply is None or reply.lane is not Lane.ANSWER or reply.chat != press.chat:
        return False
    return press.text == PLACEHOLDER and press.message_id not in [chunk.message_id for chunk in reply.chunks]
