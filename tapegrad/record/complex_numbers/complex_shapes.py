"""The parts of complex numbers, and what asks for shapes and types only.

The latter is answered as for a plain array of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.array import tapes_in
from tapegrad.record.complex_numbers import complex_formulas as formulas
from tapegrad.record.complex_numbers.complex_types import complex_array, parts
from tapegrad.record.functions.registry import COMPLEX_RULES, RULES, complex_rule
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import Pair

# --- parts ----------------------------------------------------------------------------------------


@complex_rule(np.real)
def _real(val: Any) -> Any:
    return val.real


@complex_rule(np.imag)
def _imag(val: Any) -> Any:
    return val.imag


@complex_rule(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angles = formulas.phase(*parts(z))
    return angles * (180.0 / math.pi) if deg else angles


@complex_rule(np.real_if_close)
def _real_if_close(a: Any, tol: float = 100) -> Any:
    limit = tol * np.finfo(np.float64).eps if tol > 1 else tol
    return a.real if bool(np.all(np.absolute(a.imag) < limit)) else a


@complex_rule(np.iscomplex)
def _iscomplex(x: Any) -> Any:
    return np.not_equal(parts(x)[1], 0.0)


@complex_rule(np.isreal)
def _isreal(x: Any) -> Any:
    return np.equal(parts(x)[1], 0.0)


# --- shapes and types -----------------------------------------------------------------------------


def _plain(operand: Any) -> Any:
    """Return a plain number or array of an operand's shape and type, without memory for it."""
    if not isinstance(operand, Pair):
        return operand
    shape = shape_of(operand)
    return np.broadcast_to(np.complex128(0.0), shape) if shape else np.complex128(0.0)


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    answer = RULES.get(function, function)
    return lambda *args: answer(*map(_plain, args))


_function: Any
for _function in (np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.common_type,
                  np.can_cast, np.diag_indices_from, np.tril_indices_from,
                  np.triu_indices_from):  # fmt: skip
    COMPLEX_RULES[_function] = _of_shape(_function)


@complex_rule(np.shape)
def shape_of(a: Any) -> Any:
    """Return the lengths of the axes."""
    return np.shape(parts(a)[0])


@complex_rule(np.ndim)
def _ndim(a: Any) -> int:
    return len(shape_of(a))


@complex_rule(np.zeros_like, np.empty_like)
def _zeros_like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
    kind = np.dtype(np.complex128 if dtype is None else dtype)
    zeros = np.zeros(shape_of(a) if shape is None else shape, kind)
    return complex_array(innermost(tapes_in(a)), zeros) if kind == np.complex128 else zeros


@complex_rule(np.ones_like)
def _ones_like(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _full_like(a, 1.0, *args, **kwargs)


@complex_rule(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True,
               shape: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    kind = np.dtype(getattr(a, "dtype", np.complex128) if dtype is None else dtype)
    zeros = np.zeros(shape_of(a) if shape is None else shape, np.complex128)
    full = complex_array(innermost(tapes_in(a, fill_value)), zeros)
    full[...] = fill_value
    return full.astype(kind)
