"""numba with types, set up as the kernels need it."""

from collections.abc import Callable
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, TypeVar, cast

from core.engine.kernels import machine  # before numba

numba = machine.import_numba()
types = numba.types

F = TypeVar("F", bound=Callable[..., Any])
Array = Any
"""A numpy array. Its dtype and shape are in the docstrings."""

# Allows sums to be split over vector lanes, and fused multiply-add. The other fast-math flags assume that all numbers
# are finite, and would remove every test for NaN.
_FASTMATH_FLAGS = {"reassoc", "contract"}


def compiled(function: F, name: str = "") -> F:
    """Have numba compile a function at its first call.

    It runs without the GIL, checks no bounds, and division by zero gives infinity or NaN. `name` distinguishes
    functions made by the same lines, as numba's cache tells them apart by name only.
    """
    function.__qualname__ = name or function.__qualname__
    return cast(F, numba.njit(nogil=True, fastmath=_FASTMATH_FLAGS, error_model="numpy", boundscheck=False)(function))


def intrinsic(
    write: Callable[..., Any], count: int, result: Any = types.void, of: Any = types.int64
) -> Callable[..., Any]:
    """Make a function for compiled code from LLVM instructions.

    `write(builder, *arguments)` writes the instructions and returns the result's value. The function takes `count`
    arguments of type `of` and returns a `result`.
    """

    def typed(context: Any, *arguments: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = write(builder, *values)
            return context.get_dummy_value() if result == types.void else value

        return result(*[of] * count), code

    # numba reads the signature, and does not support variable arguments.
    names = ["context", *(f"number{place}" for place in range(count))]
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return cast(Callable[..., Any], numba.extending.intrinsic(typed))


def c_function(function: Callable[..., None], count: int) -> int:
    """The address of a C function of `count` int64 numbers, compiled now or loaded from the folder of cache_in.

    It is never freed.
    """
    options = {"nogil": True, "fastmath": _FASTMATH_FLAGS, "error_model": "numpy", "boundscheck": False}
    # As numba.cfunc does, which knows no other place for its cache than beside the function.
    signature = tuple([types.int64] * count), types.void
    made: Any = import_module("numba.core.ccallback").CFunc(function, signature, {}, options)
    if numba.config.CACHE_DIR:
        made.enable_caching()
    made.compile()
    _C_FUNCTIONS.append(made)
    return int(made.address)


_C_FUNCTIONS: list[Any] = []
"""Keeps what c_function has compiled."""


def cache_in(folder: Path | None, *kernels: Callable[..., Any]) -> None:
    """Have numba cache these compiled functions in a folder; None for no cache."""
    numba.config.CACHE_DIR = str(folder or "")
    for kernel in kernels:
        if folder:
            cast(Any, kernel).enable_caching()
        else:
            cast(Any, kernel)._cache = numba.core.caching.NullCache()
