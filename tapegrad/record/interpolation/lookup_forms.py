"""Compiled forms of look-ups in piecewise polynomials and splines, for sweeps and machine code.

They compute as SciPy's do, operation by operation, so that they have its bits. The context says
how many places and columns there are, the number of powers or the degree, the knots, the order of
the derivative, what is beyond the ends, whether breakpoints descend (2) or belong to the pieces on
their left (1), where held coefficients are (0: they are an operand), whether slopes are results,
whether a derivative by coefficients is wanted, whether all that is asked is one number and its
slope, and which piece was found last.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import float64

from tapegrad.jit import jit_inline
from tapegrad.memory import pointer, shift
from tapegrad.record.linear.compiled_forms import Forms, Pointers, forms
from tapegrad.record.linear.kernels import Numbers, fill, room

Context: TypeAlias = Any

_M, _R, _N, _LENGTH, _KNOTS, _ORDER, _BEYOND, _DESCENDS, _TABLE, _SLOPES, _LINEAR = range(1, 12)
_IS_ONE, _LATEST = 12, 13


@jit_inline
def _coefficients(reads: Pointers, context: Context) -> Numbers:
    return pointer(context[_TABLE], float64) if context[_TABLE] != 0 else reads[1]


# --- pieces -----------------------------------------------------------------------------------


@jit_inline
def _status(x: float, low: float, high: float, context: Context) -> Any:
    """Return how a function is found: 0 by its piece, 1 as at the end, -1 nowhere."""
    if low <= x <= high:
        return 0
    return context[_BEYOND] - 1 if x == x else -1


@jit_inline
def _low(breaks: Numbers, context: Context) -> Any:
    return breaks[context[_LENGTH] - 1] if context[_DESCENDS] > 1 else breaks[0]


@jit_inline
def _high(breaks: Numbers, context: Context) -> Any:
    return breaks[0] if context[_DESCENDS] > 1 else breaks[context[_LENGTH] - 1]


@jit_inline
def _piece(breaks: Numbers, x: float, context: Context) -> Any:
    """Return the piece that SciPy evaluates; beyond the ends an outer one."""
    first, end, way = 0, context[_LENGTH] - 2, context[_DESCENDS]
    if way == 0:
        latest = context[_LATEST]
        if breaks[latest] <= x < breaks[latest + 1]:
            return latest
        count = end + 1
        while count > 1:  # without a branch that depends on numbers
            half = count >> 1
            first += half * int(breaks[first + half] <= x)
            count -= half
        context[_LATEST] = first
        return first
    while first < end:
        middle = (first + end + 1) >> 1
        if x > breaks[middle] if way > 1 else x <= breaks[middle]:
            end = middle - 1
        else:
            first = middle
    return first


@jit_inline
def _factor(power: int, order: int) -> float:
    factor = 1.0
    for k in range(power, power - order, -1):
        factor *= k
    return factor


@jit_inline
def _polynomial(c: Numbers, stride: int, n: int, s: float, order: int) -> float:
    """Return a derivative of a polynomial, whose coefficients lie a stride apart."""
    found, power = 0.0, 1.0
    for k in range(order, n):
        term = c[(n - 1 - k) * stride] * power
        found += term if order == 0 else term * _factor(k, order)
        power = power * s
    return found


@jit_inline
def _store_numbers(x: Numbers, c: Numbers, to: Numbers, slopes: Numbers, has_slopes: int,
                   adds: int, context: Context) -> None:  # fmt: skip
    """Set numbers to a derivative, and others to the next one; or add it."""
    breaks = pointer(context[_KNOTS], float64)
    r, n, order = context[_R], context[_N], context[_ORDER]
    low, high, stride = _low(breaks, context), _high(breaks, context), (context[_LENGTH] - 1) * r
    for i in range(context[_M]):
        status, place = _status(x[i], low, high, context), x[i]
        if status == 1:
            place = min(max(place, low), high)
        piece = _piece(breaks, place, context)
        s = place - breaks[piece]
        for j in range(r):
            own = shift(c, piece * r + j)
            if status == -1:
                found = 0.0 if adds != 0 else np.nan
            elif status == 1 and order > 0:
                found = 0.0
            else:
                found = _polynomial(own, stride, n, s, order)
            to[i * r + j] = found + to[i * r + j] if adds != 0 else found
            if has_slopes != 0:
                if status == 0:
                    slopes[i * r + j] = _polynomial(own, stride, n, s, order + 1)
                else:
                    slopes[i * r + j] = 0.0 if status == 1 else np.nan


@jit_inline
def _is_refused(x: Numbers, low: float, high: float, context: Context) -> int:
    if context[_BEYOND] == 3:
        for i in range(context[_M]):
            if x[i] < low or x[i] > high:
                return 1
    return 0


@jit_inline
def _store_one(reads: Pointers, writes: Pointers, breaks: Numbers, context: Context) -> int:
    """Set a number and its slope, of one polynomial at one place; return 1 if there is none."""
    x, count, n, beyond = reads[0][0], context[_LENGTH] - 1, context[_N], context[_BEYOND]
    flat = 1.0
    if not breaks[0] <= x <= breaks[count]:
        if x != x or beyond == 0:
            writes[0][0], writes[1][0] = np.nan, np.nan
            return 0
        if beyond == 3:
            return 1
        if beyond == 2:
            x, flat = breaks[0] if x < breaks[0] else breaks[count], 0.0
    piece = _piece(breaks, x, context)
    s, c = x - breaks[piece], shift(_coefficients(reads, context), piece)
    if n == 4:
        square = s * s
        writes[0][0] = (
            0.0 + c[3 * count] + c[2 * count] * s + c[count] * square + c[0] * (square * s)
        )
        slope = c[2 * count] + 2.0 * c[count] * s + 3.0 * c[0] * square
    else:
        found, slope, power = 0.0 + c[(n - 1) * count], 0.0, 1.0
        for k in range(1, n):
            own = c[(n - 1 - k) * count]
            slope += k * own * power
            power = power * s
            found += own * power
        writes[0][0] = found
    writes[1][0] = slope if flat != 0.0 else 0.0
    return 0


def _powers_value(reads: Pointers, writes: Pointers, context: Context) -> int:
    breaks = pointer(context[_KNOTS], float64)
    if context[_IS_ONE] != 0:
        return _store_one(reads, writes, breaks, context)
    if _is_refused(reads[0], _low(breaks, context), _high(breaks, context), context) != 0:
        return 1
    c, has_slopes = _coefficients(reads, context), context[_SLOPES]
    slopes = writes[1] if has_slopes != 0 else writes[0]
    _store_numbers(reads[0], c, writes[0], slopes, has_slopes, 0, context)
    return 0


@jit_inline
def _add_slopes(by: Numbers, slopes: Numbers, to: Numbers, context: Context) -> None:
    r = context[_R]
    for i in range(context[_M]):
        for j in range(r):
            if by[i * r + j] != 0.0:
                to[i] += by[i * r + j] * slopes[i * r + j]


def _powers_pullback(reads: Pointers, writes: Pointers, context: Context) -> int:
    if context[_IS_ONE] != 0 and context[_TABLE] != 0:
        by = reads[3][0]
        writes[0][0] += by * reads[2][0] if by != 0.0 else 0.0
        return 0
    n_operands = 1 if context[_TABLE] != 0 else 2
    by = reads[n_operands + 1 + context[_SLOPES]]
    if context[_SLOPES] != 0:
        _add_slopes(by, reads[n_operands + 1], writes[0], context)
    if context[_LINEAR] != 0:
        breaks = pointer(context[_KNOTS], float64)
        low, high = _low(breaks, context), _high(breaks, context)
        r, n, order = context[_R], context[_N], context[_ORDER]
        stride = (context[_LENGTH] - 1) * r
        for i in range(context[_M]):
            status, place = _status(reads[0][i], low, high, context), reads[0][i]
            if status == 1:
                place = min(max(place, low), high)
            if status == 0 or (status == 1 and order == 0):
                piece = _piece(breaks, place, context)
                power, s = 1.0, place - breaks[piece]
                for k in range(order, n):
                    weight = power * _factor(k, order)
                    for j in range(r):
                        row = (n - 1 - k) * stride + piece * r + j
                        writes[1][row] += by[i * r + j] * weight
                    power *= s
    return 0


@jit_inline
def _move_by_slopes(slopes: Numbers, moved: Numbers, to: Numbers, context: Context) -> None:
    """Set tangents to those that places give; of places that stay, nothing is a number's."""
    r = context[_R]
    for i in range(context[_M]):
        for j in range(r):
            to[i * r + j] = moved[i] * slopes[i * r + j] if moved[i] != 0.0 else 0.0


def _powers_pushforward(reads: Pointers, writes: Pointers, context: Context) -> int:
    n_operands = 1 if context[_TABLE] != 0 else 2
    first = n_operands + 1 + context[_SLOPES]
    r = context[_R]
    if context[_SLOPES] != 0:
        _move_by_slopes(reads[n_operands + 1], reads[first], writes[0], context)
        fill(writes[1], 0.0, context[_M] * r)
    else:
        fill(writes[0], 0.0, context[_M] * r)
    if context[_LINEAR] != 0:
        _store_numbers(reads[0], reads[first + 1], writes[0], writes[0], 0, 1, context)
    return 0


POWERS: Forms = forms(
    "pieces", value=_powers_value, pullback=_powers_pullback, pushforward=_powers_pushforward
)

# --- B-splines --------------------------------------------------------------------------------


@jit_inline
def _last_spline(t: Numbers, x: float, context: Context) -> Any:
    """Return the last spline that isn't zero at a place; beyond the ends, in an outer piece."""
    first, end = context[_N], context[_LENGTH] - context[_N] - 2
    while first < end:
        middle = (first + end + 1) >> 1
        if x < t[middle]:
            end = middle - 1
        else:
            first = middle
    return first


@jit_inline
def _splines(
    t: Numbers, x: float, k: int, last: int, order: int, h: Numbers, work: Numbers
) -> None:
    """Store the derivatives of the splines that aren't zero, by de Boor's recurrence."""
    if order > k:
        fill(h, 0.0, k + 1)
        return
    h[0] = 1.0
    for j in range(1, k + 1):
        for i in range(j):
            work[i] = h[i]
        h[0] = 0.0
        for i in range(1, j + 1):
            right, left = t[last + i], t[last + i - j]
            if right == left:
                h[i] = 0.0
            elif j <= k - order:
                w = work[i - 1] / (right - left)
                h[i - 1] += w * (right - x)
                h[i] = w * (x - left)
            else:
                w = j * work[i - 1] / (right - left)
                h[i - 1] -= w
                h[i] = w


@jit_inline
def _store_splines(t: Numbers, x: float, order: int, h: Numbers, context: Context) -> Any:
    """Store the splines' derivatives and return which is the last; -1 if there are none."""
    k = context[_N]
    low, high = t[k], t[context[_LENGTH] - k - 1]
    status = _status(x, low, high, context)
    if status == -1:
        return -1
    if status == 1:
        x = min(max(x, low), high)
    last = _last_spline(t, x, context)
    if status == 1 and order > 0:
        fill(h, 0.0, k + 1)
    else:
        _splines(t, x, k, last, order, h, shift(h, k + 1))
    return last


@jit_inline
def _store_sums(x: Numbers, c: Numbers, to: Numbers, order: int, adds: int, h: Numbers,
                context: Context) -> None:  # fmt: skip
    """Set numbers to a derivative, or add it."""
    t = pointer(context[_KNOTS], float64)
    r, k = context[_R], context[_N]
    for i in range(context[_M]):
        last = _store_splines(t, x[i], order, h, context)
        for j in range(r):
            found = 0.0 if last >= 0 or adds != 0 else np.nan
            if last >= 0:
                for a in range(k + 1):
                    found += c[(last + a - k) * r + j] * h[a]
            to[i * r + j] = found + to[i * r + j] if adds != 0 else found


def _splines_value(reads: Pointers, writes: Pointers, context: Context) -> int:
    t, k = pointer(context[_KNOTS], float64), context[_N]
    if _is_refused(reads[0], t[k], t[context[_LENGTH] - k - 1], context) != 0:
        return 1
    array, h = room(2 * context[_N] + 2)
    c = _coefficients(reads, context)
    _store_sums(reads[0], c, writes[0], context[_ORDER], 0, h, context)
    if context[_SLOPES] != 0:
        _store_sums(reads[0], c, writes[1], context[_ORDER] + 1, 0, h, context)
    return 0 * len(array)


def _splines_pullback(reads: Pointers, writes: Pointers, context: Context) -> int:
    n_operands = 1 if context[_TABLE] != 0 else 2
    by = reads[n_operands + 1 + context[_SLOPES]]
    if context[_SLOPES] != 0:
        _add_slopes(by, reads[n_operands + 1], writes[0], context)
    if context[_LINEAR] == 0:
        return 0
    array, h = room(2 * context[_N] + 2)
    t = pointer(context[_KNOTS], float64)
    r, k = context[_R], context[_N]
    for i in range(context[_M]):
        last = _store_splines(t, reads[0][i], context[_ORDER], h, context)
        if last >= 0:
            for a in range(k + 1):
                for j in range(r):
                    writes[1][(last + a - k) * r + j] += by[i * r + j] * h[a]
    return 0 * len(array)


def _splines_pushforward(reads: Pointers, writes: Pointers, context: Context) -> int:
    n_operands = 1 if context[_TABLE] != 0 else 2
    first = n_operands + 1 + context[_SLOPES]
    if context[_SLOPES] != 0:
        _move_by_slopes(reads[n_operands + 1], reads[first], writes[0], context)
        fill(writes[1], 0.0, context[_M] * context[_R])
    else:
        fill(writes[0], 0.0, context[_M] * context[_R])
    if context[_LINEAR] == 0:
        return 0
    array, h = room(2 * context[_N] + 2)
    _store_sums(reads[0], reads[first + 1], writes[0], context[_ORDER], 1, h, context)
    return 0 * len(array)


SPLINES: Forms = forms(
    "splines", value=_splines_value, pullback=_splines_pullback, pushforward=_splines_pushforward
)
