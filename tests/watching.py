"""Holding a bot's model, and looking at what a person and the store see."""

import asyncio

from core.domain.conversation import ChatId, Reply, Turn
from core.domain.prompt import Prompt
from core.domain.reply_states import State
from tests.conftest import Bot
from tests.fakes import CHAT, FakeModel


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
    async with asyncio.timeout(60):
        return (await bot.outcome(reply)).state


async def running(bot: Bot, count: int = 1) -> None:
    """Wait until so many answers are being generated."""
    async with asyncio.timeout(60):
        while bot.model.running < count:
            await asyncio.sleep(0.001)


async def shown(bot: Bot, reply: Reply, words: str) -> None:
    """Wait until a person sees these words."""
    async with asyncio.timeout(60):
        while reply.id not in bot.platform.channels or words not in bot.platform.text(reply):
            await asyncio.sleep(0.001)


async def warmed(model: FakeModel, count: int) -> Prompt:
    """Wait until the model was asked so often to read ahead; what it was asked to read last."""
    async with asyncio.timeout(60):
        while len(model.warmed) < count:
            await asyncio.sleep(0.001)
    assert len(model.warmed) == count, "once an answer"
    return model.warmed[-1][0]
