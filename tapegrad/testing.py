"""Checks that users can run on their own functions: derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.derivatives import grad, jvp, vjp
from tapegrad.errors import TapegradError
from tapegrad.tree import flatten, unflatten_all

Vector = npt.NDArray[np.float64]


class GradientMismatchError(TapegradError, AssertionError):
    """Two ways to compute a derivative disagree."""


def extrapolated_difference(
    function: Callable[[float], Vector], step: float = 0.0625, levels: int = 7
) -> tuple[Vector, Vector]:
    """Return the derivative of a function of one number at 0, by differences, and its error.

    Central differences of halved steps, extrapolated to a step of zero; of the resulting
    triangle the entry that changes least from its neighbours is taken (C. Ridders, 'Accurate
    computation of F'(x) and F'(x)F''(x)', Advances in Engineering Software 4, 1982).

    Parameters
    ----------
    function : callable
        Returns an array.
    step : float, optional
        The largest step.
    levels : int, optional
        How often it's halved.

    Returns
    -------
    derivative, error : ndarray
        The error is an estimate.

    Examples
    --------
    >>> import numpy as np
    >>> derivative, error = extrapolated_difference(lambda t: np.exp(np.array([t])))
    >>> bool(abs(derivative[0] - 1) < 1e-9)
    True
    """
    best = np.asarray(function(step)) * np.nan
    error = np.full_like(best, np.inf)
    previous: list[Vector] = []
    for level in range(levels):
        h = step / 2**level
        current = [(np.asarray(function(h)) - np.asarray(function(-h))) / (2 * h)]
        for order, older in enumerate(previous, 1):
            factor = 4.0**order
            current.append((factor * current[-1] - older) / (factor - 1))
            change = np.maximum(abs(current[-1] - current[-2]), abs(current[-1] - older))
            better = change < error
            best, error = np.where(better, current[-1], best), np.where(better, change, error)
        previous = current
    # A jump that every halving meets leaves a few neighbours equal by accident.
    return best, np.fmax(error, abs(best - previous[min(1, levels - 1)]))


def check_grads(
    function: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("forward", "reverse"),
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> None:
    """Raise unless forward and reverse derivatives agree with each other and with differences.

    The derivative in a random direction is compared with extrapolated central differences; the
    forward derivative, weighted by a random cotangent, with the reverse one. For an order above
    one, the same is asked of the gradient of the weighted result.

    Parameters
    ----------
    function : callable
        Returns floats, arrays, or structures of them.
    args : sequence
        The positional arguments: the point.
    order : int, optional
        How many derivatives to check.
    modes : sequence of {'forward', 'reverse'}, optional
    rtol, atol : float, optional
        Relative tolerance, and absolute one; what the differences can't tell is allowed for.
    seed : int, optional
        Of the random directions.

    Raises
    ------
    GradientMismatchError
        With both numbers, where they stand, and by how much they differ.

    Examples
    --------
    >>> import numpy as np
    >>> check_grads(lambda x: np.sin(x) * x, (np.array([0.5, 1.5]),), order=2)
    """
    point, vector_function = _flattened(function, tuple(args))
    _check(vector_function, point, order, tuple(modes), (rtol, atol), np.random.default_rng(seed))


def _flattened(
    function: Callable[..., Any], args: tuple[Any, ...]
) -> tuple[Vector, Callable[[Any], Any]]:
    """Return the point, and the function, as one vector to another."""
    leaves: list[Any] = []
    structure = flatten(args, leaves)
    numbers = [k for k, leaf in enumerate(leaves) if _is_number(leaf)]
    sizes = [np.size(leaves[k]) for k in numbers]
    stops = np.cumsum(sizes)
    point = np.concatenate([np.ravel(leaves[k]) for k in numbers], dtype=np.float64)

    def vector_function(x: Any) -> Any:
        arguments = list(leaves)
        for k, size, stop in zip(numbers, sizes, stops, strict=True):
            shape = np.shape(leaves[k])
            arguments[k] = x[stop - size : stop].reshape(shape) if shape else x[stop - 1]
        results: list[Any] = []
        flatten(function(*unflatten_all(structure, arguments)), results)
        return np.concatenate([np.ravel(leaf) for leaf in results if _is_number(leaf)])

    return point, vector_function


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, float) or getattr(getattr(leaf, "dtype", None), "kind", "") == "f"


def _check(
    function: Callable[[Any], Any],
    point: Vector,
    order: int,
    modes: tuple[str, ...],
    tolerances: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    direction = rng.standard_normal(point.shape)
    value, forward = jvp(function, (point,), (direction,))
    weights = rng.standard_normal(value.shape)
    if "forward" in modes:
        expected, error = extrapolated_difference(lambda t: function(point + t * direction))
        _compare("forward sweep", forward, "differences", expected, tolerances, 10 * error)
    if "reverse" in modes:
        reverse = vjp(function, point)[1](weights)[0] @ direction
        _compare(
            "reverse sweep", np.array([reverse]), "forward sweep", np.array([weights @ forward]),
            tolerances, np.zeros(1),
        )  # fmt: skip
    if order > 1:
        gradient = grad(lambda x: np.dot(weights, function(x)))
        _check(gradient, point, order - 1, modes, tolerances, rng)


def _compare(
    name: str,
    found: Vector,
    other: str,
    expected: Vector,
    tolerances: tuple[float, float],
    uncertainty: Vector,
) -> None:
    rtol, atol = tolerances
    agree = abs(found - expected) <= atol + rtol * abs(expected) + uncertainty
    agree |= (found == expected) | (np.isnan(found) & np.isnan(expected))
    if not np.all(agree):
        k = int(np.argmin(agree))
        raise GradientMismatchError(
            f"the derivative of output {k} in a random direction is {float(found[k])!r} by the "
            f"{name} and {float(expected[k])!r} by the {other} (+- {uncertainty[k]:.1g}): they "
            f"differ by {abs(found[k] - expected[k]):.3g}; {np.count_nonzero(~agree)} of "
            f"{len(found)} outputs disagree"
        )
