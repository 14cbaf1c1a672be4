"""What one message costs: how many of our functions and files it crosses, transactions, calls. `make trace`.

Four scenes on the tests' servers: a question in a private chat of Telegram, a slash command in a channel of a Discord
server, a press on the settings panel on Telegram until the panel shows the change, a press on the Stop button on
Telegram with the end of the answer that it stops. A scene ends when the bot does nothing any more, so what follows an
answer belongs to it. Each is traced several times after a first one that is not counted; the median of each figure is
printed. With --functions also the functions, in the order of their first calls.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.database import ROOT
from tests.patience import limit
from tests.platforms.bot_api import BotApi, bot_api
from tests.platforms.discord_server import DiscordServer, discord_server
from tests.trace.bot import FILE, WAIT

ROUNDS = 5
QUIET_S = 0.5
"""A bot that runs nothing new for this long has ended its work."""
COLDER, WARMER = "−", "+"
"""How the labels of the panel's first buttons begin: they change the temperature."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What was counted in one scene."""

    functions: Sequence[str]
    """"file:name", in the order of their first calls."""
    transactions: int
    statements: int
    """Statements that the database driver was given, without BEGIN and COMMIT."""
    python_calls: int

    @property
    def files(self) -> int:
        """How many files the functions are in."""
        return len({function.partition(":")[0] for function in self.functions})

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """In the order of COLUMNS."""
        return len(self.functions), self.files, self.transactions, self.statements, self.python_calls


COLUMNS = ("functions", "files", "transactions", "statements", "Python calls")


class Stage:
    """A bot in front of both servers."""

    def __init__(self, process: Process, file: Path, telegram: BotApi, discord: DiscordServer) -> None:
        self._process, self._file, self._next_label = process, file, COLDER
        self.telegram, self.discord = telegram, discord
        self.ann = telegram.person("Ann")
        self.chat = telegram.private(self.ann)
        self.bob = discord.person("Bob")
        self.channel = discord.guild(self.bob, admins=(self.bob,)).channel("general")

    async def trace(self, scene: Callable[[], Awaitable[object]]) -> Trace:
        """What runs from here to the end of the scene, and of the work that it causes."""
        async with limit():
            await self._counted(signal.SIGUSR1)
            await scene()
            return await self.quiet()

    async def quiet(self) -> Trace:
        """Wait until the bot runs nothing new; what it has run since the last `trace` began."""
        counted, before = await self._counted(signal.SIGUSR2), None
        while before is None or (counted.functions, counted.statements) != (before.functions, before.statements):
            await asyncio.sleep(QUIET_S)
            before, counted = counted, await self._counted(signal.SIGUSR2)
        return before  # without the calls of waiting

    async def _counted(self, request: signal.Signals) -> Trace:
        """Send a signal to the bot and read what it writes."""
        self._file.unlink(missing_ok=True)
        self._process.send_signal(request)
        async with limit():
            while not self._file.exists():
                await asyncio.sleep(0.01)
        counted = json.loads(self._file.read_text())
        return Trace(counted["functions"], counted["transactions"], counted["statements"], counted["calls"])

    async def question(self) -> None:
        """To its whole answer."""
        before = len(self.chat.messages)
        self.chat.say("What is a black hole?", self.ann)
        await self.chat.ended(before + 1)

    async def command(self) -> None:
        """To its response."""
        before = len(self.channel.messages)
        self.discord.slash(self.bob, self.channel, "temp", value=0.3)
        await self.channel.ended(before + 1)

    async def answer_in_progress(self) -> None:
        """What a Stop button stands under."""
        before = len(self.chat.messages)
        self.chat.say(f"What is a black hole? Please {WAIT}", self.ann)
        await self.chat.until(
            lambda chat: len(chat.messages) > before and "black" not in chat.last.text and chat.last.text != "…"
        )
        await self.quiet()

    async def panel(self) -> None:
        """The settings panel, for `change`."""
        before = len(self.chat.messages)
        self.chat.say("/settings", self.ann)
        await self.chat.ended(before + 1)
        await self.quiet()

    async def change(self) -> None:
        """A press on the panel, to the button's own answer and the new panel."""
        panel = self.chat.last
        shown = len(panel.history)
        self._next_label, label = (COLDER, WARMER) if self._next_label == WARMER else (WARMER, COLDER)
        await self.telegram.press(self.ann, self.chat, label).answered()
        await self.chat.until(lambda _: len(panel.history) > shown)

    async def stop(self) -> None:
        """A press on Stop, to the button's own answer and the end of the answer that it stops."""
        await self.telegram.press(self.ann, self.chat, "⏹").answered()
        await self.chat.ended()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """The servers and the bot while the block lasts."""
    with TemporaryDirectory(prefix="qwentin-trace-") as name:
        folder = Path(name)
        async with bot_api() as telegram, discord_server() as discord:
            kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
            settings = {
                "PYTHONPATH": str(ROOT), "DATA_DIR": name, FILE: str(folder / "trace.json"),
                "TELEGRAM_TOKEN": telegram.token, "TELEGRAM_API_URL": telegram.url,
                "DISCORD_TOKEN": discord.token, "DISCORD_API_URL": discord.api_url,
                "DISCORD_GATEWAY_URL": discord.gateway_url,
            }  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.trace.bot", env=kept | settings, cwd=folder
            )
            try:
                made = Stage(process, folder / "trace.json", telegram, discord)
                async with limit():
                    await made.question()
                    while not discord.connected or not discord.commands:
                        await asyncio.sleep(0.05)
                yield made
            finally:
                process.terminate()
                await process.wait()


async def scenes(rounds: int = ROUNDS) -> dict[str, list[Trace]]:
    """The traces of each scene."""
    async with stage() as bot:
        await bot.command()
        traces: dict[str, list[Trace]] = {
            "a question on Telegram": [await bot.trace(bot.question) for _ in range(rounds)],
            "a slash command on Discord": [await bot.trace(bot.command) for _ in range(rounds)],
        }
        await bot.panel()
        changes = [await bot.trace(bot.change) for _ in range(rounds + 1)]
        stops = []
        for _ in range(rounds + 1):
            await bot.answer_in_progress()
            stops.append(await bot.trace(bot.stop))
        return traces | {
            "a press on the settings panel on Telegram": changes[1:],
            "a press on Stop on Telegram": stops[1:],
        }


def table(traces: dict[str, list[Trace]]) -> str:
    """The medians of each scene's figures, as Markdown."""
    rows = [["", *COLUMNS]]
    for name, several in traces.items():
        columns = zip(*(trace.figures for trace in several), strict=True)
        rows.append([name, *(f"{statistics.median_low(column):,}" for column in columns)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(prog="make trace", description="What one message costs.")
    options.add_argument("--functions", action="store_true", help="also list the functions of each scene")
    chosen = options.parse_args()
    traces = asyncio.run(scenes())
    print(table(traces))  # noqa: T201
    if chosen.functions:
        for name, several in traces.items():
            print(f"\n{name}:", *several[-1].functions, sep="\n  ")  # noqa: T201


if __name__ == "__main__":
    main()
