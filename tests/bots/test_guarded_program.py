"""The whole program with a guard model: real processes, one for each engine, and a guard whose logits are forced."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from core.i18n import t
from storage.database import ROOT
from tests.core.llm.forced_guard import WORD, save_forced_guard
from tests.patience import LIMIT_S, limit
from tests.platforms.bot_api import TOKEN, BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person
from tests.program import data_folder, program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_forced_guard(tmp_path_factory.mktemp("guard") / "Guard")


@pytest.fixture
async def server() -> AsyncIterator[BotApi]:
    async with bot_api() as served:
        yield served


def engines(pid: int) -> dict[str, psutil.Process]:
    """The program's engines by their process's name."""
    children = psutil.Process(pid).children()
    return {child.name(): child for child in children if child.name() in ("qwentin-engine", "qwentin-guard")}


async def test_questions_are_judged_also_after_the_guard_model_has_died(
    server: BotApi, tmp_path: Path, guard: Path
) -> None:
    """Its death costs no question, and both engines end with the program."""
    ann = server.person("Ann")
    private = server.private(ann)
    settings = {"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_API_URL": server.url, "OWNERS": f"telegram:{ann.id}"}
    async with program(tmp_path / "data", GUARD_MODEL=str(guard), TEMPERATURE="0", **settings) as process:
        private.say(f"Tell me about a{WORD}.", ann)
        assert (await private.ended(1)).text == t("en", "blocked.violence")
        private.say("Say hello.", ann)
        assert (await private.ended(2)).text not in ("", t("en", "blocked.violence"))
        private.say("/status", ann)
        status = (await private.ended(3)).text
        assert "Guard model: Guard (cpu, " in status and "violence 1 (guard model 1)" in status
        running = engines(process.pid)
        assert set(running) == {"qwentin-engine", "qwentin-guard"}
        running["qwentin-guard"].kill()
        private.say("Say goodbye.", ann)
        assert (await private.ended(4)).text not in ("", t("en", "blocked.violence"))
        async with limit():
            while "qwentin-guard" not in engines(process.pid):
                await asyncio.sleep(0.05)
        assert await until_judged(private, ann)
        children = list(engines(process.pid).values())
        process.terminate()
        async with limit():
            _, log = await process.communicate()
        assert process.returncode == 0 and not psutil.wait_procs(children, LIMIT_S)[1]
    assert b"guard engine: ready in" in log and b"the guard engine is lost" in log
    assert WORD.strip().encode() not in log and b"Traceback" not in log


async def until_judged(private: Chat, ann: Person) -> bool:
    """Ask until the guard model judges again: while it loads, the word list decides alone."""
    for _ in range(50):
        count = len(private.messages)
        private.say(f"And a{WORD}?", ann)
        if (await private.ended(count + 1)).text == t("en", "blocked.violence"):
            return True
    return False


def console(folder: Path, said: str, **settings: str) -> subprocess.CompletedProcess[str]:
    data_folder(folder)
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**keep, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder), "MODEL": "builtin", "HF_HUB_OFFLINE": "1",
                   "THREADS": "1", "LANG": "C.UTF-8"} | settings  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "bots", "console"], input=said, env=environment, cwd=folder, capture_output=True,
        text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip


def test_the_console_has_one_too_and_mistakes_are_one_clear_line(tmp_path: Path, guard: Path) -> None:
    done = console(tmp_path / "data", f"Tell me about a{WORD}.\n/status\n", GUARD_MODEL=str(guard))
    assert t("en", "blocked.violence") in done.stdout and "Guard model: Guard (cpu, " in done.stdout and not done.stderr
    for model, line in (
        ("builtin", "qwentin: GUARD_MODEL: SmolLM2-135M-Instruct (built in) is no guard model that Qwentin knows"),
        ("nowhere.gguf", "qwentin: there is no model 'nowhere.gguf'"),
    ):
        done = console(tmp_path / "data", "hello\n", GUARD_MODEL=model)
        assert done.returncode == 78 and done.stdout == "" and done.stderr.startswith(line)
        assert len(done.stderr.splitlines()) == 1
