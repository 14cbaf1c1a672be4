"""What a start imports: each command and each bot its own libraries only."""

import json
import subprocess
import sys
from pathlib import Path

from tests.tables import each_row

ROOT = Path(__file__).parents[2]
HEAVY = {
    "aiohttp", "alembic", "asyncio", "discord", "gguf", "httpx", "huggingface_hub", "jinja2", "llvmlite", "numba",
    "numpy", "prompt_toolkit", "psycopg", "pydantic", "rich", "safetensors", "sqlalchemy", "telegram", "tokenizers",
    "torch", "transformers",
}  # fmt: skip
"""Libraries, and asyncio, whose import costs 15 ms or more, or that of what they import."""
START = {"asyncio", "pydantic", "rich", "safetensors"}
BOT = START | {"alembic", "jinja2", "psycopg", "sqlalchemy", "tokenizers"}
ADAPTER = """
from types import SimpleNamespace
from unittest.mock import MagicMock
import bots.launch, bots.bootstrap
from pydantic import SecretStr
from bots.config import Config
Config.model_config["env_file"] = None
config = Config({name}_token=SecretStr({token!r}))
assert len(list(bots.bootstrap.adapters(config, MagicMock(), MagicMock()))) == 1
"""
CASES = {
    "the command line": ("import bots.cli", set()),
    "--version": ("import sys; sys.argv = ['qwentin', '--version']\ntry:\n import bots.__main__ as m; m.main()\n"
                  "except SystemExit: pass", {"pydantic"}),  # typer reads options with it
    "until the engine is started": ("import bots.launch", START),
    "a Telegram bot": (ADAPTER.format(name="telegram", token="123456789:" + "A" * 35), BOT | {"httpx", "telegram"}),
    "a Discord bot": (ADAPTER.format(name="discord", token="MTIz" + "a" * 20 + ".Gabc12." + "b" * 30),
                      BOT | {"aiohttp", "discord"}),
}  # fmt: skip


@each_row("case", CASES)
def test_imports_only_what_it_uses(case: str) -> None:
    code, allowed = CASES[case]
    report = "\nimport sys, json\nprint('\\n' + json.dumps([name for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = HEAVY & set(json.loads(done.stdout.splitlines()[-1]))
    assert imported <= allowed, f"beyond what {case} needs: {sorted(imported - allowed)}"


def test_the_engine_needs_no_transformers_for_a_plain_model() -> None:
    code = "import sys\nimport core.engine.nn.model_runner\nassert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
