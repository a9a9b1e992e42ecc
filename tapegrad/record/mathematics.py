"""Python's `math` as a recorded function sees it: its functions accept active numbers.

The functions that the table of elementary operations names are its rows; the rest are written
here. Plain arguments go to `math` itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import OPS
from tapegrad.record.active import binary, unary
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.pairs import is_complex
from tapegrad.record.plain import plain_arguments
from tapegrad.record.refusals import WITHOUT_RULE

REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {}


def _replace(original: Callable[..., Any], recorded: Callable[..., Any]) -> None:
    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        args = tuple(list(x) if isinstance(x, Iterator) else x for x in args)
        if not any(True for _ in tapes_in(*args)):
            return original(*args, **kwargs)
        if any(map(is_complex, args)):
            raise TypeError(
                f"math.{original.__name__} takes real numbers, not complex ones: take z.real or "
                f"abs(z), or call cmath.{original.__name__}"
            )
        numbers = [number.item() if isinstance(number, ActiveArray) else number for number in args]
        return recorded(*numbers, **kwargs)

    REPLACEMENTS[original] = replacement


def _log(x: Any, base: Any = math.e) -> Any:
    return np.log(x) if base is math.e else np.log(x) / np.log(base)


def _sum(numbers: Iterable[Any]) -> Any:
    return sum(numbers, 0.0)


def _prod(numbers: Iterable[Any], *, start: Any = 1) -> Any:
    for number in numbers:
        start = start * number
    return start


def _hypot(*coordinates: Any) -> Any:
    return functools.reduce(np.hypot, coordinates) if len(coordinates) > 1 else abs(coordinates[0])


def _dist(p: Iterable[Any], q: Iterable[Any]) -> Any:
    return _hypot(*(a - b for a, b in zip(p, q, strict=True)))


def _sumprod(p: Iterable[Any], q: Iterable[Any]) -> Any:
    return _sum(a * b for a, b in zip(p, q, strict=True))


def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> bool:
    if a == b:
        return True
    return bool(abs(a - b) <= np.maximum(rel_tol * np.maximum(abs(a), abs(b)), abs_tol))


def _modf(x: Any) -> Any:
    whole = np.trunc(x)
    return np.copysign(x - whole, x), whole


_RECORDED: dict[str, Callable[..., Any]] = {
    "log": _log,
    "fsum": _sum,
    "prod": _prod,
    "hypot": _hypot,
    "dist": _dist,
    "sumprod": _sumprod,
    "isclose": _isclose,
    "modf": _modf,
    "degrees": lambda x: x * (180.0 / math.pi),
    "radians": lambda x: x * (math.pi / 180.0),
    "ldexp": lambda x, n: x * 2.0**n,
    "fma": lambda x, y, z: x * y + z,
    "isnan": lambda x: bool(np.isnan(x)),
    "isinf": lambda x: bool(np.isinf(x)),
    "isfinite": lambda x: bool(np.isfinite(x)),
    "floor": lambda x: x.__floor__(),
    "ceil": lambda x: x.__ceil__(),
    "trunc": lambda x: x.__trunc__(),
}


def _row(code: int) -> Callable[..., Any]:
    return lambda x, *y: binary(code, x, *y) if y else unary(code, x)


def _of_plain(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        plain = plain_arguments(args)
        if plain is None:
            raise UnsupportedFunctionError(
                f"math.{original.__name__} has no rule for active numbers; apply it to "
                "tapegrad.stop_gradient(x) if its derivative is not wanted, or write it with "
                "functions that have one"
            )
        return original(*plain)

    return call


for _op in OPS:
    if _op.math and hasattr(math, _op.math) and _op.math not in _RECORDED:
        _replace(getattr(math, _op.math), _row(_op.code))
for _name, _recorded in _RECORDED.items():
    if hasattr(math, _name):
        _replace(getattr(math, _name), _recorded)
for _function in (math.nextafter, math.ulp, math.frexp):
    _replace(_function, _of_plain(_function))
    WITHOUT_RULE.append(_function)
