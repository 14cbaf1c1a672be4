"""The bots' accounts: logins that a platform counts, the command menus that were published."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.conversation import fit_id
from storage.tables import IdentifyRow, MenuRow

LOGIN_RETENTION_MS = 24 * 3600 * 1000


class SqlAccounts:
    """See core.domain.store.Accounts."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record_login(self, platform: str, bot: str, at: int) -> None:
        old = IdentifyRow.platform == platform, IdentifyRow.bot == fit_id(bot), IdentifyRow.at < at - LOGIN_RETENTION_MS
        await self._session.execute(delete(IdentifyRow).where(*old))
        self._session.add(IdentifyRow(platform=platform, bot=fit_id(bot), at=at))

    async def logins_since(self, platform: str, bot: str, since: int) -> Sequence[int]:
        counted = IdentifyRow.platform == platform, IdentifyRow.bot == fit_id(bot), IdentifyRow.at >= since
        return list(await self._session.scalars(select(IdentifyRow.at).where(*counted).order_by(IdentifyRow.at)))

    async def menu_fingerprint(self, platform: str, bot: str) -> str:
        row = await self._session.get(MenuRow, (platform, fit_id(bot)))
        return row.fingerprint if row else ""

    async def set_menu_fingerprint(self, platform: str, bot: str, fingerprint: str) -> None:
        await self._session.merge(MenuRow(platform=platform, bot=fit_id(bot), fingerprint=fingerprint))
