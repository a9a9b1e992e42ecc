"""Right-hand sides in compiled code: of a state, of its tangent, of its adjoint.

A right-hand side is a tape without guards whose inputs are t, the n numbers of y, and parameters;
its outputs are dy/dt. What is integrated is a vector of one kind:

- `STATE`: y.
- `TANGENT`: y, and its derivative in a direction of initial values and parameters.
- `ADJOINT`: the derivatives of what is differentiated by y(t), and minus the integrals of those by
  the inputs `wanted`; y is read from a path.

A path is a solution at steps: times, states, and what to find it between them by: coefficients of
the explicit method's interpolant, or none, then a polynomial through the steps around. Everything
is compiled once, called by its name, and told of arrays by the words of a problem.
"""

from __future__ import annotations

from typing import Any

from numba import float64, int64, types

from tapegrad.jit import Symbol, jit
from tapegrad.layout import CONSTANTS, COUNT_WORD
from tapegrad.memory import inputs as inputs_of
from tapegrad.memory import outputs as outputs_of
from tapegrad.memory import pointer, shift
from tapegrad.replay.sweeps import forward, reverse, tangent

STATE, TANGENT, ADJOINT = 0, 1, 2

AROUND = 3
"""Steps at either side of one that a polynomial goes through."""

FAILED = 1
"""The status where a block in a right-hand side fails."""

# The words of a problem: numbers, and addresses of arrays. Values are of slot 0 of a workspace.
(KIND, N, SIZE, HEAD, VALUE, SWEPT, DIRECTIONS, WANTED, N_WANTED, PULLED, TS, YS, DENSE, COUNT,
 POWERS, HINT, Y, COLUMN) = range(18)  # fmt: skip
N_WORDS = 18

NUMBERS, WORDS = types.CPointer(float64), types.CPointer(int64)
_N_CONSTANTS = COUNT_WORD[CONSTANTS]


@jit
def _interval(ts: Any, count: int, hint: Any, t: float) -> Any:
    """Return the step in which a time is."""
    k = min(max(hint[0], 0), count - 1)
    sign = 1.0 if ts[count] >= ts[0] else -1.0
    while k > 0 and sign * (t - ts[k]) < 0.0:
        k -= 1
    while k < count - 1 and sign * (t - ts[k + 1]) > 0.0:
        k += 1
    hint[0] = k
    return k


def _at(words: Any, t: float, out: Any) -> Any:
    """Write what a path is at a time."""
    ts, zs = pointer(words[TS], float64), pointer(words[YS], float64)
    n, count = words[N], words[COUNT]
    k = _interval(ts, count, pointer(words[HINT], int64), t)
    powers = words[POWERS]
    if powers > 0:
        dense = pointer(words[DENSE], float64)
        x = (t - ts[k]) / (ts[k + 1] - ts[k])
        for i in range(n):
            found = 0.0
            for power in range(powers):
                found += dense[(k * powers + powers - 1 - power) * n + i]
                found *= x if power % 2 == 0 else 1.0 - x
            out[i] = zs[k * n + i] + found
        return int64(0)
    first, last = max(k - AROUND + 1, 0), min(k + AROUND, count)
    for i in range(n):
        out[i] = 0.0
    for j in range(first, last + 1):
        weight = 1.0
        for m in range(first, last + 1):
            if m != j:
                weight *= (t - ts[m]) / (ts[j] - ts[m])
        for i in range(n):
            out[i] += weight * zs[j * n + i]
    return int64(0)


@jit
def resolved(words: Any, t: float) -> Any:
    """Return a step in which a derivative changes by no more than the state's errors; else 0.

    What grows from zero is never exact relative to itself, however short the step.
    """
    if words[KIND] == STATE:
        return 0.0
    ts = pointer(words[TS], float64)
    k = _interval(ts, words[COUNT], pointer(words[HINT], int64), t)
    share = 1e-3 if words[KIND] == TANGENT else 1e-9
    return share * abs(ts[k + 1] - ts[k])


at = Symbol("tapegrad_path_at", _at, int64(WORDS, float64, NUMBERS)).call


@jit
def _replayed(words: Any, t: float, z: Any) -> Any:
    """Fill the workspace at a time and a state; 0 if all went well. Parameters are in it."""
    head, values = pointer(words[HEAD], int64), pointer(words[VALUE], float64)
    _, slot = inputs_of(head)
    values[slot[0]] = t
    for i in range(words[N]):
        values[slot[1 + i]] = z[i]
    return int64(0) if forward(head, values) < 0 else int64(FAILED)


def _moved(words: Any, directions: Any, z: Any, out: Any) -> Any:
    """Write the outputs' tangents where y moves by a vector, and other inputs by directions."""
    head, values = pointer(words[HEAD], int64), pointer(words[VALUE], float64)
    tangents, n = pointer(words[SWEPT], float64), words[N]
    tangents[0] = 0.0
    count, slot = inputs_of(head)
    for k in range(n + 1, count):
        tangents[slot[k]] = directions[k]
    tangents[slot[0]] = 0.0
    for i in range(n):
        tangents[slot[1 + i]] = z[i]
    status = tangent(head, values, tangents)
    _, operand = outputs_of(head)
    for i in range(n):
        out[i] = tangents[operand[i]] if operand[i] > 0 else 0.0
    return status


_moved_call = Symbol("tapegrad_rate_moved", _moved, int64(WORDS, NUMBERS, NUMBERS, NUMBERS)).call


def _pulled(words: Any, seeds: Any, out: Any) -> Any:
    """Write the adjoints of the inputs, those of the outputs being seeds."""
    head, values = pointer(words[HEAD], int64), pointer(words[VALUE], float64)
    adjoints = pointer(words[SWEPT], float64)
    n, operand = outputs_of(head)
    last = int64(0)
    for k in range(n):
        last = max(last, int64(operand[k]))
    for i in range(-head[_N_CONSTANTS], last + 1):
        adjoints[i] = 0.0
    for k in range(n):
        if operand[k] > 0:
            adjoints[operand[k]] += seeds[k]
    status = reverse(head, values, adjoints, last)
    n, slot = inputs_of(head)
    for k in range(n):
        out[k] = adjoints[slot[k]] if slot[k] <= last else 0.0
    return status


_pulled_call = Symbol("tapegrad_rate_pulled", _pulled, int64(WORDS, NUMBERS, NUMBERS)).call


def _rate(words: Any, t: float, z: Any, dz: Any) -> Any:
    """Write how fast a vector changes; return 0 if all went well."""
    n = words[N]
    if words[KIND] == ADJOINT:
        y, pulled = pointer(words[Y], float64), pointer(words[PULLED], float64)
        at(words, t, y)
        status = _replayed(words, t, y)
        if status == 0:
            status = _pulled_call(words, z, pulled)
        for i in range(n):
            dz[i] = -pulled[1 + i]
        wanted = pointer(words[WANTED], int64)
        for k in range(words[N_WANTED]):
            dz[n + k] = -pulled[wanted[k]]
        return status
    status = _replayed(words, t, z)
    values = pointer(words[VALUE], float64)
    _, operand = outputs_of(pointer(words[HEAD], int64))
    for i in range(n):
        dz[i] = values[operand[i]]
    if words[KIND] == TANGENT and status == 0:
        directions = pointer(words[DIRECTIONS], float64)
        status = _moved_call(words, directions, shift(z, n), shift(dz, n))
    return status


rate = Symbol("tapegrad_rate", _rate, int64(WORDS, float64, NUMBERS, NUMBERS)).call


def _jacobian(words: Any, t: float, z: Any, matrix: Any) -> Any:
    """Write the Jacobian of the rate by each n numbers; what those do to one another is left out.

    It's exact for a state and an adjoint, whose is minus the state's transpose.
    """
    n = words[N]
    is_adjoint = words[KIND] == ADJOINT
    y, column = pointer(words[Y], float64), pointer(words[COLUMN], float64)
    for i in range(n):
        y[i] = z[i]
    if is_adjoint:
        at(words, t, y)
    status = _replayed(words, t, y)
    # The column, the unit vector, and no other direction follow one another.
    unit, none = shift(column, n), shift(column, 2 * n)
    for j in range(n):
        if status == 0:
            unit[j] = 1.0
            status = _moved_call(words, none, unit, column)
            unit[j] = 0.0
            for i in range(n):
                if is_adjoint:
                    matrix[j * n + i] = -column[i]
                else:
                    matrix[i * n + j] = column[i]
    return status


jacobian = Symbol("tapegrad_rate_jacobian", _jacobian, int64(WORDS, float64, NUMBERS, NUMBERS)).call


def _scales(words: Any, z: Any, new: Any, dz: Any, h: float, tolerances: Any, out: Any) -> Any:
    """Write the error that each number may have.

    A state's is as it's asked for. A derivative's is relative: to itself, to how much it changes
    in the step, and to the largest of its vector, where the state's sizes say what is large. The
    tolerances are the relative one, how small what counts is beside the largest, the absolute
    ones, and the sizes: of the state, and for an adjoint of the parameters.
    """
    n, size = words[N], words[SIZE]
    is_adjoint = words[KIND] == ADJOINT
    rtol, floor = tolerances[0], tolerances[1]
    atol, sizes = shift(tolerances, 2), shift(tolerances, 2 + n)
    start, stop = (int64(0), n) if is_adjoint else (n, size)
    largest = 0.0
    for i in range(start, stop):
        own = max(abs(z[i]), abs(new[i]), abs(h * dz[i]))
        of_state = sizes[i - start]
        largest = max(largest, own * of_state if is_adjoint else own / of_state)
    for i in range(size):
        own = max(abs(z[i]), abs(new[i]))
        if i < start:
            out[i] = rtol * own + atol[i] + 1e-290
            continue
        own = max(own, abs(h * dz[i]))
        of_it = sizes[i - start]  # of a number of the state, or of a parameter
        own += floor * (largest / of_it if is_adjoint else largest * of_it)
        out[i] = rtol * own + 1e-290
    return int64(0)


scales = Symbol(
    "tapegrad_rate_scales", _scales,
    int64(WORDS, NUMBERS, NUMBERS, NUMBERS, float64, NUMBERS, NUMBERS),
).call  # fmt: skip
