"""The real built-in model for tests: converted once into build/, loaded once for all."""

from pathlib import Path

from core.engine.kernels.machine import forced_instruction_set

CACHE = Path(__file__).parents[1] / "build" / "models"
KERNELS = CACHE.parent / "kernels-tests" / (forced_instruction_set() or "machine")
"""What the kernels are compiled to and what is measured, from one run of the tests to the next. A machine that is taken
for another has a folder of its own: of two in one, each would delete what the other has kept."""
