"""Measures the delay of the bot's event loop while chats are answered: the engine has its own process, and each token
is decoded here as in the bot. Usage: python -m benchmarks.engine.loop FOLDER
"""

import asyncio
import sys
from pathlib import Path

from benchmarks.engine.loading import NICE, loader
from benchmarks.engine.speech import Answer, Peer, Workload, prompt, serve
from core.checkpoints import inspect_checkpoint
from core.domain.sampling import Sampling
from core.engine.engine import Engine
from core.engine.worker_process import ProcessHost
from core.llm.tokenizer import Tokenizer

TICK_S = 0.005


class LoopPeer:
    """Keeps one engine for all workloads."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, runner: asyncio.Runner) -> None:
        self.engine, self.tokenizer, self.runner = engine, tokenizer, runner

    def __call__(self, workload: Workload) -> Answer:
        return self.runner.run(self.delays(**workload))

    async def delays(self, chats: int, prompt: int, tokens: int, seed: str) -> Answer:
        """The delays of ticks, from the first prompt to the last token."""
        late: list[float] = []
        ticker = asyncio.create_task(tick(late))
        await asyncio.gather(*(self.answer(f"{seed}-{chat}", prompt, tokens) for chat in range(chats)))
        ticker.cancel()
        late.sort()
        return {"p99_ms": 1000 * late[int(0.99 * len(late))], "worst_ms": 1000 * late[-1], "ticks": len(late)}

    async def answer(self, owner: str, length: int, tokens: int) -> None:
        decoder = self.tokenizer.decoder()
        async with self.engine.stream(prompt(length, owner), Sampling(temperature=0, max_tokens=tokens), owner) as got:
            async for token in got:
                decoder.feed(token)
        self.engine.drop(owner)


async def tick(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(loop.time() - due)


def main() -> None:
    """Serve workloads with the engine as the bot runs it."""
    checkpoint = inspect_checkpoint(Path(sys.argv[1]))
    engine = Engine(ProcessHost(loader(checkpoint.folder), NICE))
    with asyncio.Runner() as runner:

        def load() -> tuple[Peer, Answer]:
            runner.run(engine.__aenter__())
            return LoopPeer(engine, Tokenizer(checkpoint.folder, checkpoint.chat_template), runner), {}

        try:
            serve(load)
        finally:
            runner.run(engine.close())


if __name__ == "__main__":
    main()
