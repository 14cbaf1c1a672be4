"""A bound on what rendering a chat template costs: it is a program, and comes with a model that anybody may have made.

Everything that can take long or much memory is charged to one budget, before it is done or right after: turns of loops
and macros, characters that are made, read or written, elements of lists. There is no clock: the same prompt is always
within the budget, or always over it. What can't be charged (some of Jinja's filters, some methods) a template does not
get.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import chain
from types import BuiltinMethodType, GeneratorType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

BUDGET = 100_000_000
"""For one rendering: some tenths of a second. The longest prompts of the largest context cost less than half of it."""
STEP_COST, ELEMENT_COST = 1000, 100
"""A turn of a loop or a call, and an element of a list, beside a character."""
MAX_VALUE = 8_000_000
"""What one value may cost: characters, and elements at their cost."""
MAX_SOURCE_CHARACTERS = 500_000
MAX_NUMBER = 1000
"""The largest number that a filter or method takes: a width, an indent."""
MAX_INTEGER_BITS = 10_000

_FILTERS = {
    "abs", "attr", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min",
    "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "sum",
    "title", "tojson", "trim", "truncate", "unique", "upper", "wordcount",
}  # fmt: skip
_STRING_METHODS = {
    "capitalize", "casefold", "count", "endswith", "find", "format", "index", "isalnum", "isalpha", "isascii",
    "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip",
    "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip",
    "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    "center", "ljust", "rjust", "zfill",  # by MAX_NUMBER at most
}  # fmt: skip
_WIDE = re.compile(r"[0-9]{4}|%[^a-zA-Z%]*\*|\{[^{}]*\{")
"""In a format: a width of 1,000 or more, or one that is not written there."""


class TemplateTooCostly(TemplateError):
    """A template is over its budget."""


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates are rendered within BUDGET each time. `begin` is called before."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=self._written, **options)
        self._left = BUDGET

    def limit(self) -> None:
        """Put the limits on the filters, tests and globals that the environment has by now."""
        self.filters = {name: self._limited(filter, name) for name, filter in self.filters.items() if name in _FILTERS}
        self.filters |= {"_step": self._step, "_made": self.made, "_joined": self._joined}
        self.tests = {name: self._limited(test, name) for name, test in self.tests.items()}
        self.globals.pop("lipsum", None)

    def begin(self) -> None:
        """A rendering, or a compilation, begins."""
        self._left = BUDGET

    def charge(self, cost: int) -> None:
        """Raises TemplateTooCostly once the budget is used up."""
        self._left -= cost
        if self._left < 0:
            raise TemplateTooCostly("the chat template takes too long, or writes too much")

    def made(self, value: Any) -> Any:
        """`value`, which was made or is read: charged by its size."""
        if type(value) is str:
            cost = len(value)
        elif isinstance(value, GeneratorType):
            return self._counted(value)
        else:
            cost = _weight(value)
        if cost > MAX_VALUE:
            raise TemplateTooCostly("the chat template makes a value that is too large")
        self.charge(cost)
        return value

    # What Jinja calls

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_SOURCE_CHARACTERS:
            raise TemplateTooCostly("the chat template is too long")
        tree = super()._parse(source, name, filename)
        _instrument(tree)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """The sandbox asks before a template gets an attribute."""
        if isinstance(obj, str):
            return attr in _STRING_METHODS
        return not isinstance(obj, int | float | bytes) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The sandbox wraps `format` of a string here."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        form = str(value.__self__)

        def checked(*args: Any, **kwargs: Any) -> str:
            self._check_arguments("format", form, args, kwargs)
            return wrapped(*args, **kwargs)

        return checked

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The sandbox has every arithmetic operator done here."""
        if operator == "*":
            self._check_product(left, right)
        elif operator == "**":
            if not _is_small(left, right) or abs(right) > MAX_NUMBER:
                raise TemplateTooCostly("the chat template raises to too high a power")
        elif operator == "%" and isinstance(left, str):
            self._check_format(left, (right,))
        return self.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """The sandbox has everything called here."""
        __self.charge(STEP_COST)
        if isinstance(__obj, BuiltinMethodType):
            __self._check_arguments(__obj.__name__, __obj.__self__, args, kwargs)
        return __self.made(super().call(__context, __obj, *args, **kwargs))

    # Charges

    def _written(self, value: Any) -> Any:
        """What stands between {{ and }}."""
        return self.made(value)

    @pass_context  # or Jinja would compute it once, when it compiles
    def _step(self, context: Context, cost: int) -> None:
        self.charge(cost)

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.charge(STEP_COST)
            yield value

    def _joined(self, parts: list[Any]) -> str:
        """What `~` means."""
        return str(self.made("".join(str(self.made(part)) for part in parts)))

    def _limited(self, function: Any, name: str) -> Callable[..., Any]:
        """A filter or test whose arguments and result are charged."""

        @wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            self.charge(STEP_COST)
            given = args[1:] if hasattr(function, "jinja_pass_arg") else args
            if given and isinstance(given[0], GeneratorType) and name == "join":
                given = [*given[0]], *given[1:]
                args = (*args[: len(args) - len(given)], *given)
            self._check_arguments(name, given[0] if given else None, given[1:], kwargs)
            return self.made(function(*args, **kwargs))

        return limited

    def _check_arguments(self, name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Charge what a filter, test or method reads; refuse what would make too much of it."""
        rest = (*args, *kwargs.values())
        for each in (value, *rest):
            self.made(each) if not isinstance(each, GeneratorType) else None
        if not _is_small(*(each for each in rest if isinstance(each, int))):
            raise TemplateTooCostly("the chat template uses too large a number")
        longest = max((len(each) for each in rest if isinstance(each, str)), default=0)
        if name == "format":
            self._check_format(str(value), rest)
        elif name == "indent":
            width = max((each for each in rest if isinstance(each, int)), default=4)
            self.charge((str(value).count("\n") + 1) * max(width, longest))
        elif name == "replace":
            self.charge((len(str(value)) + 1) * max(longest, 1))
        elif name == "join":  # a method's value is the separator, a filter's the list
            items = rest[0] if isinstance(value, str) and rest else value
            separator = len(value) if isinstance(value, str) else longest
            self.charge((len(items) if hasattr(items, "__len__") else 0) * separator)
        elif name == "tojson":
            indent = max((each for each in rest if isinstance(each, int)), default=0)
            self.charge(_weight(value) * max(indent, 1))

    def _check_product(self, left: Any, right: Any) -> None:
        for value, times in ((left, right), (right, left)):
            if isinstance(value, str | list | tuple) and isinstance(times, int):
                self.charge(max(times, 0) * max(_weight(value), 1))
        if (
            isinstance(left, int)
            and isinstance(right, int)
            and left.bit_length() + right.bit_length() > MAX_INTEGER_BITS
        ):
            raise TemplateTooCostly("the chat template makes too large a number")

    def _check_format(self, form: str, args: tuple[Any, ...]) -> None:
        if _WIDE.search(form):
            raise TemplateTooCostly("the chat template formats too wide")
        self.charge((form.count("%") + form.count("{")) * sum(_weight(each) for each in args))


def _is_small(*numbers: Any) -> bool:
    return all(not isinstance(number, int | float) or abs(number) <= MAX_NUMBER for number in numbers)


def _weight(value: Any) -> int:
    """The cost of a value with all that is in it, as often as it is in it; not much more than MAX_VALUE."""
    total, left = 0, [value]
    while left and total <= MAX_VALUE:
        item = left.pop()
        if isinstance(item, str | bytes):
            total += len(item)
        elif isinstance(item, Namespace):
            left.append(object.__getattribute__(item, "_Namespace__attrs"))
            total += ELEMENT_COST
        elif isinstance(item, dict | list | tuple | set | frozenset):
            total += ELEMENT_COST * (len(item) + 1)
            if total <= MAX_VALUE:
                left.extend(chain(item, item.values()) if isinstance(item, dict) else item)
        elif isinstance(item, range):
            total += ELEMENT_COST * len(item)
        elif isinstance(item, int):
            total += item.bit_length() // 8
    return total


def _instrument(tree: nodes.Template) -> None:
    """Have loops, macros, `~`, literals, slices and comparisons charge."""
    repeated: list[Any] = list(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)))
    for loop in repeated:
        written = sum(len(data.data) for data in loop.find_all(nodes.TemplateData))
        step = nodes.Filter(nodes.Const(STEP_COST + written), "_step", [], [], None, None, lineno=loop.lineno)
        loop.body.insert(0, nodes.ExprStmt(step, lineno=loop.lineno))
    _rewrite(tree)


def _rewrite(parent: nodes.Node) -> None:
    for field, value in parent.iter_fields():
        if isinstance(value, list):
            setattr(parent, field, [_rewritten(each, parent) for each in value])
        else:
            setattr(parent, field, _rewritten(value, parent))


def _rewritten(value: Any, parent: nodes.Node) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _rewrite(value)
    if isinstance(value, nodes.Concat):
        return _filtered(nodes.List(value.nodes, lineno=value.lineno), "_joined")
    is_made = isinstance(value, nodes.List | nodes.Dict) or (
        isinstance(value, nodes.Tuple) and value.ctx == "load" and not isinstance(parent, nodes.Getitem)
    )
    is_slice = isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Slice)
    is_compared = isinstance(parent, nodes.Compare | nodes.Operand) and isinstance(value, nodes.Expr)
    return _filtered(value, "_made") if is_made or is_slice or (is_compared and _may_be_long(value)) else value


def _may_be_long(value: nodes.Node) -> bool:
    return not isinstance(value, nodes.Const | nodes.Operand | nodes.Compare | nodes.Test | nodes.Not)


def _filtered(value: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)
