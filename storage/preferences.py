"""Settings of conversations, interface languages of people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import ChatId, Setting, fit_id
from storage.chats import get_chat, get_or_create_chat
from storage.tables import ChatRow, SettingRow, UserRow


class SqlPreferences:
    """See core.domain.store.Preferences."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def settings(self, chat: ChatId) -> Mapping[str, Setting]:
        inherited = await self._rows(replace(chat, thread="")) if chat.thread else []
        return {
            **{row.name: Setting(row.value, row.set_by, row.set_at, inherited=True) for row in inherited},
            **{row.name: Setting(row.value, row.set_by, row.set_at) for row in await self._rows(chat)},
        }

    async def _rows(self, chat: ChatId) -> Sequence[SettingRow]:
        fitted = chat.fitted()
        here = ChatRow.platform == fitted.platform, ChatRow.chat == fitted.chat, ChatRow.thread == fitted.thread
        query = select(SettingRow).join(ChatRow, ChatRow.id == SettingRow.chat_id).where(*here)
        return list(await self._session.scalars(query))

    async def set(self, chat: ChatId, name: str, setting: Setting) -> None:
        chat_id = (await get_or_create_chat(self._session, chat)).id
        await self._session.merge(
            SettingRow(chat_id=chat_id, name=name, value=setting.value, set_by=setting.by, set_at=setting.at)
        )

    async def delete(self, chat: ChatId, name: str) -> None:
        if (row := await get_chat(self._session, chat)) is not None:
            mine = SettingRow.chat_id == row.id, SettingRow.name == name
            await self._session.execute(delete(SettingRow).where(*mine))

    async def language(self, platform: str, user: str) -> str:
        row = await self._session.get(UserRow, (platform, fit_id(user)))
        return row.language if row else "auto"

    async def languages(self, platform: str, limit: int) -> Mapping[str, str]:
        latest = select(UserRow).where(UserRow.platform == platform).order_by(UserRow.set_at.desc()).limit(limit)
        return {row.user: row.language for row in await self._session.scalars(latest)}

    async def set_language(self, platform: str, user: str, language: str, at: int) -> None:
        await self._session.merge(UserRow(platform=platform, user=fit_id(user), language=language, set_at=at))
