"""Jacobians and Hessians as dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, Generic, Literal, TypeVar, overload

import numpy as np

from tapegrad.derivatives.base import Derivative
from tapegrad.derivatives.gradients import Grad, P, grad
from tapegrad.embed import forms
from tapegrad.function.naming import Argnums
from tapegrad.function.plan import Plan
from tapegrad.function.points import Point
from tapegrad.function.tiers import NEVER, Compile, Options
from tapegrad.function.vectors import Vector, join

Mode = Literal["auto", "forward", "reverse"]


def _embedded_form(function: Any) -> Any:
    if type(function) is Grad:
        return forms.hessian(function.recorded.function)
    return forms.jacobian(function)


R = TypeVar("R")
"""What a matrix of derivatives is returned as."""


class Jacobian(Derivative, Generic[R]):
    """What `jacobian` and `hessian` return."""

    def __init__(self, function: Callable[..., Any], argnums: Argnums = 0,
                 mode: Mode = "auto", options: Options = NEVER,
                 columns: bool = False) -> None:  # fmt: skip
        super().__init__(function, argnums, options)
        if mode not in ("auto", "forward", "reverse"):
            raise ValueError(f"mode must be 'auto', 'forward' or 'reverse', not {mode!r}")
        self._mode, self._has_columns = mode, columns

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return (function, self._argnums, self._mode, self.recorded.options,
                self._has_columns)  # fmt: skip

    _make_form = _embedded_form

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Return the derivative at a point."""
        plan, leaves = self.recorded.sort(args, kwargs)
        found: R = self.recorded.run(plan, leaves, partial(self._at, plan))
        return found

    def _at(self, plan: Plan, point: Point) -> Any:
        tape = point.recording.tape
        n_outputs, n_inputs = len(tape.outputs), len(tape.inputs)
        columns = plan.positions()
        mode = self._mode
        if mode == "auto":
            mode = "forward" if len(columns) <= n_outputs else "reverse"
        if mode == "forward":
            chosen = set(columns)
            zero = np.zeros(n_outputs)
            rows = [
                point.pushforward(_unit(n_inputs, k)) if k in chosen else zero
                for k in range(n_inputs)
            ]
            matrix = join(rows).reshape(n_inputs, n_outputs).T
        else:
            rows = [point.pullback(_unit(n_outputs, row)) for row in range(n_outputs)]
            matrix = join(rows).reshape(n_outputs, n_inputs)

        def part_of(part: slice, shape: tuple[int, ...]) -> Any:
            if self._has_columns:
                return matrix[part, columns].reshape((*shape, -1))
            return plan.split(matrix[part], shape)

        return point.recording.result.split(part_of)


def _unit(length: int, index: int) -> Vector:
    unit = np.zeros(length)
    unit[index] = 1.0
    return unit


@overload
def jacobian(function: Callable[Concatenate[Vector, P], Vector], argnums: Literal[0] = 0,
    mode: Mode = "auto", *, columns: bool = False, compile: Compile = "auto",
    strict: bool = False) -> Jacobian[Vector]: ...  # fmt: skip


@overload
def jacobian(function: Callable[..., Any], argnums: Argnums = 0, mode: Mode = "auto",
    *, columns: bool = False, compile: Compile = "auto",
    strict: bool = False) -> Jacobian[Any]: ...  # fmt: skip


def jacobian(function: Callable[..., Any], argnums: Argnums = 0, mode: Mode = "auto",
             *, columns: bool = False, compile: Compile = "auto",
             strict: bool = False) -> Jacobian[Any]:  # fmt: skip
    """Return a function that computes a function's Jacobian.

    Parameters
    ----------
    function : callable
        Its result may be a float, an array, or nested tuples, lists, dicts and dataclasses of
        them.
    argnums : int, str, slice, or sequence of int and str, optional
        Which arguments to differentiate by: positions, names, or a range of positions.
    mode : {'auto', 'forward', 'reverse'}, optional
        One forward sweep an input, or one reverse sweep an output; by default whichever are
        fewer.
    columns : bool, optional
        Whether the elements of all that is differentiated lie side by side, as the columns of one
        array: what `scipy.optimize.curve_fit` takes as `jac`.
    compile, strict : optional
        As for `value_and_grad`.

    Returns
    -------
    Jacobian
        Called like `function`, returns for every leaf of the result (in its structure) a tree of
        the argument's structure, with arrays of the leaf's shape followed by the argument's.

    Raises
    ------
    InputTypeError
        When called: if an argument to differentiate by is no float or float array.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> tg.jacobian(lambda x: x[:2] * x[2])(np.array([1.0, 2.0, 3.0]))
    array([[3., 0., 1.],
           [0., 3., 2.]])

    With `columns=True`, by all arguments but the first:

    >>> line = lambda t, a, b: a + b * t
    >>> jac = tg.jacobian(line, argnums=slice(1, None), columns=True)
    >>> jac(np.array([0.0, 2.0]), 1.0, 1.0)
    array([[1., 0.],
           [1., 2.]])
    """
    return Jacobian(function, argnums, mode, Options(compile, strict), columns)


@overload
def hessian(function: Callable[Concatenate[Vector, P], Any], argnums: Literal[0] = 0,
    *, compile: Compile = "auto", strict: bool = False) -> Jacobian[Vector]: ...  # fmt: skip


@overload
def hessian(function: Callable[..., Any], argnums: Argnums = 0,
    *, compile: Compile = "auto", strict: bool = False) -> Jacobian[Any]: ...  # fmt: skip


def hessian(function: Callable[..., Any], argnums: Argnums = 0,
            *, compile: Compile = "auto", strict: bool = False) -> Jacobian[Any]:  # fmt: skip
    """Return a function that computes the Hessian of a function that returns one float.

    It's the Jacobian of the recorded gradient, by forward sweeps.

    Parameters
    ----------
    function : callable
    argnums : int, str, slice, or sequence of int and str, optional
        Which arguments to differentiate by, twice.
    compile, strict : optional
        As for `value_and_grad`.

    Returns
    -------
    Jacobian
        Called like `function`, returns an array of the argument's shape, twice; for other
        structures, what `jacobian(grad(function))` returns.

    Raises
    ------
    NotScalarError
        When called: if the function's value is not one float.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> tg.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return Jacobian(grad(function, argnums), argnums, "forward", Options(compile, strict))
