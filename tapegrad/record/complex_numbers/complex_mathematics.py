"""Python's `cmath` and `complex` as a recorded function sees them: they accept active numbers.

Plain arguments go to `cmath` and `complex` themselves.
"""

from __future__ import annotations

import builtins
import cmath
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.complex_numbers.complex_types import ComplexArray, complex_array, paired, parts
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import Pair

REPLACEMENTS: dict[Any, Any] = {}


def _complex_number(x: Any) -> Any:
    """Return a number as a complex one, an array of one element as its element."""
    if isinstance(x, ActiveArray | ComplexArray):
        x = x.item()
    return paired(*parts(x))


def _replace(original: Callable[..., Any], recorded: Callable[..., Any]) -> None:
    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        if not any(True for _ in tapes_in(*args)):
            return original(*args, **kwargs)
        return recorded(*map(_complex_number, args), **kwargs)

    REPLACEMENTS[original] = replacement


def _log(z: Any, base: Any = None) -> Any:
    return np.log(z) if base is None else np.log(z) / np.log(base)


def _rect(r: Any, phi: Any) -> Any:
    r, phi = r.real, phi.real
    return paired(r * np.cos(phi), r * np.sin(phi))


def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> bool:
    if a == b:
        return True
    return bool(abs(a - b) <= np.maximum(rel_tol * np.maximum(abs(a), abs(b)), abs_tol))


def _of_truth(test: np.ufunc) -> Callable[[Any], bool]:
    return lambda z: bool(test(z))


_RECORDED: dict[str, Callable[..., Any]] = {
    "log": _log,
    "rect": _rect,
    "phase": lambda z: np.angle(z),
    "polar": lambda z: (abs(z), np.angle(z)),
    "isclose": _isclose,
    "isfinite": _of_truth(np.isfinite),
    "isnan": _of_truth(np.isnan),
    "isinf": _of_truth(np.isinf),
    "acos": np.arccos, "asin": np.arcsin, "atan": np.arctan, "acosh": np.arccosh,
    "asinh": np.arcsinh, "atanh": np.arctanh,
    **{name: getattr(np, name) for name in ("exp", "log10", "sqrt", "sin", "cos", "tan", "sinh",
                                            "cosh", "tanh")},
}  # fmt: skip
for _name, _recorded in _RECORDED.items():
    _replace(getattr(cmath, _name), _recorded)


# --- the types ------------------------------------------------------------------------------------


class _ComplexType(type):
    """Makes a type that is a complex one to all who ask, and leaves active numbers active."""

    original: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not any(True for _ in tapes_in(*args, *kwargs.values())):
            return cls.original(*args, **kwargs)
        real, imag = _arguments(*args, **kwargs)
        if cls.original is np.complex128 and isinstance(real, ActiveArray | ComplexArray | list):
            return complex_array(innermost(tapes_in(real)), real)
        (a, b), (c, d) = parts(_complex_number(real)), parts(_complex_number(imag))
        if not isinstance(imag, Pair | complex):
            return paired(a, c) if not isinstance(real, Pair | complex) else paired(a, b + c)
        return paired(a - d, b + c)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.original)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, cls.original)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other == cls.original

    def __hash__(cls) -> int:
        return hash(cls.original)


def _arguments(real: Any = 0.0, imag: Any = 0.0) -> tuple[Any, Any]:
    return real, imag


def _standing(original: Any) -> Any:
    names = {"original": original, "__module__": original.__module__}
    return _ComplexType(original.__name__, (np.complex128,), names)


REPLACEMENTS[builtins.complex] = _standing(builtins.complex)
REPLACEMENTS[np.complex128] = _standing(np.complex128)
