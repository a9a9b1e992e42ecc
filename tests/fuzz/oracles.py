"""What must hold of a program: every executor against every other, and against what is no tapegrad.

To the bit: a replay and a recording made there, strict machine code and the sweeps. Nearly: all
else, where what rounding alone does to the derivative is allowed for; it's measured, by moving the
point in its last digits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

import tapegrad as tg
from fuzz import executors
from fuzz.executors import Function, Vector
from fuzz.programs import Program
from tapegrad.errors import TapegradError
from tapegrad.testing import GradientMismatchError, extrapolated_difference

EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, 1e8, np.inf, -np.inf, np.nan)


class Wrong(Exception):
    """Something doesn't hold; `kind` says what."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Refused(Exception):
    """tapegrad says that it can't, or the program itself raises: nothing to compare."""


def points_of(program: Program, seed: int) -> list[Vector]:
    """Return two points, one beside the first, one with a tie and one with edge values."""
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(-1.6, 1.6, (2, program.size))
    beside = first + 1e-4 * rng.standard_normal(program.size)
    tied, edge = first.copy(), second.copy()
    tied[rng.integers(program.size)] = tied[rng.integers(program.size)]
    for k in rng.integers(program.size, size=2):
        edge[k] = rng.choice(EDGES)
    return [first, second, beside, tied, edge]


def check(program: Program, seed: int, sweeps_only: bool = False) -> None:
    """Raise Wrong if anything is, Refused if nothing can be said.

    Parameters
    ----------
    program : Program
    seed : int
        Of the points, and of which of the dearer executors have their turn.
    sweeps_only : bool, optional
        Whether none of them has.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _check(program, seed, sweeps_only)


def _check(program: Program, seed: int, sweeps_only: bool) -> None:
    function = program.function()
    points = [x for x in points_of(program, seed) if _runs(function, x)]
    if not points:
        raise Refused("the program itself raises")
    _sweeps(function, points)
    _differences(function, points[:2])
    if program.is_analytic:
        _complex_step(function, points[0])
    if sweeps_only:
        return
    if seed % 2 == 0:
        _machine_code(function, points, strict=True)
    if seed % 4 == 1:
        _machine_code(function, points, strict=False)
    if seed % 4 == 3:
        _second_order(function, points[0], seed)
    if program.is_compilable:
        _compiled_by_numba(program, points)


def _runs(function: Function, x: Vector) -> bool:
    try:
        return isinstance(function(x), float)
    except (ArithmeticError, ValueError, IndexError, TypeError, np.linalg.LinAlgError):
        return False


def _asked(kind: str, executor: Any, *args: Any) -> Any:
    """Return what an executor says; what it mustn't raise is wrong."""
    try:
        return executor(*args)
    except TapegradError as error:
        if isinstance(error, GradientMismatchError | AssertionError):
            raise Wrong(kind, repr(error)) from error
        raise Refused(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
    except Exception as error:
        raise Wrong(kind, f"raised {error!r}") from error


# --- the sweeps --------------------------------------------------------------------------------


def _sweeps(function: Function, points: list[Vector]) -> None:
    fresh = [_asked("crash", executors.recorded_at, function, x) for x in points]
    for x, (value, gradient) in zip(points, fresh, strict=True):
        _compare_values(function, x, value)
        _same_bits("vjp", x, _asked("vjp", executors.pulled, function, x), (value, gradient))
        columns = _asked("forward", executors.by_columns, function, x)
        _near("forward", function, x, columns, gradient)
        direction = np.cos(np.arange(1.0, len(x) + 1.0))
        also, slope = _asked("jvp", executors.tangent, function, x, direction)
        if not _equal(also, value):
            raise Wrong("jvp", f"at {x!r} the value is {also!r}, not {value!r}")
        if _is_ordinary(x, gradient) and np.isfinite(slope):
            scale = np.abs(gradient) @ np.abs(direction)
            if abs(slope - gradient @ direction) > 1e-9 * scale + 1e-280:
                raise Wrong("jvp", f"at {x!r} {slope!r} along the direction, not {gradient!r}")
    replay = executors.replayed(function)
    for k in [*range(len(points)), *reversed(range(len(points)))]:
        _same_bits("replay", points[k], _asked("replay", replay, points[k]), fresh[k])
    for tape in _asked("tape", executors.tapes, function, points[0]):
        _asked("tape", tg.check, tape)


def _compare_values(function: Function, x: Vector, value: float) -> None:
    plain = float(function(x.copy()))
    if _equal(value, plain) or abs(value - plain) <= 1e-12 * abs(plain):
        return
    spread = [abs(float(function(y)) - plain) for y in _nearby(x) if _runs(function, y)]
    if not abs(value - plain) <= 100.0 * max(spread, default=0.0) + 1e-13:
        if not np.isfinite(spread).all():
            return  # at the brink of overflow
        raise Wrong("value", f"at {x!r} {value!r} instead of {plain!r}")


# --- machine code ------------------------------------------------------------------------------


def _machine_code(function: Function, points: list[Vector], strict: bool) -> None:
    kind = "strict machine code" if strict else "machine code"
    machine = executors.machine(function, strict)
    for x in [points[0], *points[2:], points[0]]:
        swept = executors.recorded_at(function, x)
        found = _asked(kind, machine, x)
        if strict:
            _same_bits(kind, x, found, swept)
        elif _is_ordinary(x, swept[1]):
            _compare_values(function, x, found[0])
            _near(kind, function, x, found[1], swept[1])


# --- derivatives of derivatives ----------------------------------------------------------------


def _second_order(function: Function, x: Vector, seed: int) -> None:
    direction = np.random.default_rng(seed).standard_normal(len(x))
    products = {
        kind: _asked(kind, product, function, x, direction)
        for kind, product in executors.HESSIAN_PRODUCTS.items()
    }
    reference = products["hvp"]
    if not np.isfinite(reference).all():
        return
    hvp = executors.HESSIAN_PRODUCTS["hvp"]
    for kind, product in products.items():
        scale = 1e-8 * (np.max(np.abs(reference)) + 1e-3)
        if not np.allclose(product, reference, rtol=0.0, atol=scale):
            spread = [abs(hvp(function, y, direction) - reference) for y in _nearby(x)]
            if (abs(product - reference) > scale + 100.0 * np.max(spread, axis=0)).any():
                raise Wrong(kind, f"at {x!r} along {direction!r}: {product!r}, not {reference!r}")
    slopes = executors.replayed(function)
    _against_differences("second derivative", lambda t: slopes(x + t * direction)[1], reference)


# --- what is no tapegrad -----------------------------------------------------------------------


def _differences(function: Function, points: list[Vector]) -> None:
    for x in points:
        gradient = executors.recorded_at(function, x)[1]
        direction = np.sin(np.arange(1.0, len(x) + 1.0))
        if np.isfinite(gradient).all():
            _against_differences(
                f"gradient at {x!r}",
                lambda t, x=x, direction=direction: np.array([function(x + t * direction)]),
                np.array([gradient @ direction]),
            )


def _against_differences(kind: str, along: Any, found: Vector) -> None:
    """Raise where differences of three steps, and of both sides, agree on another derivative."""
    try:
        estimates = [extrapolated_difference(along, step, 5) for step in (1e-2, 2e-3, 4e-4)]
        sides = [(along(h) - along(-h)) / (2.0 * h) for h in (1e-6, 3e-6)]
        left, right = ((along(h) - along(0.0)) / h for h in (-1e-6, 1e-6))
    except (ArithmeticError, ValueError, IndexError, TapegradError):
        return
    every = np.array([derivative for derivative, _ in estimates] + sides + [left, right])
    middle = np.median(every, axis=0)
    doubt = np.max(np.abs(every - middle), axis=0) + max(np.max(error) for _, error in estimates)
    size = np.maximum(np.abs(middle), np.abs(found)) + 1e-3
    is_sure = np.isfinite(doubt) & (doubt < 1e-3 * size)
    if (is_sure & (abs(found - middle) > 20.0 * doubt + 1e-5 * size)).any():
        raise Wrong(kind.split()[0], f"{kind} {found!r}, by differences {middle!r}")


def _complex_step(function: Function, x: Vector) -> None:
    if not np.isfinite(function(x)):
        return  # a complex number may be the logarithm of a negative one
    expected = np.array([np.imag(function(x + 1e-30j * e)) / 1e-30 for e in np.eye(len(x))])
    _near("complex step", function, x, expected, executors.recorded_at(function, x)[1])


# --- Numba -------------------------------------------------------------------------------------


def _compiled_by_numba(program: Program, points: list[Vector]) -> None:
    compiled, plain = program.function(compiled=True), program.function()
    try:
        points = [x for x in points if _runs(compiled, x)]
    except (NumbaError, RuntimeError):
        return  # Numba can't, or leaves a symbol unresolved, as it does in some recursions
    if not points:
        return
    swept = _asked("recording a Numba function", executors.replayed, compiled)
    form = _asked("the form for compiled code", executors.form, compiled)
    for x in points:
        expected = executors.recorded_at(plain, x)
        if not _equal(float(compiled(x)), float(plain(x))):
            continue  # Numba's own value is another
        for kind, executor in (("recording a Numba function", swept), ("the form", form)):
            value, gradient = _asked(kind, executor, x)
            _compare_values(compiled, x, value)
            _near(kind, plain, x, gradient, expected[1])


# --- equal, and nearly so ----------------------------------------------------------------------


def _equal(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def _same_bits(kind: str, x: Vector, found: Any, expected: Any) -> None:
    if not (
        _equal(found[0], expected[0]) and np.array_equal(found[1], expected[1], equal_nan=True)
    ):
        raise Wrong(kind, f"at {x!r} {found!r} instead of {expected!r}")


def _nearby(x: Vector) -> Iterator[Vector]:
    """Yield points that differ in their last digits."""
    rng = np.random.default_rng(0)
    for size in (1e-15, 1e-14, 1e-13, 1e-13):
        yield x * (1.0 + size * rng.uniform(-1.0, 1.0, len(x)))


def _is_ordinary(x: Vector, gradient: Vector) -> bool:
    """Return whether a gradient's terms can't be so large that all else is lost beside them."""
    sizes = np.abs(x[x != 0.0])
    return bool(np.isfinite(gradient).all() and ((sizes > 1e-3) & (sizes < 1e3)).all())


def _near(kind: str, function: Function, x: Vector, found: Vector, expected: Vector) -> None:
    """Raise if a gradient differs by more than rounding makes of it."""
    if not _is_ordinary(x, expected):
        return
    scale = 1e-10 * (np.max(np.abs(expected)) + 1e-6)
    if np.allclose(found, expected, rtol=0.0, atol=scale):
        return
    spread = [abs(executors.recorded_at(function, y)[1] - expected) for y in _nearby(x)]
    if not (abs(found - expected) <= scale + 100.0 * np.max(spread, axis=0)).all():
        raise Wrong(kind, f"at {x!r} the gradient is {found!r} instead of {expected!r}")
