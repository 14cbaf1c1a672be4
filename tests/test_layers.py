"""What import-linter, whose contracts are in pyproject.toml, cannot express: cycles of modules, imports by name, torch
in the bot's process, the size of files and classes, what the documentation shows of the tree.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.patience import LIMIT_S
from tests.tables import each_row

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT) for folder in ("bots", "core", "storage", "tests", "benchmarks", "alembic")
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip
PRODUCT = [path for path in SOURCES if path.parts[0] in ("bots", "core", "storage")]
MAX_LINES = 400
"""Of a file. Tables of cases may be longer."""
MAX_PUBLIC_MEMBERS = 12
"""Of a class: methods, properties, and public attributes that `__init__` sets. Fields of a dataclass don't count."""

IMPORTED_BY_NAME = {
    ("core/engine/loader.py", "core.engine.nn.model_runner"),  # where there is torch: in the engine's process
    ("core/engine/kernels/jit.py", "numba.core.ccallback"),  # after its cache has been set, as the next
    ("core/engine/kernels/machine.py", "numba"),
    ("core/engine/kernels/machine.py", "numba.extending"),
    ("core/engine/kernels/machine.py", "llvmlite.binding"),
}
"""Every import_module of the product. No contract sees these, nor does the search for cycles."""


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's tree."""
    return tuple(ast.walk(parse(path)))


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PRODUCT}


def imports(path: Path) -> Iterator[str]:
    """The modules of the product that a file imports, anywhere in it: in functions and for type checking, too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module or ""


def test_no_import_cycle() -> None:
    graph = {module: (set(imports(path)) & MODULES.keys()) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_what_is_imported_by_name() -> None:
    found = set()
    for path in PRODUCT:
        for node in nodes(path):
            if isinstance(node, ast.Call) and called(node).endswith(("import_module", "__import__")):
                found.add((path.as_posix(), ast.literal_eval(node.args[0])))
    assert found == IMPORTED_BY_NAME


@pytest.mark.slow
def test_the_kernels_import_no_torch() -> None:
    """Also not through a library."""
    code = "import sys\nimport core.engine.kernels.cache\nassert 'numba' in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=LIMIT_S)


@pytest.mark.slow
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
    subprocess.run([sys.executable, "-c", code, str(ROOT / "build" / "models")], check=True, cwd=ROOT, timeout=LIMIT_S)


@each_row("path", SOURCES, ids=str)
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES, "which noun wants to leave?"
    assert ast.get_docstring(parse(path)), "a file says what it is"


def public_members(node: ast.ClassDef) -> set[str]:
    functions = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = {function.name for function in functions}
    for function in functions:
        if function.name == "__init__":
            names |= {
                each.attr for each in ast.walk(function)
                if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
                and isinstance(each.value, ast.Name) and each.value.id == "self"
            }  # fmt: skip
    return {name for name in names if not name.startswith("_")}


@each_row("path", PRODUCT, ids=str)
def test_no_class_does_too_much(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.ClassDef):
            members = public_members(node)
            assert len(members) <= MAX_PUBLIC_MEMBERS, f"{node.name}: {', '.join(sorted(members))}"


def test_alembic_is_no_package() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
    assert not {"telegram.py", "discord.py"} & {path.name for path in SOURCES}


def tree_of(document: str) -> set[Path]:
    """The files and folders that the tree in a document names; a line's indentation says which folder it is in."""
    tree = re.search(r"## The tree\n.*?```text\n(.*?)```", document, re.DOTALL)
    assert tree, "no tree"
    named, folders = set(), [Path()]
    for line in tree[1].splitlines():
        if match := re.match(r"((?:  )*)([\w./-]+)", line):
            depth = len(match[1]) // 2
            path = folders[min(depth, len(folders) - 1)] / match[2]
            folders[depth + 1 :] = [path]
            named.add(path)
    return named


def test_the_architecture_shows_the_tree() -> None:
    """Every path that its tree names exists, and it names every source folder and every file of the product."""
    named = tree_of((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert not {path for path in named if not (ROOT / path).exists()}
    tops = {
        Path(path.name) for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and list(path.rglob("*.py"))
    }  # fmt: skip
    assert tops - {Path("build"), Path("dist")} <= named
    packages = {path.parent for path in PRODUCT}
    assert packages <= named
    assert {path for path in PRODUCT if path.name != "__init__.py"} <= named


def test_every_setting_is_in_the_example() -> None:
    from bots.config import Config

    names = {str(field.validation_alias or name).upper() for name, field in Config.model_fields.items()}
    example = (ROOT / ".env.example").read_text("utf-8")
    assert names == set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
