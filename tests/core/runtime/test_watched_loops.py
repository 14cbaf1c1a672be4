"""Every loop that works for ever is watched: one that ends, with an error or without, ends the whole."""

import asyncio

import pytest

from core.dispatch.dispatcher import Dispatcher
from core.dispatch.recovery import ReplyRecovery
from core.dispatch.typing_indicator import TypingIndicator
from core.inbound.ingest import Ingest
from tests.conftest import MakeBot
from tests.patience import limit

LOOPS = [(Ingest, "run"), (Dispatcher, "show_ready"), (ReplyRecovery, "merge_backlogs"), (Dispatcher, "run_lane"),
         (TypingIndicator, "run"), (ReplyRecovery, "sweep")]  # fmt: skip


@pytest.mark.parametrize("error", [None, RuntimeError("gone")], ids=["it returns", "it raises"])
@pytest.mark.parametrize(("owner", "name"), LOOPS, ids=[name for _, name in LOOPS])
async def test_a_loop_that_ends_ends_all(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception | None
) -> None:
    async def ends(self: object, *args: object) -> None:
        await asyncio.sleep(0)
        if error:
            raise error

    monkeypatch.setattr(owner, name, ends)
    with pytest.raises(RuntimeError, match="gone" if error else "has ended"):
        async with limit(), make_bot():
            await asyncio.Event().wait()
