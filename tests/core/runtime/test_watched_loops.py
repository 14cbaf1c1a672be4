"""Every loop that works for ever is watched: one that ends, with an error or without, ends the whole."""

import asyncio

import pytest

from core.dispatch.dispatcher import Dispatcher
from core.dispatch.recovery import ReplyRecovery
from core.dispatch.typing_indicator import TypingIndicator
from core.inbound.ingest import Ingest
from tests.conftest import MakeBot
from tests.patience import limit
from tests.tables import each_row

LOOPS = [(Ingest, "run"), (Dispatcher, "show_ready"), (ReplyRecovery, "merge_backlogs"), (Dispatcher, "run_lane"),
         (TypingIndicator, "run"), (ReplyRecovery, "sweep")]  # fmt: skip


@each_row(
    ("owner", "name", "error"),
    [(owner, name, error) for owner, name in LOOPS for error in (None, RuntimeError("it is gone"))],
)
async def test_a_loop_that_ends_ends_all(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception | None
) -> None:
    async def ends(self: object, *args: object) -> None:
        await asyncio.sleep(0)
        if error:
            raise error

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="is gone" if error else "has ended"):
        patched.setattr(owner, name, ends)
        async with limit(), make_bot():
            await asyncio.Event().wait()
