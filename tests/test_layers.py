"""The house holds: who may import whom, where torch may be, how long a file may get, what README says of the tree."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT) for folder in ("bots", "core", "storage", "tests", "benchmarks", "alembic")
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip
LONGEST = 400
"""Lines of a file. Tables of cases may be longer."""

ALLOWED = {
    "core": {"core"},
    "storage": {"storage", "core"},
    "bots": {"bots", "core"},
    "bots/bootstrap.py": {"bots", "core", "storage"},
    "bots/console/app.py": {"bots", "core", "storage"},
}
"""Whom of our own each part may import. The joint and the console, which has a database of its own, see everything."""
FOREIGN = {
    "torch": "core/engine/nn",
    "transformers": "core/engine/nn core/llm/tokenizer.py",
    "numba": "core/engine/kernels",
    "llvmlite": "core/engine/kernels",
    "sqlalchemy": "storage bots/console/app.py",
    "alembic": "storage alembic",
    "psycopg": "storage",
    "huggingface_hub": "core/checkpoints",
    "gguf": "core/checkpoints",
    "rich": "bots",
    "typer": "bots",
    "prompt_toolkit": "bots",
    "pydantic": "bots",
    "telegram": "bots/telegram_bot",
    "telegramify_markdown": "bots/telegram_bot",
    "httpx": "bots/telegram_bot",
    "discord": "bots/discord_bot",
    "aiohttp": "bots/discord_bot",
    "yarl": "bots/discord_bot",
}
"""Where alone a library may be imported."""


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, anywhere in it, also by import_module."""
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert isinstance(node.args[0], ast.Constant), f"{path}: nobody can tell what is imported"
            yield str(node.args[0].value)


def product() -> list[Path]:
    return [path for path in SOURCES if path.parts[0] in ("bots", "core", "storage")]


@pytest.mark.parametrize("path", product(), ids=str)
def test_every_arrow_points_into_core(path: Path) -> None:
    ours = {name.split(".")[0] for name in imports(path)} & {"bots", "core", "storage", "tests", "benchmarks"}
    assert ours <= ALLOWED.get(str(path), ALLOWED[path.parts[0]])


@pytest.mark.parametrize("path", product(), ids=str)
def test_libraries_stay_where_they_belong(path: Path) -> None:
    for name in {name.split(".")[0] for name in imports(path)} & FOREIGN.keys():
        assert any(path.is_relative_to(place) for place in FOREIGN[name].split()), f"{path} imports {name}"


KERNELS = [path for path in product() if path.is_relative_to("core/engine/kernels")]


@pytest.mark.parametrize("path", KERNELS, ids=str)
def test_kernels_know_neither_torch_nor_who_uses_them(path: Path) -> None:
    """Of our own they know one another alone."""
    names = set(imports(path))
    assert all(name.startswith("core.engine.kernels") for name in names if name.split(".")[0] == "core")
    assert not {name.split(".")[0] for name in names} & {"torch", "transformers"}


def test_the_kernels_import_no_torch() -> None:
    """Also not through a library."""
    code = "import sys\nimport core.engine.kernels.cache\nassert 'numba' in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=100)


def test_the_bots_own_process_never_imports_torch() -> None:
    """Nor what compiles kernels; also not through a library: everything but the runner is imported, a tokenizer is
    built and used."""
    code = """
import sys
import bots.bootstrap
from core.llm.tokenizer import Tokenizer
from core.checkpoints import open_checkpoint
from core.answering.prompt import Message
from pathlib import Path
checkpoint = open_checkpoint("builtin", cache=Path(sys.argv[1]), progress=lambda label, done, total: None)
tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)
assert tokenizer.encode((Message("user", "hi"),))
assert not {"torch", "numba", "llvmlite"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code, str(ROOT / "build" / "models")], check=True, cwd=ROOT, timeout=100)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert len(text.splitlines()) <= LONGEST, "which noun wants to leave?"
    assert ast.get_docstring(ast.parse(text)), "a file says what it is"


def test_alembic_is_no_package() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
    assert not {"telegram.py", "discord.py"} & {path.name for path in SOURCES}


def test_readme_shows_the_tree() -> None:
    """Every folder and file that README's tree names exists, and every source folder is named."""
    tree = re.search(r"## The house\n+```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert tree
    named, folder = set(), Path()
    for line in tree[1].splitlines():
        if match := re.match(r"( *)([\w./-]+)", line):
            path = (folder if match[1] else Path()) / match[2]
            folder = folder if match[1] else Path(match[2])
            named.add(path)
            assert (ROOT / path).exists(), f"README names {path}"
    top = {
        path for path in ROOT.iterdir() if path.is_dir() and list(path.rglob("*.py")) and not path.name.startswith(".")
    }
    assert {Path(path.name) for path in top} - {Path("build")} <= named


def test_every_setting_is_in_the_example() -> None:
    from bots.config import Config

    names = {str(field.validation_alias or name).upper() for name, field in Config.model_fields.items()}
    example = (ROOT / ".env.example").read_text("utf-8")
    assert names == set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
