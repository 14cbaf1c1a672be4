"""numba, typed, and set up as the kernels need it."""

from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, TypeVar, cast

from core.engine.kernels import machine  # before numba

numba = machine.import_numba()
types = numba.types

F = TypeVar("F", bound=Callable[..., Any])
Array = Any
"""A numpy array, of whatever type the function says."""

# Sums may be split over the lanes of a vector, and a product added without being rounded. What else "fast" mathematics
# allows is not used: it takes for granted that no number is infinite or none, and then a test for that is always false.
_FASTMATH_FLAGS = {"reassoc", "contract"}


def compiled(function: F, name: str = "") -> F:
    """A function that numba compiles when it is first called. It runs without the interpreter's lock, checks no bounds
    and divides by zero as floats do.

    `name`: of one of several functions that the same lines make. What is kept of them is told apart by name alone.
    """
    function.__qualname__ = name or function.__qualname__
    return cast(F, numba.njit(nogil=True, fastmath=_FASTMATH_FLAGS, error_model="numpy", boundscheck=False)(function))


def intrinsic(
    write: Callable[..., Any], count: int, result: Any = types.void, of: Any = types.int64
) -> Callable[..., Any]:
    """A function of so many integers, or numbers of another type, for compiled code: write(builder, *them) writes its
    instructions in LLVM's language and gives the result's value."""

    def typed(context: Any, *arguments: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = write(builder, *values)
            return context.get_dummy_value() if result == types.void else value

        return result(*[of] * count), code

    # numba asks the function for its parameters, and knows none that stand for several.
    names = ["context", *(f"number{place}" for place in range(count))]
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return cast(Callable[..., Any], numba.extending.intrinsic(typed))


def cache_in(folder: Path | None, *kernels: Callable[..., Any]) -> None:
    """Keep what these are compiled to for the next start. None: nowhere."""
    numba.config.CACHE_DIR = str(folder or "")
    for kernel in kernels:
        if folder:
            cast(Any, kernel).enable_caching()
        else:
            cast(Any, kernel)._cache = numba.core.caching.NullCache()
