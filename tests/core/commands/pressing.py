"""A bot whose buttons are pressed."""

from dataclasses import dataclass, replace

from core.commands.button_payloads import ActionPayload, ButtonPayload, FormPayload, SettingPayload
from core.commands.press import Press, PressResult
from core.domain.conversation import Author, ChatId, Reply
from core.domain.platform import ButtonAction
from storage.store import now_ms
from tests.conftest import Bot
from tests.fakes import ANN


@dataclass
class Pressing:
    """A bot whose buttons are pressed."""

    bot: Bot
    count: int = 0

    async def __call__(
        self, action: ButtonAction, reply: Reply, by: Author = ANN, *, chat: ChatId | None = None, message: str = ""
    ) -> PressResult:
        press = self.press(ActionPayload(action, reply.id), reply, by)
        return await self.send(replace(press, chat=chat or press.chat, message_id=message or press.message_id))

    async def set(self, reply: Reply, by: Author, name: str, value: str, revision: str) -> PressResult:
        """A button of the panel."""
        return await self.send(self.press(SettingPayload(name, value, revision), reply, by))

    async def choose(self, reply: Reply, by: Author, name: str, value: str, revision: str) -> PressResult:
        """A list of the panel."""
        return await self.send(replace(self.press(SettingPayload(name, "", revision), reply, by), value=value))

    async def fill_in(self, reply: Reply, by: Author, text: str, revision: str) -> PressResult:
        """The form of the panel."""
        return await self.send(replace(self.press(FormPayload(revision), reply, by), value=text))

    async def send(self, press: Press) -> PressResult:
        language = await self.bot.service.languages.of(press.chat.platform, press.author)
        return await self.bot.service.buttons.press(press, language)

    def press(self, payload: ButtonPayload | None, reply: Reply, by: Author) -> Press:
        self.count += 1
        message = next(iter(self.bot.platform.channels[reply.id].messages))
        return Press(f"p{self.count}", reply.chat, message, by, reply.private, "bot", now_ms(), payload, seq=7)
