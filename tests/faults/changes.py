"""How a mutant changes the code: a symbol is found by its name, and one place of its syntax tree becomes another.

Nothing here depends on lines, spaces or comments. A symbol that is not there any more, and a change that fits no place
of it or several, is a Misfit.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass

Edit = Callable[[ast.AST], "ast.AST | None"]
"""What takes the place of a node; None where it stays."""


class Misfit(Exception):
    """A mutant that does not fit the code any more. The table in mutants.py has to follow."""


@dataclass(frozen=True, slots=True)
class Change:
    """One place inside a symbol (`place` is "folder/file.py::Class.method", or a function or constant of a file)."""

    place: str
    edit: Edit

    @property
    def file(self) -> str:
        """Relative to the root of the repository."""
        return self.place.partition("::")[0]

    def applied(self, source: str) -> str:
        """The changed source of the file. Raises Misfit."""
        module = ast.parse(source)
        node = _symbol(module, self.place)
        editor = _Editor(self.edit)
        editor.visit(node)
        if editor.places != 1:
            raise Misfit(f"{self.place}: the change fits {editor.places} places instead of one")
        return ast.unparse(ast.fix_missing_locations(module))


def _symbol(module: ast.Module, place: str) -> ast.AST:
    node: ast.AST = module
    for name in place.partition("::")[2].split("."):
        found = [each for each in getattr(node, "body", ()) if name in _names(each)]
        if not found:
            raise Misfit(f"there is no {place}")
        node = found[-1]  # after overloads
    return node


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


class _Editor(ast.NodeTransformer):
    def __init__(self, edit: Edit) -> None:
        self.places = 0
        self._edit = edit

    def visit(self, node: ast.AST) -> ast.AST:
        """The outermost node that fits is changed; what is inside it stays."""
        if (new := self._edit(node)) is None:
            return super().generic_visit(node)
        self.places += 1
        return new


def called(node: ast.AST) -> str:
    """The last name of what is called: "add" for `self.items.add(1)`; "" where the node is no call."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def without_statement(calling: str) -> Edit:
    """The statement that calls it, in whatever way, is left out."""

    def edit(node: ast.AST) -> ast.AST | None:
        fits = isinstance(node, ast.Expr) and any(called(each) == calling for each in ast.walk(node))
        return ast.Pass() if fits else None

    return edit


def not_awaited(name: str) -> Edit:
    """What is awaited goes on by itself instead."""

    def edit(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Await) and called(node.value) == name:
            return ast.Call(expression("__import__('asyncio').ensure_future"), [node.value], [])
        return None

    return edit


def instead_of_call(name: str, new: str) -> Edit:
    """Another expression takes the place of the call."""
    return lambda node: expression(new) if called(node) == name else None


def instead_of_value(old: str, new: str) -> Edit:
    """Another expression takes the place of a constant, a name that is read, or a longer expression."""
    wanted = ast.dump(expression(old))
    return lambda node: expression(new) if isinstance(node, ast.expr) and ast.dump(node) == wanted else None


def without_comparison(attribute: str) -> Edit:
    """A comparison with an attribute of this name is taken for true."""

    def edit(node: ast.AST) -> ast.AST | None:
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        fits = any(isinstance(side, ast.Attribute) and side.attr == attribute for side in sides)
        return ast.Constant(True) if fits else None

    return edit


def keyword(name: str, new: str | None, beside: str = "") -> Edit:
    """A keyword argument has another value, or None: is left out; `beside` is another argument of that call, a text."""

    def edit(node: ast.AST) -> ast.AST | None:
        if not isinstance(node, ast.Call) or not any(each.arg == name for each in node.keywords):
            return None
        if beside and not any(isinstance(each, ast.Constant) and each.value == beside for each in node.args):
            return None
        kept = [each for each in node.keywords if each.arg != name]
        return ast.Call(node.func, node.args, kept + ([ast.keyword(name, expression(new))] if new else []))

    return edit


def returning(new: str, instead_of: str = "") -> Edit:
    """Another expression is returned. RETURNED in it stands for the one of before; `instead_of` is a name in that."""

    def edit(node: ast.AST) -> ast.AST | None:
        if not isinstance(node, ast.Return) or node.value is None:
            return None
        names = {getattr(each, "attr", getattr(each, "id", "")) for each in ast.walk(node.value)}
        if instead_of and instead_of not in names:
            return None
        return ast.Return(expression(new.replace("RETURNED", f"({ast.unparse(node.value)})")))

    return edit
