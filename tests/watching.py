"""Holding a bot's model, and looking at what a person and the store see."""

import asyncio
from collections.abc import Callable

from core.domain.conversation import ChatId, Reply, Turn
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from tests.conftest import Bot
from tests.fakes import CHAT, FakeModel
from tests.patience import limit


def held(words: int = 0) -> FakeModel:
    """A model that says a few words and then waits to be released."""
    model = FakeModel()
    model.gate = asyncio.Semaphore(words)
    return model


def release(model: FakeModel, words: int = 1000) -> None:
    """Let it say so many words more."""
    assert model.gate
    for _ in range(words):
        model.gate.release()


def contents(prompt: Prompt) -> list[str]:
    """What stands in a prompt after the system prompt."""
    return [message.content for message in prompt[1:]]


async def history(bot: Bot, chat: ChatId = CHAT) -> list[Turn]:
    async with bot.store.begin() as tx:
        return list(await tx.turns.recent(chat, 1_000_000, 10))


async def now(bot: Bot, reply: Reply) -> State:
    async with bot.store.begin() as tx:
        return (await tx.replies.get(reply.id)).state


async def outcome(bot: Bot, reply: Reply) -> State:
    async with limit():
        return (await bot.outcome(reply)).state


async def ended(bot: Bot, reply: Reply) -> State:
    """Its outcome, asked of the whole store of a bot whose own store fails."""
    await reached(bot, reply, lambda current: not current.state.open)
    return await now(bot, reply)


async def reached(bot: Bot, reply: Reply, true: Callable[[Reply], bool]) -> None:
    """Wait until the stored reply is as it should be."""

    async def is_so() -> bool:
        async with bot.store.begin() as tx:
            return true(await tx.replies.get(reply.id))

    await bot.commits.until_stored(is_so)


async def running(bot: Bot, count: int = 1) -> None:
    """Wait until so many answers are being generated."""
    await bot.model.until(lambda: bot.model.running >= count)


async def shown(bot: Bot, reply: Reply, words: str) -> None:
    """Wait until a person sees these words."""
    await bot.platform.until(lambda: reply.id in bot.platform.channels)
    await bot.platform.channels[reply.id].until(lambda: words in bot.platform.text(reply))


async def idle(bot: Bot) -> None:
    """Wait until the bot does nothing more by itself: what it has not done by then it never does."""
    await bot.commits.idle()


async def warmed(model: FakeModel, count: int) -> Prompt:
    """Wait until the model was asked so often to read ahead; what it was asked to read last."""
    await model.until(lambda: len(model.warmed) >= count)
    assert len(model.warmed) == count, "once an answer"
    return model.warmed[-1][0]
