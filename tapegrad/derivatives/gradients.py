"""Gradients of functions that return one number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    overload,
)

import numpy as np

from tapegrad.derivatives.base import Derivative
from tapegrad.embed import forms
from tapegrad.errors import NoCompiledFormError, UnsupportedFunctionError
from tapegrad.function.afresh import afresh_of
from tapegrad.function.naming import Argnums
from tapegrad.function.points import Point, valid_recording
from tapegrad.function.recording import Recording
from tapegrad.function.tiers import NEVER, Compile, Options
from tapegrad.function.vectors import AnyVector

if TYPE_CHECKING:
    from tapegrad.derivatives.machine import MachineGradient


X = TypeVar("X")
"""What is differentiated by, and so the gradient's type."""
P = ParamSpec("P")
"""The other parameters."""


class ValueAndGrad(Derivative, Generic[X, P]):
    """What `value_and_grad` returns."""

    def __init__(self, function: Callable[..., Any], argnums: Argnums = 0,
                 has_aux: bool = False, options: Options = NEVER) -> None:  # fmt: skip
        super().__init__(function, argnums, options)
        self._has_aux = has_aux
        self._value_and_gradient = self._both if has_aux else self.recorded.gradient
        if not has_aux:
            self.recorded.afresh = afresh_of(self.recorded.function, options)

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return function, self._argnums, self._has_aux, self.recorded.options

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        return self._value_and_gradient(args, kwargs)

    def _both(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Return `(value, aux)` and gradient."""
        plan, leaves = self.recorded.sort(args, kwargs)
        found, gradient = self.recorded.run(plan, leaves, _with_aux)
        return found, plan.split(gradient)

    if TYPE_CHECKING:

        def __call__(self, x: X, /, *args: P.args, **kwargs: P.kwargs) -> tuple[float, X]:
            """Return the derivative at a point."""

    else:
        __call__ = _call

    @property
    def tier(self) -> str:
        """What the latest call ran as: that of the recording, or 'recorded afresh'."""
        served = None if self.recorded.afresh is None else self.recorded.afresh.served
        is_afresh = served is not None and served is self.recorded.last
        return "recorded afresh" if is_afresh else super().tier

    def wait(self, timeout: float | None = None) -> str:
        """Wait for what is being compiled in the background, and return the tier."""
        if self.recorded.afresh is not None:
            self.recorded.afresh.wait(timeout)
        return super().wait(timeout)

    _make_form = forms.value_and_gradient

    def compiled(self, *args: Any, **kwargs: Any) -> MachineGradient:
        """Return value and gradient as machine code, for arguments like these.

        It's recorded and compiled at once, whatever `compile` says. What is returned takes the
        array that is differentiated; all other arguments stay as they are here.

        Raises
        ------
        UnsupportedFunctionError
            If it isn't by one float array, or with `has_aux`.
        NotCompilableError
            If the recording is too long and in no loops, or if compiling fails.

        Examples
        --------
        >>> import numpy as np, tapegrad as tg
        >>> fast = tg.value_and_grad(lambda x: np.sum(x**2)).compiled(np.zeros(3))
        >>> fast(np.array([1.0, 2.0, 3.0]))
        (14.0, array([2., 4., 6.]))
        """
        argnum = self._argnums
        is_one = isinstance(argnum, int) and isinstance(args[argnum], np.ndarray)
        if self._has_aux or not isinstance(argnum, int) or not is_one:
            raise UnsupportedFunctionError(
                "compiled() is for a gradient by one float array, without has_aux: put what is "
                "differentiated in one array"
            )
        plan, leaves = self.recorded.sort(args, kwargs)
        recording = self.recorded.run(plan, leaves, _of_a_number, is_quiet=True)
        from tapegrad.derivatives.machine import MachineGradient  # compiled code, not for all

        return MachineGradient(self, recording, argnum, plan, leaves)

    @functools.cached_property
    def cfunc(self) -> Any:
        """The derivative as a C function, `double f(double *x, double *gradient, int64_t n)`.

        For a compiled function of one array of length `n`; returns the value and fills
        `gradient`. If the function raises, all of them are NaN. It has the attributes of what
        `numba.cfunc` returns, among them `address`, `ctypes` and `native_name`.
        """
        return self._embedded(forms.c_function)

    @property
    def address(self) -> int:
        """The address of `cfunc`."""
        return int(self.cfunc.address)

    def _embedded(self, make: Callable[[Any], Any] | None) -> Any:
        if self._has_aux:
            raise NoCompiledFormError("in compiled code has_aux is not possible")
        return super()._embedded(make)


def _with_aux(point: Point) -> tuple[Any, AnyVector]:
    """Return what a function returns at a point, and the gradient of the first part of it."""
    point.check_scalar(has_aux=True)
    seeds = np.zeros(len(point.recording.tape.outputs))
    seeds[0] = 1.0
    adjoints = point.pullback(seeds)
    value, aux = point.result()
    return (value.item() if np.shape(value) else value, aux), adjoints


def _of_a_number(point: Point) -> Recording:
    """Return a recording that is valid at a point, of a function that returns one float."""
    point.check_scalar()
    return valid_recording(point)


class Grad(ValueAndGrad[X, P]):
    """What `grad` returns."""

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        value, gradient = self._value_and_gradient(args, kwargs)
        return (gradient, value[1]) if self._has_aux else gradient

    if TYPE_CHECKING:

        def __call__(  # type: ignore[override]  # a gradient is no pair
            self, x: X, /, *args: P.args, **kwargs: P.kwargs
        ) -> X:
            """Return the derivative at a point."""

    else:
        __call__ = _call

    @functools.cached_property
    def cfunc(self) -> Any:
        """The derivative by `x[0]` as a C function, `double f(int n, double *x)`.

        For a compiled function of one array of length `n`; NaN if the function raises. This is
        an integrand that `scipy.integrate` takes as `scipy.LowLevelCallable(g.cfunc.ctypes)`.
        """
        return self._embedded(forms.c_integrand)


@overload
def value_and_grad(function: Callable[Concatenate[X, P], Any], argnums: Literal[0] = 0,
    has_aux: Literal[False] = False, *, compile: Compile = "auto",
    strict: bool = False) -> ValueAndGrad[X, P]: ...  # fmt: skip


@overload
def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
    *, compile: Compile = "auto", strict: bool = False) -> ValueAndGrad[Any, ...]: ...  # fmt: skip


def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
                   *, compile: Compile = "auto",
                   strict: bool = False) -> ValueAndGrad[Any, ...]:  # fmt: skip
    """Return a function that computes a function's value and its gradient.

    The first call records the function; later calls replay the recording, as long as its guards
    hold and nothing the function closes over has changed. The result can be given to
    `scipy.optimize.minimize` with `jac=True`.

    Parameters
    ----------
    function : callable
        Returns one number; with `has_aux`, a pair of it and anything else. Its float and float
        array arguments, alone or in tuples, lists, dicts and dataclasses, are inputs of the
        recording; all other arguments select a recording by equality.
    argnums : int, str, slice, or sequence of int and str, optional
        Which arguments to differentiate by: positions, names, or a range of positions.
    has_aux : bool, optional
        Whether the function returns `(value, aux)`.
    compile : {'auto', 'now', 'never'}, optional
        When a recording is made machine code: in the background once the calls so far have taken
        as long as that will; at the first call after it's made; never. A compiled function that
        takes new ways again and again is compiled to be recorded afresh at each call.
    strict : bool, optional
        Whether machine code has the bits of the sweeps. By default it may add the terms of a loop's
        sum in another order, and fuse products and sums of derivatives.

    Returns
    -------
    ValueAndGrad
        Called like `function`, returns `(value, gradient)`, or `((value, aux), gradient)`. The
        gradient has the structure and shapes of the argument (a tuple of such for a sequence of
        `argnums`), in fresh float64 arrays.

    Raises
    ------
    NotScalarError
        When called: if the function's value is not one float.
    InputTypeError
        When called: if an argument to differentiate by is no float or float array.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> value, gradient = tg.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    >>> value, gradient
    (5.0, array([2., 4.]))
    """
    return ValueAndGrad(function, argnums, has_aux, Options(compile, strict))


@overload
def grad(function: Callable[Concatenate[X, P], Any], argnums: Literal[0] = 0,
    has_aux: Literal[False] = False, *, compile: Compile = "auto",
    strict: bool = False) -> Grad[X, P]: ...  # fmt: skip


@overload
def grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
    *, compile: Compile = "auto", strict: bool = False) -> Grad[Any, ...]: ...  # fmt: skip


def grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
         *, compile: Compile = "auto", strict: bool = False) -> Grad[Any, ...]:  # fmt: skip
    """Return a function that computes a function's gradient.

    Parameters, errors and recording are those of `value_and_grad`.

    Returns
    -------
    Grad
        Called like `function`, returns the gradient, or `(gradient, aux)` with `has_aux`.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.grad(lambda x: x**3)(2.0)
    12.0
    >>> tg.grad(tg.grad(lambda x: x**3))(2.0)
    12.0
    """
    return Grad(function, argnums, has_aux, Options(compile, strict))
