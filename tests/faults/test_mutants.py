"""The mutants still fit the code: `make mutants` itself takes a minute."""

import pytest

from storage.database import ROOT
from tests.faults.mutants import MUTANTS, Mutant, misfit


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_each_fits_once(mutant: Mutant) -> None:
    assert not misfit(mutant)
    file, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"no test {mutant.test}"


def test_twelve() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS}) == 12
