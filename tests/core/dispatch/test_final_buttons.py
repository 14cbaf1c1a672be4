"""The buttons under an answer's final text are the same after a restart."""

from core.domain.platform import ButtonAction
from core.domain.reply_states import Lane, ReplyEvent, State
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import MakeBot
from tests.core.dispatch.counting import ended
from tests.fakes import claim_next, incoming, owe
from tests.tables import each_row

CONTINUE, RETRY = ButtonAction.CONTINUE, ButtonAction.RETRY


@each_row(("cut", "actions"), [(True, (CONTINUE, RETRY)), (False, (RETRY,))])
async def test_what_was_concluded_before_a_restart(
    make_bot: MakeBot, database: str, cut: bool, actions: tuple[ButtonAction, ...]
) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await owe(tx, incoming("hi"), Lane.ANSWER)
        reply = await claim_next(tx)
        assert reply
        await tx.turns.save_answer(reply, "hello", cut=cut)
        await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final="hello")
    async with make_bot() as bot:
        await ended(bot.store, reply)
        (controls,) = bot.platform.channels[reply.id].controls.values()
        assert controls.actions == actions


async def test_a_panel_that_was_stored_before_a_restart(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await owe(tx, incoming("/settings"), Lane.NOTICE)
        reply = await claim_next(tx, Lane.NOTICE)
        assert reply
        await tx.replies.move(reply, ReplyEvent.FINISH, outcome=State.DONE, final="**Settings**")
    async with make_bot() as bot:
        await ended(bot.store, reply)
        (controls,) = bot.platform.channels[reply.id].controls.values()
        assert controls.panel and controls.panel.memory == 3


@each_row(("ends", "actions"), [("length", (CONTINUE, RETRY)), ("stop", (RETRY,))])
async def test_what_is_generated_now(make_bot: MakeBot, ends: str, actions: tuple[ButtonAction, ...]) -> None:
    async with make_bot() as bot:
        bot.model.ends = ends  # type: ignore[assignment]
        reply = await ended(bot.store, await bot.accept("one two"))
        (controls,) = bot.platform.channels[reply.id].controls.values()
        assert controls.actions == actions
