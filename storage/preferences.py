"""Settings of conversations, interface languages of people."""

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, insert, or_, select, update

from core.domain.conversation import ChatId, Setting, fit_id
from storage.chats import get_or_create_chat, is_chat, key_of
from storage.connections import Connection
from storage.tables import chats, settings, users

_SETTINGS = (
    select(chats.c.thread, settings.c.name, settings.c.value, settings.c.set_by, settings.c.set_at)
    .join(settings, settings.c.chat_id == chats.c.id)
    .where(
        chats.c.platform == bindparam("of_platform"),
        chats.c.chat == bindparam("of_chat"),
        or_(chats.c.thread == "", chats.c.thread == bindparam("of_thread")),
    )
    .order_by(chats.c.thread)
)
"""The chat's own first: what a topic sets itself replaces them."""
_setting = settings.c.chat_id == bindparam("chat_row"), settings.c.name == bindparam("of_name")
_CHANGE = update(settings).where(*_setting)
_ADD = insert(settings)
_DELETE = delete(settings).where(
    settings.c.name == bindparam("of_name"),
    settings.c.chat_id == select(chats.c.id).where(is_chat()).scalar_subquery(),
)
_person = users.c.platform == bindparam("of_platform"), users.c.user == bindparam("of_user")
_LANGUAGE = select(users.c.language).where(*_person)
_LANGUAGES = (
    select(users.c.user, users.c.language)
    .where(users.c.platform == bindparam("of_platform"))
    .order_by(users.c.set_at.desc())
    .limit(bindparam("most"))
)
_CHANGE_LANGUAGE = update(users).where(*_person)
_ADD_LANGUAGE = insert(users)


class SqlPreferences:
    """See core.domain.store.Preferences."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def settings(self, chat: ChatId) -> Mapping[str, Setting]:
        rows = await self._connection.execute(_SETTINGS, key_of(chat))
        return {
            name: Setting(value, by, at, inherited=bool(chat.thread) and not thread)
            for thread, name, value, by, at in rows
        }

    async def set(self, chat: ChatId, name: str, setting: Setting) -> None:
        row = (await get_or_create_chat(self._connection, chat)).id
        values = {"value": setting.value, "set_by": setting.by, "set_at": setting.at}
        changed = await self._connection.execute(_CHANGE, {"chat_row": row, "of_name": name, **values})
        if not changed.rowcount:
            await self._connection.execute(_ADD, {"chat_id": row, "name": name, **values})

    async def delete(self, chat: ChatId, name: str) -> None:
        await self._connection.execute(_DELETE, {**key_of(chat), "of_name": name})

    async def language(self, platform: str, user: str) -> str:
        person = {"of_platform": platform, "of_user": fit_id(user)}
        return (await self._connection.execute(_LANGUAGE, person)).scalar() or "auto"

    async def languages(self, platform: str, limit: int) -> Mapping[str, str]:
        rows = await self._connection.execute(_LANGUAGES, {"of_platform": platform, "most": limit})
        return {user: language for user, language in rows}

    async def set_language(self, platform: str, user: str, language: str, at: int) -> None:
        person, values = {"of_platform": platform, "of_user": fit_id(user)}, {"language": language, "set_at": at}
        changed = await self._connection.execute(_CHANGE_LANGUAGE, {**person, **values})
        if not changed.rowcount:
            await self._connection.execute(_ADD_LANGUAGE, {"platform": platform, "user": fit_id(user), **values})
