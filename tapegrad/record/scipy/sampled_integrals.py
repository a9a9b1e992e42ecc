"""scipy.integrate's integrals of samples: sums of products, as SciPy forms them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.operands import is_active
from tapegrad.record.scipy.families import operand, values_of
from tapegrad.record.scipy.recognised import scipy_rule

Rule = Callable[..., Any]


def _checked(name: str, y: Any, **options: Any) -> None:
    """Raise what SciPy raises of such arguments."""
    given = {key: _plain(x) for key, x in options.items() if x is not None}
    getattr(importlib.import_module("scipy.integrate"), name)(_plain(y), **given)


def _plain(x: Any) -> Any:
    return values_of(operand(x)) if is_active(x) or np.ndim(x) else x


def _spacing(x: Any, dx: Any, y: Any, axis: int) -> Any:
    """Return the distances of samples, which broadcast to the samples' last axis but for one."""
    if x is None:
        return _last(operand(dx), axis) if np.ndim(dx) == y.ndim and y.ndim else dx
    x = operand(x)
    return np.diff(x if x.ndim == 1 else _last(np.broadcast_to(x, _shape(y, axis)), axis))


def _shape(y: Any, axis: int) -> tuple[int, ...]:
    """Return the shape of samples before their axis became the last."""
    sizes = list(y.shape[:-1])
    sizes.insert(axis % y.ndim, y.shape[-1])
    return tuple(sizes)


def _last(x: Any, axis: int) -> Any:
    return np.moveaxis(x, axis, -1)


def _number(found: Any) -> Any:
    return found[()] if isinstance(found, ActiveArray) and not found.ndim else found


@scipy_rule("scipy.integrate.trapezoid")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Record the sum of trapezoids."""
    _checked("trapezoid", y, x=x, dx=dx, axis=axis)
    y = _last(operand(y), axis)
    d = _spacing(x, dx, y, axis)
    return _number(np.sum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1))


@scipy_rule("scipy.integrate.cumulative_trapezoid")
def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1,
                         initial: Any = None) -> Any:  # fmt: skip
    """Record the sums of trapezoids."""
    _checked("cumulative_trapezoid", y, x=x, dx=dx, axis=axis, initial=initial)
    y = _last(operand(y), axis)
    d = _spacing(x, dx, y, axis)
    found = np.cumsum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)
    if initial is not None:
        found = np.concatenate([np.full((*found.shape[:-1], 1), float(initial)), found], axis=-1)
    return np.moveaxis(found, -1, axis)


# --- Simpson's rule -------------------------------------------------------------------------------


def _ratio(one: Any, other: Any) -> Any:
    """Return a quotient, 0 where it has none."""
    return np.true_divide(one, other, out=np.zeros_like(other), where=other != 0)


def _pairs(y: Any, stop: int, d: Any, is_even: bool) -> Any:
    """Return the sum of parabolas over pairs of intervals."""
    one, two, three = y[..., 0:stop:2], y[..., 1 : stop + 1 : 2], y[..., 2 : stop + 2 : 2]
    if is_even:
        return np.sum(one + 4.0 * two + three, axis=-1) * (d / 3.0)
    h0, h1 = d[..., 0:stop:2], d[..., 1 : stop + 1 : 2]
    total, product = h0 + h1, h0 * h1
    ratio = _ratio(h0, h1)
    return np.sum(
        total / 6.0 * (one * (2.0 - _ratio(np.ones(1), ratio))
                       + two * (total * _ratio(total, product)) + three * (2.0 - ratio)),
        axis=-1,
    )  # fmt: skip


@scipy_rule("scipy.integrate.simpson")
def simpson(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Record the sum of parabolas, with a correction for the last of an odd number of intervals."""
    _checked("simpson", y, x=x, dx=dx, axis=axis)
    y = _last(operand(y), axis)
    d = dx if x is None else _floats(_spacing(x, dx, y, axis))
    n, is_even = y.shape[-1], x is None
    if n % 2:
        return _number(_pairs(y, n - 2, d, is_even))
    last = d if is_even else d[..., -1]
    if n == 2:
        return _number(0.5 * last * (y[..., -1] + y[..., -2]))
    before = d if is_even else d[..., -2]
    found = _pairs(y, n - 3, d, is_even)
    h0, h1 = operand(before) + 0.0, operand(last) + 0.0
    alpha = _ratio(2 * h1**2 + 3 * h0 * h1, 6 * (h1 + h0))
    beta = _ratio(h1**2 + 3.0 * h0 * h1, 6 * h0)
    eta = _ratio(1 * h1**3, 6 * h0 * (h0 + h1))
    return _number(found + (alpha * y[..., -1] + beta * y[..., -2] - eta * y[..., -3]))


def _floats(d: Any) -> Any:
    return d if is_active(d) else np.asarray(d, np.float64)


@scipy_rule("scipy.integrate.cumulative_simpson")
def cumulative_simpson(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1,
                       initial: Any = None) -> Any:  # fmt: skip
    """Record the integrals of parabolas."""
    _checked("cumulative_simpson", y, x=x, dx=dx, axis=axis, initial=initial)
    y = operand(y)
    if y.shape[axis] < 3:
        found = _last(cumulative_trapezoid(y, x, dx=dx, axis=axis), axis)
    else:
        y = _last(y, axis)
        d = _spacing(x, dx, y, axis)
        if x is not None and np.any(d <= 0.0):
            raise ValueError("Input x must be strictly increasing.")
        shape = (*y.shape[:-1], y.shape[-1] - 1)
        rule = _of_equal if x is None else _of_unequal
        d = np.broadcast_to(d, shape)
        forth, back = rule(y, d), rule(y[..., ::-1], d[..., ::-1])[..., ::-1]
        # Of each pair of intervals one from either side; the last has only one.
        n = shape[-1]
        is_forth = (np.arange(n) % 2 == 0) & (np.arange(n) < n - 1)
        at = np.arange(n)
        parts = np.where(is_forth, forth[..., np.minimum(at, n - 2)],
                         back[..., np.maximum(at - 1, 0)])  # fmt: skip
        found = np.cumsum(parts, axis=-1)
    if initial is not None:
        first = operand(initial)
        first = _last(first, axis) if first.ndim else first
        first = np.broadcast_to(first, (*found.shape[:-1], 1))
        found = np.concatenate([first, found + first], axis=-1)
    return np.moveaxis(found, -1, axis)


def _of_equal(y: Any, d: Any) -> Any:
    return d[..., :-1] / 3 * (5 * y[..., :-2] / 4 + 2 * y[..., 1:-1] - y[..., 2:] / 4)


def _of_unequal(y: Any, d: Any) -> Any:
    one, other = d[..., :-1], d[..., 1:]
    share, ratio = one / (one + other), one / other
    both = share * ratio
    return one / 6 * ((3 - share) * y[..., :-2] + (3 + both + share) * y[..., 1:-1]
                      - both * y[..., 2:])  # fmt: skip


@scipy_rule("scipy.integrate.romb")
def romb(y: Any, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Record Romberg's extrapolation of sums of trapezoids."""
    _checked("romb", y, dx=dx, axis=axis)
    y = _last(operand(y), axis)
    step = y.shape[-1] - 1
    h = step * dx
    row = [(y[..., 0] + y[..., -1]) / 2.0 * h]
    while step > 1:
        half = step // 2
        new = [0.5 * (row[0] + h * np.sum(y[..., half:-1:step], axis=-1))]
        for j, before in enumerate(row, 1):
            new.append(new[-1] + (new[-1] - before) / ((1 << (2 * j)) - 1))
        row, h, step = new, h / 2.0, half
    return _number(row[-1])
