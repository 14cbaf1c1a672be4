"""Tables of cases: one reported test for all rows of a table, which names every row that fails."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Test = Callable[..., Any]
Row = dict[str, Any]


def each_row(names: str | tuple[str, ...], rows: Iterable[Any], ids: object = None) -> Callable[[Test], Test]:
    """Run a test for each row in turn, with the row's values as the arguments `names`.

    Called as pytest.mark.parametrize is, and for tests that leave nothing behind for the next row: fixtures are set up
    once for the whole table. All rows run; those that fail are raised together, each with a note of its values.
    `ids` is only what a reader of the table sees.
    """
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [dict(zip(columns, row if len(columns) > 1 else (row,), strict=True)) for row in rows]
    assert table, f"a table without rows: {names}"

    def decorate(test: Test) -> Test:
        run = _async_run(test, table) if inspect.iscoroutinefunction(test) else _run(test, table)
        signature = inspect.signature(test)
        rest = [parameter for name, parameter in signature.parameters.items() if name not in columns]
        run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return run

    return decorate


def _run(test: Test, table: list[Row]) -> Test:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        failures = list[BaseException]()
        for row in table:
            with _collected(failures, row):
                test(*args, **kwargs, **row)
        _raise_all(failures, table)

    return run


def _async_run(test: Test, table: list[Row]) -> Test:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        failures = list[BaseException]()
        for row in table:
            with _collected(failures, row):
                await test(*args, **kwargs, **row)
        _raise_all(failures, table)

    return run


@contextmanager
def _collected(failures: list[BaseException], row: Row) -> Iterator[None]:
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        error.add_note("row: " + ", ".join(f"{name}={value!r:.200}" for name, value in row.items()))
        failures.append(error)


def _raise_all(failures: list[BaseException], table: list[Row]) -> None:
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {len(table)} rows fail", failures)
