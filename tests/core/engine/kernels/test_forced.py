"""The kernels as they are on poorer machines than this one: the same tests once more, in a process that takes it for
such a one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.engine.kernels import machine
from tests.patience import LIMIT_S

ROOT = Path(__file__).parents[4]
FOLDER = "tests/core/engine/kernels"
TESTS = {
    "test_products.py": "(shape and (1056 or 96)) or from_how or company or overflow or whole or no_number or chance",
    "test_attention.py": "every_length or order or behind or among or no_number",
    "test_pointwise.py": "",
    "test_step.py": "(pytorch and (qwen3 or biases)) or bit or put_back or threads",
    "test_dense.py": "",
    "test_sampling.py": "(same_number and not some) or first_of",
}
"""And which of them."""
EXPRESSION = " or ".join(f"({file}" + (f" and ({some}))" if some else ")") for file, some in TESTS.items())


@pytest.mark.slow
@pytest.mark.timeout(8 * LIMIT_S)
@pytest.mark.skipif(machine.forced_instruction_set() is not None, reason="it is taken for another already")
@pytest.mark.parametrize("word", ["avx2", "generic"])
def test_taken_for_another(word: str) -> None:
    """It compiles for a minute the first time, and keeps that."""
    if word == "avx2" and machine.instruction_set() not in ("avx2", "avx512", "vnni"):
        pytest.skip("this machine has no AVX2")
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", EXPRESSION]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"{FOLDER}/{file}" for file in TESTS)],
        env=os.environ | {machine.CPU_VARIABLE: word},
        check=False,
        cwd=ROOT,
        timeout=7 * LIMIT_S,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-2000:]
    assert " passed" in found.stdout.splitlines()[-1]
