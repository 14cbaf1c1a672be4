"""The whole program as its owner starts it: a real process with the built-in model."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.database import ROOT
from tests.real import CACHE


def data_folder(folder: Path) -> None:
    """The program's own, with the tests' converted model."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        folder.mkdir()
        (folder / "models").symlink_to(CACHE)


@asynccontextmanager
async def program(folder: Path, **settings: str) -> AsyncIterator[Process]:
    """`python -m bots` while the block lasts."""
    data_folder(folder)
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**keep, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder), "MODEL": "builtin", "HF_HUB_OFFLINE": "1",
                   "THREADS": "1"} | settings  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bots", env=environment, cwd=folder, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
