"""The mutants still fit the code, and fit it by names alone: `make mutants` itself takes minutes."""

import pytest

from storage.database import ROOT
from tests.faults.changes import (
    Change,
    Edit,
    Misfit,
    instead_of_call,
    instead_of_value,
    keyword,
    not_awaited,
    returning,
    without_comparison,
    without_statement,
)
from tests.faults.mutants import MUTANTS, Mutant, misfit
from tests.tables import each_row


@each_row("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_each_fits_once(mutant: Mutant) -> None:
    assert not misfit(mutant)
    file, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"no test {mutant.test}"


def test_how_many() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS}) == 84


SOURCE = """
LIMIT = 5

class Shop:
    async def sell(self, thing):
        # a comment
        await self.books.add(lambda book: book.note(thing,
                                                    price = 3))
        if thing.owner == self.owner: return thing.name
        return str(LIMIT)
"""


@each_row(
    ("symbol", "edit", "gone", "there"),
    [
        ("LIMIT", instead_of_value("5", "6"), "= 5", "LIMIT = 6"),
        ("Shop.sell", without_statement(calling="note"), "books", "pass"),
        ("Shop.sell", not_awaited("add"), "await", "ensure_future(self.books.add("),
        ("Shop.sell", instead_of_call("str", "'none'"), "str(", "return 'none'"),
        ("Shop.sell", without_comparison("owner"), "owner", "if True"),
        ("Shop.sell", keyword("price", "4"), "price=3", "price=4"),
        ("Shop.sell", keyword("price", None), "price", "book.note(thing)"),
        ("Shop.sell", returning("RETURNED + '!'", instead_of="name"), "thing.name\n", "return thing.name + '!'\n"),
    ],
)
def test_a_change(symbol: str, edit: Edit, gone: str, there: str) -> None:
    changed = Change(f"shop.py::{symbol}", edit).applied(SOURCE)
    assert there in changed and gone not in changed


@each_row(
    ("symbol", "edit", "why"),
    [
        ("Shop.buy", returning("1"), "there is no shop.py::Shop.buy"),
        ("Shop.sell", returning("1"), "2 places"),
        ("Shop.sell", without_statement(calling="pay"), "0 places"),
    ],
)
def test_a_change_that_fits_no_more(symbol: str, edit: Edit, why: str) -> None:
    with pytest.raises(Misfit, match=why):
        Change(f"shop.py::{symbol}", edit).applied(SOURCE)
