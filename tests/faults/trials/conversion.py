"""kill -9 while a model's file is converted: the next start converts it all the same, nothing is left in the end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.checkpoints.gguf_cache import STALE_WORK_S
from core.checkpoints.gguf_convert import convert
from tests.core.checkpoints.conftest import TinyGguf
from tests.faults.bot import CONVERSION, REAL, STEP
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world

LARGER: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 2048, "head_dim": 64}
"""So that a conversion takes a moment."""
MOST_KILLS, LONGEST = 6, 0.5


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Killed a few times; then it converts and answers; a day later what the killed ones left is gone."""
    async with world(bench, seed) as w:
        w.platforms = ("telegram",)
        talk = w.talks.on_telegram()
        file = await asyncio.to_thread(TinyGguf(w.folder / "tiny.gguf", **LARGER).write)
        settings = {REAL: CONVERSION, "MODEL": str(file)}
        for _ in range(w.random.randint(1, MOST_KILLS)):
            talk.ask()
            bot = await w.start(None, **settings)
            await asyncio.sleep(w.random.uniform(0, LONGEST))
            await w.kill(bot)
        bot = await w.start(None, **settings)
        await w.settled()
        found = await _different(w, file)
        await w.end(bot)
        (w.folder / STEP).write_text(str(STALE_WORK_S + 60))
        await w.start(None, **settings)
        talk.ask()
        found += await w.judged()
        return [*found, *(f"{path.name} is left" for path in _unfinished(w.folder / "models"))]


async def _different(w: World, file: Path) -> list[str]:
    """Where what was converted is not what an undisturbed conversion makes of the file."""
    folders = [each for each in (w.folder / "models" / "converted").iterdir() if not each.name.startswith(".")]
    if len(folders) != 1:
        return [f"converted are {folders}"]
    wanted = await asyncio.to_thread(convert, file, w.folder / "undisturbed", lambda *_: None)
    names = sorted({each.name for folder in (wanted, folders[0]) for each in folder.iterdir()})
    return [f"{name} is another file" for name in names if _content(wanted / name) != _content(folders[0] / name)]


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def _unfinished(cache: Path) -> list[Path]:
    return [*cache.glob("converted/.*"), *cache.glob("hashes/*.*")]


PART = Part("conversion", trial, 2, 40)
