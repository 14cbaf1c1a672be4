"""What an answer shows while it grows is judged, too: half a blocked word is one too many."""

from tests.conftest import MakeBot
from tests.fakes import WordFilter
from tests.watching import held, idle, outcome, release, shown


async def test_no_preview_shows_what_may_become_a_blocked_word(make_bot: MakeBot) -> None:
    model = held(1)
    model.says = lambda prompt: ["good ", "ba", "d ", "more"]
    async with make_bot(model, content_filter=WordFilter("bad")) as bot:
        reply = await bot.accept("hi")
        await shown(bot, reply, "good")
        release(model, 1)
        await idle(bot)  # what a preview would have shown is shown
        release(model)
        await outcome(bot, reply)
        assert not any("ba" in text for text in bot.platform.channels[reply.id].history)
