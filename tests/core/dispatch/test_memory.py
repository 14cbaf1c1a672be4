"""How many turns a prompt holds in a conversation, and which."""

import pytest

from tests.conftest import Bot
from tests.watching import contents

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.mark.parametrize("memory", [3, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 10))])
async def test_at_least_the_last_n_turns_and_two_more_at_most(bot: Bot, memory: int) -> None:
    """The first turn of a prompt is the conversation's first, fourth, seventh and so on."""
    await bot.say(f"/memory {memory}")
    for asked in range(15):
        await bot.say(f"q{asked}")
        first = max(0, asked - memory) // 3 * 3
        assert asked < memory or memory <= asked - first <= memory + 2
        expected = [text for i in range(first, asked) for text in (f"q{i}", f"q{i}")]
        assert contents(bot.model.prompts[-1]) == [*expected, f"q{asked}"]


async def test_undo_and_retry_leave_the_window_what_it_was(bot: Bot) -> None:
    """It depends on the stored turns alone: an answer that is given again has the turns that it had before."""
    for i in range(7):
        await bot.say(f"q{i}")
    await bot.say("/retry")
    again, before = bot.model.prompts[-1], bot.model.prompts[-2]
    assert again == before and contents(again)[0] == "q3"
    await bot.say("/undo")
    await bot.say("q6")
    assert bot.model.prompts[-1] == before
    await bot.say("/clear")
    await bot.say("new")
    assert contents(bot.model.prompts[-1]) == ["new"]
