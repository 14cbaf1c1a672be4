"""Tables that are too long for the quick tests: some rows run there, all rows in the slow ones."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.tables import each_row

Test = Callable[..., Any]


def sweep(names: str | tuple[str, ...], rows: Iterable[Any], *, quick: Iterable[Any]) -> Callable[[Test], Test]:
    """each_row twice: a quick test of the rows `quick`, which are among `rows`, and a slow test of all rows.

    May stand beside each_row, above or below; of several tables of one test only one may be a sweep.
    """
    every, some = list(rows), list(quick)
    assert some and all(row in every for row in some), f"a quick row that is not in the table: {names}"

    def decorate(test: Test) -> Test:
        assert not inspect.iscoroutinefunction(test), "not for coroutines"
        run_some, run_every = each_row(names, some)(test), each_row(names, every)(test)

        def run(*args: Any, every_row: bool, **kwargs: Any) -> Any:
            return (run_every if every_row else run_some)(*args, **kwargs)

        run.__dict__.update(vars(test))
        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        signature = inspect.signature(run_every)
        own = inspect.Parameter("every_row", inspect.Parameter.KEYWORD_ONLY)
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*signature.parameters.values(), own]
        )
        both: Test = either_extent(run)
        return both

    return decorate


either_extent = pytest.mark.parametrize(
    "every_row", [pytest.param(False, id="some rows"), pytest.param(True, marks=pytest.mark.slow, id="all rows")]
)
"""For a test that picks its rows by hand: `every_row` is False in the quick test and True in the slow one."""


def some_quick(values: Iterable[Any], quick: Iterable[Any]) -> list[Any]:
    """Values for parametrize, each a reported test of its own; those that are not in `quick` are marked slow."""
    every, some = list(values), list(quick)
    assert all(value in every for value in some), f"quick values that are none: {some}"
    return [value if value in some else pytest.param(value, marks=pytest.mark.slow) for value in every]
