"""The real built-in model for tests: converted once into build/, loaded once for all."""

import os
from pathlib import Path

from core.engine.kernels.machine import forced_instruction_set

CACHE = Path(__file__).parents[1] / "build" / "models"
_PARTS = (forced_instruction_set() or "machine", os.environ.get("PYTEST_XDIST_WORKER"))
KERNELS = CACHE.parent / "kernels-tests" / "-".join(part for part in _PARTS if part)
"""What the kernels are compiled to and what is measured, from one run of the tests to the next. A machine that is taken
for another has a folder of its own: of two in one, each would delete what the other has kept. So has each process of
pytest-xdist: numba may mix up what two processes compile into one folder at the same time."""
