"""The bots' accounts: logins that a platform counts, the command menus that were published."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from core.domain.conversation import fit_id
from storage.connections import Connection
from storage.tables import identifies, menus

LOGIN_RETENTION_MS = 24 * 3600 * 1000

_account = identifies.c.platform == bindparam("of_platform"), identifies.c.bot == bindparam("of_bot")
_DELETE_OLD = delete(identifies).where(*_account, identifies.c.at < bindparam("before"))
_RECORD = insert(identifies)
_SINCE = select(identifies.c.at).where(*_account, identifies.c.at >= bindparam("since")).order_by(identifies.c.at)
_menu = menus.c.platform == bindparam("of_platform"), menus.c.bot == bindparam("of_bot")
_FINGERPRINT = select(menus.c.fingerprint).where(*_menu)
_CHANGE_MENU = update(menus).where(*_menu)
_ADD_MENU = insert(menus)


class SqlAccounts:
    """See core.domain.store.Accounts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record_login(self, platform: str, bot: str, at: int) -> None:
        old = {"of_platform": platform, "of_bot": fit_id(bot), "before": at - LOGIN_RETENTION_MS}
        await self._connection.execute(_DELETE_OLD, old)
        await self._connection.execute(_RECORD, {"platform": platform, "bot": fit_id(bot), "at": at})

    async def logins_since(self, platform: str, bot: str, since: int) -> Sequence[int]:
        wanted = {"of_platform": platform, "of_bot": fit_id(bot), "since": since}
        return list((await self._connection.execute(_SINCE, wanted)).scalars())

    async def menu_fingerprint(self, platform: str, bot: str) -> str:
        account = {"of_platform": platform, "of_bot": fit_id(bot)}
        return (await self._connection.execute(_FINGERPRINT, account)).scalar() or ""

    async def set_menu_fingerprint(self, platform: str, bot: str, fingerprint: str) -> None:
        account = {"of_platform": platform, "of_bot": fit_id(bot)}
        changed = await self._connection.execute(_CHANGE_MENU, {**account, "fingerprint": fingerprint})
        if not changed.rowcount:
            new = {"platform": platform, "bot": fit_id(bot), "fingerprint": fingerprint}
            await self._connection.execute(_ADD_MENU, new)
