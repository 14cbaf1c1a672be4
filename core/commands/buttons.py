"""What a press on a button does, judged when it comes. Whatever a press carries may be forged, or out of date."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from core.commands.button_payloads import ActionPayload, FormPayload, InertPayload, OpenFormPayload, SettingPayload
from core.commands.press import NO_RESULT, Press, PressResult
from core.commands.services import CommandServices
from core.commands.setting_handlers import RESET
from core.commands.settings_view import CHOICE_SETTINGS, FORM_SETTING, setting_revision
from core.domain.conversation import ChatId, Incoming, Reply, Role, Setting
from core.domain.errors import Refused
from core.domain.permissions import has_asked, is_asker, may_change, may_control
from core.domain.platform import PLACEHOLDER, ButtonAction, DeliveryError
from core.domain.reply_states import State
from core.domain.settings import MAX_COMMANDS, SETTING_PARSERS, Settings
from core.i18n import t
from core.i18n.error_texts import describe_error

FORM_ROLE_TIMEOUT_S = 1.5
"""Seconds to find out whether a person may change settings, before the form opens anyway. Discord allows three."""
MAX_REMEMBERED_REPLIES = 1000

Accept = Callable[[Incoming], Awaitable[Reply | None]]
"""Stores a message, see core.inbound.ingest.Ingest.accept."""


class ButtonActions:
    """Carries out presses of people who are admitted."""

    def __init__(self, services: CommandServices, accept: Accept) -> None:
        self._services, self._store, self._rules = services, services.store, services.rules
        self._accept = accept
        self._repeated: deque[int] = deque(maxlen=MAX_REMEMBERED_REPLIES)
        """Ids of answers that are being retried or continued: a second tap does nothing more."""

    async def press(self, press: Press, language: str) -> PressResult:
        """Do what the press asks for, where the person may. What goes wrong is told to them in the result."""
        result = NO_RESULT
        try:
            match press.payload:
                case InertPayload():
                    pass
                case ActionPayload(ButtonAction.STOP, reply_id):
                    result = await self._stop(press, reply_id, language)
                case ActionPayload(action, reply_id):
                    await self._repeat(press, reply_id, action)
                case SettingPayload(name, value, revision) if name in CHOICE_SETTINGS:
                    result = await self._change(press, name, value or press.value, revision, language)
                case FormPayload(revision):
                    result = await self._change(press, FORM_SETTING, press.value or RESET, revision, language)
                case OpenFormPayload():
                    result = await self._open_form(press)
                case _:
                    raise Refused("press.stale")
        except Exception as error:
            return PressResult(describe_error(error, language, f"press {press.id}"), alert=True)
        return result

    # Buttons under an answer

    async def _stop(self, press: Press, reply_id: int, language: str) -> PressResult:
        async with self._store.begin() as tx:
            found = await tx.replies.find(reply_id)
            is_stored = await tx.messages.exists(press.chat.platform, press.chat.chat, press.message_id)
            answers = await tx.replies.open_answers(press.chat)
        open_replies = [*answers, found] if found is not None and found.state.open else answers
        is_sending = any(chunk.message_id is None for reply in open_replies for chunk in reply.chunks)
        if is_unknown_placeholder(press, found, may_be_known=is_stored or is_sending):
            return PressResult(t(language, "press.removed"), remove_message=True)
        reply = _pressed_answer(press, found)
        if reply.state not in (State.QUEUED, State.GENERATING):
            raise Refused("stop.nothing")
        if not await self._may_control(press, asked=is_asker(reply, press.author)):
            raise Refused("stop.others")
        await self._services.control.stop(reply)
        return PressResult(t(language, "stop.done"))

    async def _repeat(self, press: Press, reply_id: int, action: ButtonAction) -> None:
        """Retry or continue, by the command of that name, which checks once more when its turn comes."""
        async with self._store.begin() as tx:
            found = await tx.replies.find(reply_id)
            question = await tx.turns.last_question(press.chat)
            is_busy = bool(await tx.replies.open_answers(press.chat))
            is_truncated = question is not None and await tx.turns.is_truncated(question.id)
        reply = _pressed_answer(press, found)
        if question is None or question.id != reply.question or is_busy:
            raise Refused("press.stale")
        if action is ButtonAction.CONTINUE and not is_truncated:
            raise Refused("press.stale")
        if not await self._may_control(press, asked=has_asked(question, press.author)):
            raise Refused(f"{action}.others")
        if reply.id in self._repeated:
            raise Refused("press.stale")
        self._repeated.append(reply.id)  # before the wait for the store, or a second tap would pass meanwhile
        try:
            command = await self._accept(_command(press, f"/{action}"))
            if command is not None and command.state is not State.QUEUED:  # too many commands, and told so
                raise Refused("busy.commands", most=MAX_COMMANDS)
        except BaseException:  # nothing is repeated, and another tap may try it
            with suppress(ValueError):
                self._repeated.remove(reply.id)
            raise

    # The settings panel

    async def _open_form(self, press: Press) -> PressResult:
        """The form's settings, so that nobody fills in in vain what they may not change.

        Where the platform does not tell the role in time, the form opens: filled in, it is judged again.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FORM_ROLE_TIMEOUT_S):
                await self._check_may_change(press)
        return PressResult(form=await self.settings(press.chat))

    async def _change(self, press: Press, name: str, text: str, revision: str, language: str) -> PressResult:
        """Set a setting, or reset it (RESET), if the panel that was pressed showed the value which is in force."""
        if not press.private:  # a private chat is everyone's own: no role is asked for
            await self._check_may_change(press)
        setting = None
        if text != RESET:
            setting = Setting(str(SETTING_PARSERS[name](text)), press.author.name, self._services.now())
        async with self._store.begin() as tx:
            settings = self._rules.settings(await tx.preferences.settings(press.chat))
            is_current = setting_revision(press.chat, settings, name) == revision
            if is_current:
                if setting is None:
                    await tx.preferences.delete(press.chat, name)
                elif self._services.filter.check(setting.value, settings.policy).blocked:
                    raise Refused("blocked.setting")
                else:
                    await tx.preferences.set(press.chat, name, setting)
                settings = self._rules.settings(await tx.preferences.settings(press.chat))
        value = settings.values[name]
        # A second tap on the same button finds the value that the first one has set: nothing is out of date then.
        if not is_current and value.value != self._rules.value(name, setting).value:
            return PressResult(t(language, "press.changed"), alert=True, panel=settings)
        return PressResult(t(language, "press.clamped") if value.clamped else "", panel=settings)

    async def settings(self, chat: ChatId) -> Settings:
        """What a panel of the conversation shows now. Raises what the store raises."""
        async with self._store.begin() as tx:
            return self._rules.settings(await tx.preferences.settings(chat))

    # Who may

    async def _check_may_change(self, press: Press) -> None:
        if press.private:  # everyone may there
            return
        if not may_change(press.private, await self._role(press)):
            raise Refused("refused.press")

    async def _may_control(self, press: Press, *, asked: bool) -> bool:
        """The role of the person who asked is not looked up: a platform that can't tell it is no obstacle to them."""
        role = Role.MEMBER if asked else await self._role(press)
        return may_control(asked, press.private, role)

    async def _role(self, press: Press) -> Role:
        """Raises Refused where the platform can't tell the person's role."""
        try:
            return await self._services.roles.role(press.chat, press.author, press.private)
        except DeliveryError as error:
            raise Refused("error.role") from error


def _pressed_answer(press: Press, reply: Reply | None) -> Reply:
    """The answer that the button names, if it is under that. Raises Refused otherwise."""
    is_here = reply is not None and reply.chat == press.chat and reply.is_answer
    if reply is None or not is_here or press.message_id not in [chunk.message_id for chunk in reply.chunks]:
        raise Refused("press.stale")
    return reply


def _command(press: Press, text: str) -> Incoming:
    """The message of somebody who types a command in place of the press."""
    return Incoming(
        press.chat,
        press.bot,
        f"b:{press.id}",
        press.seq,
        press.author,
        text,
        press.private,
        press.at,
        press.reply_token,
    )


def is_unknown_placeholder(press: Press, reply: Reply | None, *, may_be_known: bool) -> bool:
    """Whether the message under the pressed Stop button is a placeholder that belongs to no reply.

    A crash leaves one where it comes after the platform has taken the message and before its id is stored. `reply` is
    the one that the button names. `may_be_known`: a reply there has the message, or one is being sent there, which may
    be this very message, whose id is not stored yet.
    """
    if may_be_known or reply is None or press.chat not in (reply.chat, replace(reply.chat, thread="")):
        return False  # but it may stand outside its reply's thread
    return press.message_text == PLACEHOLDER and press.message_id not in [chunk.message_id for chunk in reply.chunks]
