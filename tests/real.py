"""The real built-in model for tests: converted once into build/, loaded once for all."""

from pathlib import Path

CACHE = Path(__file__).parents[1] / "build" / "models"
KERNELS = CACHE.parent / "kernels-tests"
"""What the kernels are compiled to and what is measured, from one run of the tests to the next."""
