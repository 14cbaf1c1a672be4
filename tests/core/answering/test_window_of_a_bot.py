"""Which turns a bot's prompts hold, question after question, on a real store."""

import pytest

from tests.conftest import Bot
from tests.watching import contents

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.mark.parametrize("memory", [3, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 10))])
async def test_at_least_the_last_n_turns_and_two_more_at_most(bot: Bot, memory: int) -> None:
    """A prompt begins with the conversation's first turn, the fourth, the seventh and so on. That depends on the stored
    turns alone: what is asked or answered again has the turns that it had before."""
    await bot.say(f"/memory {memory}")
    for asked in range(15):
        await bot.say(f"q{asked}")
        first = max(0, asked - memory) // 3 * 3
        assert asked < memory or memory <= asked - first <= memory + 2
        expected = [text for i in range(first, asked) for text in (f"q{i}", f"q{i}")]
        assert contents(bot.model.prompts[-1]) == [*expected, f"q{asked}"]
    for command, then in (("/retry", ""), ("/undo", "q14")):
        before = bot.model.prompts[-1]
        await bot.say(command)
        if then:
            await bot.say(then)
        assert bot.model.prompts[-1] == before, command
    await bot.say("/clear")
    await bot.say("new")
    assert contents(bot.model.prompts[-1]) == ["new"]
