"""NumPy's ufuncs of complex numbers that depend on the input, and the operators.

`COMPLEX_RULES` has a row for each that takes complex numbers; what has none is refused by name, as
NumPy refuses it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.arithmetic import takes_over
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.complex_numbers import complex_formulas as formulas
from tapegrad.record.complex_numbers.complex_types import (
    ComplexArray,
    ComplexNumber,
    complex_array,
    is_part_active,
    paired,
    parts,
)
from tapegrad.record.functions.registry import COMPLEX_RULES, known_code, no_rule, ufunc_method
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import BY_CODE, Pair, is_complex


def by_formula(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of complex numbers that a formula of their parts gives."""

    @functools.wraps(formula)
    def function(*operands: Any) -> Any:
        found = formula(*(part for operand in operands for part in parts(operand)))
        return paired(*found) if isinstance(found, tuple) else found

    return function


_FORMULAS: dict[Any, Callable[..., Any]] = {
    np.add: lambda ar, ai, br, bi: (formulas.add(ar, br), formulas.add(ai, bi)),
    np.subtract: lambda ar, ai, br, bi: (formulas.subtract(ar, br), formulas.subtract(ai, bi)),
    np.multiply: formulas.product,
    np.divide: formulas.quotient,
    np.negative: lambda re, im: (formulas.negative(re), formulas.negative(im)),
    np.positive: lambda re, im: (re, im),
    np.conjugate: lambda re, im: (re, formulas.negative(im)),
    np.square: lambda re, im: formulas.product(re, im, re, im),
    np.reciprocal: formulas.reciprocal,
    np.absolute: formulas.modulus,
    np.sign: formulas.sign,
    np.exp: formulas.exponential,
    np.exp2: formulas.exponential_2,
    np.expm1: formulas.exponential_minus_1,
    np.log: formulas.logarithm,
    np.log2: formulas.logarithm_2,
    np.log10: formulas.logarithm_10,
    np.sqrt: formulas.square_root,
    np.sin: formulas.sine,
    np.cos: formulas.cosine,
    np.sinh: formulas.hyperbolic_sine,
    np.cosh: formulas.hyperbolic_cosine,
}


def _of_both(test: np.ufunc, join: np.ufunc) -> Callable[..., Any]:
    """Return a truth value of numbers made of the same of both parts."""

    def function(*operands: Any) -> Any:
        real, imag = zip(*map(parts, operands), strict=True)
        return join(test(*real), test(*imag))

    return function


_TRUTHS: dict[Any, Callable[..., Any]] = {
    np.equal: _of_both(np.equal, np.logical_and),
    np.not_equal: _of_both(np.not_equal, np.logical_or),
    np.isfinite: _of_both(np.isfinite, np.logical_and),
    np.isnan: _of_both(np.isnan, np.logical_or),
    np.isinf: _of_both(np.isinf, np.logical_or),
}


def truth_of(z: Any) -> Any:
    """Return whether numbers are other than zero, unguarded."""
    return _TRUTHS[np.not_equal](z, 0.0) if is_complex(z) else z


_function: Any
for _function, _formula in _FORMULAS.items():
    COMPLEX_RULES[_function] = by_formula(_formula)


_power_of_numbers = by_formula(formulas.power)


def _power(x: Any, y: Any) -> Any:
    """Return powers; where exponents are an array of constants, those of one kind together."""
    exponents, imag = parts(y)
    if is_part_active(exponents) or np.ndim(exponents) == 0 or type(imag) is not float:
        return _power_of_numbers(x, y)
    shape = np.broadcast_shapes(np.shape(x), np.shape(exponents))
    exponents = np.broadcast_to(exponents, shape).reshape(-1)
    bases = np.reshape(np.broadcast_to(x, shape), -1)
    is_whole = formulas.is_multiplied(exponents)
    found = complex_array(innermost(tapes_in(x)), np.zeros(len(exponents), complex))
    for exponent in np.unique(exponents[is_whole]).tolist():
        found[exponents == exponent] = _power_of_numbers(bases[exponents == exponent], exponent)
    found[~is_whole] = _power_of_numbers(bases[~is_whole], exponents[~is_whole])
    return found.reshape(shape)


COMPLEX_RULES[np.power] = COMPLEX_RULES[np.float_power] = _power
COMPLEX_RULES.update(_TRUTHS)
for _function in (np.logical_and, np.logical_or, np.logical_xor, np.logical_not):
    COMPLEX_RULES[_function] = lambda *operands, function=_function: function(
        *map(truth_of, operands)
    )
for _function, _recorder in list(COMPLEX_RULES.items()):
    _code = known_code(_function)
    if _code is not None:
        BY_CODE[_code] = _recorder


# --- keyword arguments and methods ----------------------------------------------------------------


def stored(out: Any, result: Any, where: Any = True) -> Any:
    """Return a result, or what it's stored in, where a mask holds."""
    if where is not True:
        result = COMPLEX_RULES[np.where](where, result, 0.0 if out is None else out)
    if out is None:
        return result
    if not isinstance(out, Pair) and (isinstance(result, Pair) or is_part_active(result)):
        if isinstance(out, ActiveArray) and not isinstance(result, Pair):
            out[...] = result
            return out
        raise UnsupportedFunctionError(
            "out= can't store complex numbers that depend on the input in this array: make it in "
            "the recorded function, with dtype=complex"
        )
    out[...] = result
    return out


@ufunc_method("complex __call__")
def _call(ufunc: np.ufunc, *inputs: Any, out: Any = None, where: Any = True,
                       dtype: Any = None, casting: Any = None, order: Any = None,
                       subok: Any = None) -> Any:  # fmt: skip
    """Record a ufunc of complex numbers."""
    if dtype is not None and np.dtype(dtype) not in (np.complex128, np.bool_):
        raise UnsupportedFunctionError(
            f"numpy.{ufunc.__name__} of complex numbers that depend on the input is complex128: "
            "leave dtype out"
        )
    if any(map(is_complex, inputs)):
        known_code(ufunc)
        recorder = COMPLEX_RULES.get(ufunc)
        if recorder is None:
            module = "numpy" if getattr(np, ufunc.__name__, None) is ufunc else "scipy.special"
            raise no_rule(f"{module}.{ufunc.__name__}", of_complex=True)
        result = recorder(*inputs)
    else:
        result = ufunc(*inputs)
    return stored(out[0] if out else None, result, where)


# --- operators ------------------------------------------------------------------------------------

_OPERATORS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
              "pow": np.power}  # fmt: skip
_METHODS: dict[str, Any] = {"__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute,
            "conj": np.conjugate, "conjugate": np.conjugate}  # fmt: skip
_COMPARISONS = {"eq": np.equal, "ne": np.not_equal}


def _operator(recorder: Callable[..., Any], reflected: bool) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, str | bytes | dict | None.__class__) or takes_over(_kind_of(other)):
            return NotImplemented
        return recorder(other, self) if reflected else recorder(self, other)

    return method


def _kind_of(thing: Any) -> Any:
    return type(thing)


def _in_place(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def in_place(self: ComplexArray, other: Any) -> Any:
        self[...] = method(self, other)
        return self

    return in_place


def _without_order(symbol: str) -> Callable[[Any, Any], NoReturn]:
    def method(self: Any, other: Any) -> NoReturn:
        raise TypeError(
            f"'{symbol}' not supported between complex numbers: compare z.real, z.imag or abs(z)"
        )

    return method


def _install() -> None:
    kinds: tuple[Any, ...] = (ComplexNumber, ComplexArray)
    for kind in kinds:
        for short, ufunc in _OPERATORS.items():
            method = _operator(COMPLEX_RULES[ufunc], reflected=False)
            setattr(kind, f"__{short}__", method)
            setattr(kind, f"__r{short}__", _operator(COMPLEX_RULES[ufunc], reflected=True))
            if kind is ComplexArray:
                setattr(kind, f"__i{short}__", _in_place(method))
        for short, ufunc in _COMPARISONS.items():
            setattr(kind, f"__{short}__", _operator(COMPLEX_RULES[ufunc], reflected=False))
        for short, symbol in {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
            setattr(kind, f"__{short}__", _without_order(symbol))
        for name, function in _METHODS.items():
            setattr(kind, name, COMPLEX_RULES[function])


_install()
