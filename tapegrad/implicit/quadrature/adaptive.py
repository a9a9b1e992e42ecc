"""Adaptive integration of functions that return several numbers, under an error control of its own.

Each interval has the 21 nodes of a Gauss-Kronrod rule and QUADPACK's estimate of its error; the
one with the largest error is halved until the estimates' sum is small beside the integral of the
absolute value, of every component. Infinite intervals are mapped to (0, 1], as QUADPACK does.
What is integrated is called by address, `int64 f(double t, double *results, int64 *context)`.
Source: R. Piessens, E. de Doncker-Kapenga, C. W. Überhuber, D. K. Kahaner, *QUADPACK*, Springer,
1983.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from llvmlite import ir
from numba import extending, float64, int64, types

from tapegrad.function.vectors import Vector
from tapegrad.jit import Kernel, jit, jit_inline
from tapegrad.memory import data, shift
from tapegrad.numba_protocols import (
    Builder,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)

_POSITIVE = np.array([
    0.995657163025808080735527280689003, 0.973906528517171720077964012084452,
    0.930157491355708226001207180059508, 0.865063366688984510732096688423493,
    0.780817726586416897063717578345042, 0.679409568299024406234327365114874,
    0.562757134668604683339000099272694, 0.433395394129247190799265943165784,
    0.294392862701460198131126603103866, 0.148874338981631210884826001129720,
    0.0,
])  # fmt: skip
_OF_KRONROD = np.array([
    0.011694638867371874278064396062192, 0.032558162307964727478818972459390,
    0.054755896574351996031381300244580, 0.075039674810919952767043140916190,
    0.093125454583697605535065465083366, 0.109387158802297641899210590325805,
    0.123491976262065851077958109585166, 0.134709217311473325928054001771707,
    0.142775938577060080797094273138717, 0.147739104901338491374841515972068,
    0.149445554002916905664936468389821,
])  # fmt: skip
_OF_GAUSS = np.array([
    0.066671344308688137593568809893332, 0.149451349150580593145863396957658,
    0.219086362515982043995534934228163, 0.269266719309996355091226921569469,
    0.295524224714752870173815619188769,
])  # fmt: skip

NODES = np.concatenate([-_POSITIVE, _POSITIVE[-2::-1]])
KRONROD = np.concatenate([_OF_KRONROD, _OF_KRONROD[-2::-1]])
GAUSS = np.zeros(21)
GAUSS[1::2] = np.concatenate([_OF_GAUSS, _OF_GAUSS[::-1]])

_TINY = np.finfo(float).tiny
_ROUNDING = 50 * np.finfo(float).eps

MOST_INTERVALS = 400
"""What an integral is divided in; one that is singular takes some 60."""


class Integrand(Protocol):
    """A function to be integrated."""

    address: int
    context: int

    def raise_failure(self) -> None:
        """Raise what made a call fail."""


class Estimate(NamedTuple):
    """An integral, component by component.

    Attributes
    ----------
    value, error : ndarray
    size : ndarray
        The integral of the absolute value.
    """

    value: Vector
    error: Vector
    size: Vector


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p)


class Called:
    """A function of Python's as an integrand.

    Parameters
    ----------
    function : callable
        Returns an array.
    n : int
        How many numbers.
    """

    context = 0

    def __init__(self, function: Callable[[float], Vector], n: int) -> None:
        self._error: BaseException | None = None

        def call(t: float, results: int, context: int) -> int:
            try:
                np.ctypeslib.as_array((ctypes.c_double * n).from_address(results))[:] = function(t)
            except BaseException as error:  # raised again by whoever called the compiled code
                self._error = error
                return 1
            return 0

        self._call = _CALLBACK(call)
        self.address = ctypes.cast(self._call, ctypes.c_void_p).value or 0

    def raise_failure(self) -> None:
        """Raise what made a call fail."""
        assert self._error is not None
        raise self._error


@extending.intrinsic
def _call(typing_context: TypingContext, address: Kind, t: Kind, results: Kind,
          context: Kind) -> Intrinsic:  # fmt: skip
    """Call an integrand."""

    def codegen(ctx: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        kind = ir.FunctionType(ir.IntType(64), [argument.type for argument in args[1:]])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return int64(int64, float64, types.CPointer(float64), int64), codegen


@jit_inline
def _rule(address, context, low, high, mapped, n, samples, out):
    """Integrate over one interval; write value, error and size to `out`, return the status."""
    centre, half = low + (high - low) / 2, (high - low) / 2
    at, way, sign = mapped
    for k in range(21):
        u = centre + half * NODES[k]
        t = u if way == 0.0 else at + way * (1.0 - u) / u
        status = _call(address, t, shift(data(samples), k * n), context)
        if status != 0:
            return status
        if way != 0.0:
            for j in range(n):
                samples[k * n + j] *= sign / (u * u)
    for j in range(n):
        value, gauss, size, spread = 0.0, 0.0, 0.0, 0.0
        for k in range(21):
            value += KRONROD[k] * samples[k * n + j]
            gauss += GAUSS[k] * samples[k * n + j]
            size += KRONROD[k] * abs(samples[k * n + j])
        for k in range(21):
            spread += KRONROD[k] * abs(samples[k * n + j] - value / 2)
        size *= abs(half)
        spread *= abs(half)
        error = abs((value - gauss) * half)
        if spread > 0.0 and error > 0.0:
            error = spread * min(1.0, (200.0 * error / spread) ** 1.5)
        if size > _TINY / _ROUNDING:
            error = max(_ROUNDING * size, error)
        out[0, j], out[1, j], out[2, j] = value * half, error, size
    return int64(0)


@jit
def adapt(address, context, parts, tol, most, out):
    """Integrate; return 0 if it's within the tolerance, -1 if not, or a call's status."""
    n, count = out.shape[1], parts.shape[0]
    samples = np.empty(21 * n)
    room = max(most, count) + 1
    ends, of, worst = np.empty((room, 2)), np.empty(room, np.int64), np.empty(room)
    found = np.empty((room, 3, n))
    pending = count
    for k in range(count):
        ends[k, 0], ends[k, 1], of[k] = parts[k, 0], parts[k, 1], k
    first, second = 0, count
    while True:
        for k in range(first, second):
            part = parts[of[k]]
            status = _rule(address, context, ends[k, 0], ends[k, 1], (part[2], part[3], part[4]),
                           n, samples, found[k])  # fmt: skip
            if status != 0:
                return status
        out[:] = 0.0
        largest, at, is_well = -1.0, 0, True
        for k in range(pending):
            worst[k] = 0.0
            for j in range(n):
                error = found[k, 1, j]
                if not error <= worst[k]:  # NaN is worst
                    worst[k] = error if error == error else np.inf
                out[0, j] += found[k, 0, j]
                out[1, j] += error
                out[2, j] += found[k, 2, j]
            if worst[k] > largest:
                largest, at = worst[k], k
        for j in range(n):
            if not (out[1, j] <= max(tol * out[2, j], _TINY) and np.isfinite(out[2, j])):
                is_well = False
        low, high = ends[at, 0], ends[at, 1]
        middle = low + (high - low) / 2
        if is_well:
            return int64(0)
        if pending >= most or middle in (low, high) or not np.isfinite(largest):
            return int64(-1)
        # The halves: one at the end, one in place of the whole.
        ends[pending, 0], ends[pending, 1], of[pending] = middle, high, of[at]
        part = parts[of[at]]
        status = _rule(address, context, low, middle, (part[2], part[3], part[4]), n, samples,
                       found[at])  # fmt: skip
        if status != 0:
            return status
        ends[at, 1] = middle
        first, second = pending, pending + 1
        pending += 1


_adapt_kernel = Kernel(adapt, int64(int64, int64, float64[:, ::1], float64, int64, float64[:, ::1]))


def integrated(integrand: Integrand, n: int, parts: Sequence[tuple[float, float]],
               tol: float) -> tuple[Estimate, bool]:  # fmt: skip
    """Return the integral over parts, of `n` components, and whether it's within the tolerance.

    Parameters
    ----------
    integrand : Integrand
        Returns `n` numbers.
    n : int
    parts : sequence of (float, float)
        Their begin and end, which may be infinite.
    tol : float
        Of the error, relative to the integral of the absolute value.
    """
    rows = np.array([row for part in parts for row in _mapped(*part)]).reshape(-1, 5)
    out = np.empty((3, n))
    status = _adapt_kernel.run(integrand.address, integrand.context, rows, tol, MOST_INTERVALS, out)
    if status > 0:
        integrand.raise_failure()
    return Estimate(*out), status == 0


def _mapped(begin: float, end: float) -> list[tuple[float, float, float, float, float]]:
    """Return the finite intervals that an interval is mapped to, and how.

    That's by `t = at + way * (1 - u) / u` and a sign, if way isn't 0.
    """
    if begin == end:
        return []
    is_begun, is_ended = np.isfinite(begin), np.isfinite(end)
    if is_begun and is_ended:
        return [(begin, end, 0.0, 0.0, 1.0)]
    if not is_begun and not is_ended:
        return [*_mapped(begin, 0.0), *_mapped(0.0, end)]
    if is_begun:
        way = float(np.sign(end))
        return [(0.0, 1.0, begin, way, way)]
    way = float(np.sign(begin))
    return [(0.0, 1.0, end, way, -way)]
