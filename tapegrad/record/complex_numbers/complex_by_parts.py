"""NumPy's functions that do the same to the real and to the imaginary part.

What moves elements, and what is linear, needs no more than its name here: the rule for real arrays
is applied to each part. So is what is linear in several arguments, to each combination of parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.array import tapes_in
from tapegrad.record.complex_numbers.complex_types import (
    ComplexArray,
    complex_array,
    joined,
    paired,
    parts,
)
from tapegrad.record.complex_numbers.complex_ufuncs import stored
from tapegrad.record.functions import moves
from tapegrad.record.functions.registry import COMPLEX_RULES, RULES
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import is_complex

Function = Callable[..., Any]


def put_together(re: Any, im: Any) -> Any:
    """Return pairs of what a function gave for each part, in lists as there."""
    if isinstance(re, list | tuple):
        return type(re)(map(put_together, re, im))
    return joined(re, im)


def _arrays(thing: Any) -> Any:
    """Return complex arrays of one tape for what is in nested lists."""
    tape = innermost(tapes_in(thing))

    def converted(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [converted(item) for item in part]
        return complex_array(tape, part)

    return converted(thing)


def _taken(thing: Any, name: str) -> Any:
    """Return one part of each array in nested lists."""
    if isinstance(thing, list):
        return [_taken(item, name) for item in thing]
    return getattr(thing, name)


def _mover(function: Function, of_sequence: bool = False, of_all: bool = False) -> Function:
    recorder = RULES[function]

    def move(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        taken, others = (list(args), ()) if of_all else (args[0], args[1:])
        if of_sequence or of_all:
            taken = list(taken) if isinstance(taken, tuple | list) else [*taken]
            whole = _arrays(taken)
        else:
            whole = _arrays([taken])[0] if isinstance(taken, list | tuple) else complex_array(
                innermost(tapes_in(taken)), taken
            )  # fmt: skip
        found = []
        for name in ("re", "im"):
            part = _taken(whole, name)
            given = part if of_all else [part]
            found.append(recorder(*given, *others, **kwargs))
        return stored(out, put_together(*found))

    return move


_function: Any
for _function in (*moves.OF_ONE_ARRAY, *([np.unstack] if hasattr(np, "unstack") else [])):
    COMPLEX_RULES[_function] = _mover(_function)
for _function in moves.OF_A_SEQUENCE:
    COMPLEX_RULES[_function] = _mover(_function, of_sequence=True)
for _function in moves.OF_ALL:
    COMPLEX_RULES[_function] = _mover(_function, of_all=True)


# --- linear functions -----------------------------------------------------------------------------


def _linear(function: Function, *names: str) -> Function:
    """Return the rule of a function that is linear in its first argument and in some keywords."""

    def apply(a: Any, *args: Any, out: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        check_complex(dtype, function.__name__)
        halves = [parts(a)]
        given = {name: parts(kwargs.pop(name)) for name in names if _is_number(kwargs.get(name))}
        shape = np.shape(halves[0][0])
        found = []
        for k in (0, 1):
            part = halves[0][k] if np.shape(halves[0][k]) == shape else np.zeros(shape)
            own = {name: half[k] for name, half in given.items()}
            found.append(function(part, *args, **own, **kwargs))
        return stored(out, paired(*found))

    return apply


def _is_number(thing: Any) -> bool:
    return thing is not None and thing is not np._NoValue


def check_complex(dtype: Any, name: str) -> None:
    """Raise for a result of any other type than complex128."""
    if dtype is not None and np.dtype(dtype) != np.complex128:
        raise UnsupportedFunctionError(
            f"{name} of complex numbers that depend on the input is complex128, not "
            f"{np.dtype(dtype)}: leave dtype out"
        )


_LINEAR: dict[Function, tuple[str, ...]] = {
    np.sum: ("initial",), np.mean: (), np.cumsum: (), np.diff: ("prepend", "append"),
    np.ediff1d: ("to_end", "to_begin"), np.trace: (), np.repeat: (), np.take: (),
    np.take_along_axis: (), np.gradient: (), np.linalg.trace: (), np.nansum: ("initial",),
    np.round: (), np.around: (),
}  # fmt: skip
for _function, _names in _LINEAR.items():
    COMPLEX_RULES[_function] = _linear(_function, *_names)
if hasattr(np, "cumulative_sum"):  # since NumPy 2.1
    COMPLEX_RULES[np.cumulative_sum] = _linear(np.cumulative_sum)


# --- functions that are linear in several arguments -----------------------------------------------

_PHASES: Sequence[tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def _halves(operand: Any) -> list[tuple[int, Any]]:
    """Return the parts of an operand and the power of the imaginary unit that goes with each."""
    re, im = parts(operand)
    return [(0, re), (1, im)] if is_complex(operand) else [(0, re)]


def multilinear(function: Function, operands: Sequence[Any]) -> Any:
    """Return what a function gives that is linear in each of its operands."""
    sums: list[Any] = [None, None]
    for combination in itertools.product(*map(_halves, operands)):
        turns = sum(turn for turn, _ in combination) % 4
        term = function(*(part for _, part in combination))
        term = -term if turns >= 2 else term
        k = turns % 2
        sums[k] = term if sums[k] is None else sums[k] + term
    return paired(*(0.0 if total is None else total for total in sums))


def _bilinear(function: Function, conjugates: int | None = None) -> Function:
    def apply(a: Any, b: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        operands = [a, b]
        if conjugates is not None and is_complex(operands[conjugates]):
            operands[conjugates] = np.conjugate(operands[conjugates])
        return stored(out, multilinear(lambda x, y: function(x, y, *args, **kwargs), operands))

    return apply


_BILINEAR: list[Any] = [
    np.matmul, np.dot, np.inner, np.outer, np.tensordot, np.kron, np.cross, np.convolve,
    np.linalg.matmul, np.linalg.tensordot, np.linalg.outer, np.linalg.cross,
]  # fmt: skip
for _function in _BILINEAR:
    COMPLEX_RULES[_function] = _bilinear(_function)
COMPLEX_RULES[np.vdot] = _bilinear(np.vdot, conjugates=0)
COMPLEX_RULES[np.correlate] = _bilinear(np.correlate, conjugates=1)
for _owner in (np, np.linalg):
    if hasattr(_owner, "vecdot"):  # since NumPy 2.0 or 2.1
        COMPLEX_RULES[_owner.vecdot] = _bilinear(_owner.vecdot, conjugates=0)


# --- methods --------------------------------------------------------------------------------------


def _method_by_parts(name: str) -> Function:
    def method(self: ComplexArray, *args: Any, **kwargs: Any) -> Any:
        return joined(*(getattr(part, name)(*args, **kwargs) for part in (self.re, self.im)))

    return method


def _method(name: str, function: Function) -> Function:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return COMPLEX_RULES[function](self, *args, **kwargs)

    return method


_BY_PARTS = ("reshape", "ravel", "transpose", "flatten", "squeeze", "swapaxes", "repeat", "take",
             "diagonal")  # fmt: skip
_BY_FUNCTION: dict[str, Any] = {
    "sum": np.sum, "mean": np.mean, "cumsum": np.cumsum, "trace": np.trace, "dot": np.dot,
    "round": np.round, "prod": np.prod, "cumprod": np.cumprod, "std": np.std, "var": np.var,
    "any": np.any, "all": np.all, "nonzero": np.nonzero,
}  # fmt: skip


def _install() -> None:
    for name in _BY_PARTS:
        setattr(ComplexArray, name, _method_by_parts(name))
    ComplexArray.T = property(  # type: ignore[attr-defined]
        lambda self: ComplexArray(self.re.T, self.im.T)
    )
    for name, function in _BY_FUNCTION.items():
        setattr(ComplexArray, name, _method(name, function))
    for operator, reflected in (("__matmul__", False), ("__rmatmul__", True)):
        setattr(ComplexArray, operator, _matrix_product(reflected))


def _matrix_product(reflected: bool) -> Function:
    def method(self: Any, other: Any) -> Any:
        return np.matmul(other, self) if reflected else np.matmul(self, other)

    return method


_install()
