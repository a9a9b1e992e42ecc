"""Functions of scipy.special that are made of several elementary operations.

Those that are Python functions, which ask none of NumPy's protocols, are swapped in the user's
code while it is recorded: `replacements` says for what.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE
from tapegrad.record.array import wrap
from tapegrad.record.functions.elementwise_blocks import elementwise
from tapegrad.record.functions.operands import array_on, is_active, tape_of
from tapegrad.record.functions.reductions import maximum, total
from tapegrad.record.functions.registry import SPECIAL_RULES, record, special_rule, store
from tapegrad.special_table import FUNCTIONS


def replacements(module: ModuleType) -> dict[Any, Any]:
    """Return what stands for Python functions of scipy.special, which may lack some."""
    found = {name: getattr(module, name, None) for name in SPECIAL_RULES}
    return {
        original: _recorded_if_active(original, SPECIAL_RULES[name])
        for name, original in found.items()
        if isinstance(original, FunctionType)
    }


def _recorded_if_active(original: Any, recorded: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(*args: Any, **kwargs: Any) -> Any:
        function = recorded if is_active([*args, *kwargs.values()]) else original
        return function(*args, **kwargs)

    return replacement


# --- families of an order ---------------------------------------------------------------------


def _of_order(name: str) -> Callable[..., Any]:
    is_elementwise = name in FUNCTIONS  # of other orders too

    def recorder(order: Any, x: Any) -> Any:
        if not is_active(order):
            takes_any = name == "polygamma"  # which is NaN of all others
            if takes_any or np.all(np.asarray(order) % 1 == 0):
                constant = np.asarray(order, np.float64) if np.ndim(order) else float(order)
                return record(CODE[name], constant, x)
            return elementwise(FUNCTIONS[name], order, x)
        raise UnsupportedFunctionError(
            f"scipy.special.{name} of active numbers has a rule for constant "
            f"{'' if is_elementwise else 'whole '}orders only"
        )

    return recorder


for _name in ("polygamma", "iv", "ive"):
    special_rule(_name)(_of_order(_name))


def _of_this_order(code: int, order: float) -> Callable[[Any], Any]:
    return lambda x: record(code, order, x)


special_rule("i0e")(_of_this_order(CODE["ive"], 0.0))
special_rule("i1e")(_of_this_order(CODE["ive"], 1.0))
special_rule("erfcx")(_of_this_order(CODE["scaled_erfc"], 0.0))
special_rule("exprel")(_of_this_order(CODE["exponential_moment"], 0.0))


# --- of one number ----------------------------------------------------------------------------


@special_rule("loggamma")
def _loggamma(x: Any) -> Any:
    return np.where(np.less(x, 0.0), np.nan, record(CODE["gammaln"], x))


@special_rule("cosm1")
def _cosm1(x: Any) -> Any:
    return -2.0 * np.square(np.sin(0.5 * x))


@special_rule("softplus")
def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


@special_rule("multigammaln")
def _multigammaln(a: Any, d: Any) -> Any:
    if is_active(d) or np.ndim(d) or d % 1:
        raise ValueError("d should be a positive integer (dimension)")
    if np.any(np.less_equal(a, 0.5 * (d - 1))):
        raise ValueError(f"condition a > 0.5 * (d-1) where d = {d} not met")
    terms = [record(CODE["gammaln"], a - 0.5 * j) for j in range(int(d))]
    return sum(terms[1:], terms[0]) + d * (d - 1) * 0.25 * np.log(np.pi)


@special_rule("zeta")
def _zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    if q is None:
        return store(out, elementwise(FUNCTIONS["_riemann_zeta"], x), "zeta")
    return store(out, elementwise(FUNCTIONS["_zeta"], x, q), "zeta")


@special_rule("comb")
def _comb(N: Any, k: Any, *, exact: Any = False, repetition: Any = False) -> Any:  # noqa: N803
    if exact:
        raise UnsupportedFunctionError(
            "scipy.special.comb(exact=True) is of whole numbers, which have no derivative: leave "
            "exact= out"
        )
    if repetition:
        N = N + k - 1
    counts = np.less_equal(k, N) & np.greater_equal(N, 0) & np.greater_equal(k, 0)
    return np.where(counts, elementwise(FUNCTIONS["binom"], N, k), 0.0)


@special_rule("lambertw")
def _lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    if is_active(k) or np.ndim(k) or k not in (0, -1):
        raise UnsupportedFunctionError(
            "scipy.special.lambertw of active numbers has a rule for the branches 0 and -1 only"
        )
    return elementwise(FUNCTIONS["real_lambertw"], z, float(k), float(tol))


# --- of many ----------------------------------------------------------------------------------


def _shift(array: Any, axis: Any) -> Any:
    """Return what to take from the exponents: the maxima, no part of the derivative."""
    return record(CODE["stop"], maximum(array, axis, None, True))


def _finite_shift(array: Any, axis: Any) -> Any:
    shift = _shift(array, axis)
    return np.where(np.isfinite(shift), shift, 0.0)


@special_rule("logsumexp")
def _logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False,
               return_sign: bool = False) -> Any:  # fmt: skip
    tape = tape_of(a, b)
    exponents = array_on(tape, a)
    if b is not None:  # what has no weight adds nothing, even if it's infinite
        weights = array_on(tape, b)
        exponents = np.where(weights == 0.0, -np.inf, exponents)
    if exponents.size == 0:
        shift: Any = 0.0
        terms: Any = exponents
    else:
        shift = _finite_shift(exponents, axis)
        terms = np.exp(exponents - shift)
    sums = total(terms if b is None else weights * terms, axis, None, None, True)
    size = np.absolute(sums) if return_sign else sums
    results: list[Any] = [np.log(size) + shift]
    if return_sign:
        results.append(np.sign(sums))
    if not keepdims:
        axes = tuple(range(exponents.ndim)) if axis is None else axis
        results = [wrap(tape, array_on(tape, result).data.squeeze(axes)) for result in results]
    return tuple(results) if return_sign else results[0]


@special_rule("softmax")
def _softmax(x: Any, axis: Any = None) -> Any:
    array = array_on(tape_of(x), x)
    terms = np.exp(array - _shift(array, axis))
    return terms / total(terms, axis, None, None, True)


@special_rule("log_softmax")
def _log_softmax(x: Any, axis: Any = None) -> Any:
    array = array_on(tape_of(x), x)
    shifted = array - _finite_shift(array, axis)
    return shifted - np.log(total(np.exp(shifted), axis, None, None, True))
