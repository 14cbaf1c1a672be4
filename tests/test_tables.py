"""A table runs all its rows and tells every one that fails."""

import asyncio
from collections.abc import Callable

import pytest

from tests.tables import each_row


@each_row("number, doubled", [(1, 2), (2, 4)])
def test_all_rows_that_hold(number: int, doubled: int) -> None:
    assert number * 2 == doubled


def test_every_failing_row_is_told_and_the_others_run() -> None:
    ran = []

    @each_row("number", [1, 2, 3, 4])
    def check(number: int) -> None:
        ran.append(number)
        assert number % 2, "even"

    with pytest.raises(BaseExceptionGroup, match="2 of 4 rows fail") as failure:
        check()
    assert ran == [1, 2, 3, 4]
    assert [error.__notes__ for error in failure.value.exceptions] == [["row: number=2"], ["row: number=4"]]


def test_tables_multiply_and_may_be_asynchronous() -> None:
    ran = []

    @each_row("first", "ab")
    @each_row(("second", "third"), [(1, 2), (3, 4)])
    async def check(prefix: str, first: str, second: int, third: int) -> None:
        ran.append((prefix, first, second, third))
        await asyncio.sleep(0)

    asyncio.run(check("x"))
    assert ran == [("x", "a", 1, 2), ("x", "a", 3, 4), ("x", "b", 1, 2), ("x", "b", 3, 4)]


def test_pytest_fail_is_a_failure_and_pytest_skip_skips_the_whole_table() -> None:
    @each_row("kind", [pytest.fail, pytest.skip])
    def check(kind: Callable[[str], None]) -> None:
        kind("no more")

    with pytest.raises(pytest.skip.Exception):
        check()


def test_a_table_without_rows_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="without rows: a, b"):
        each_row("a, b", [])
