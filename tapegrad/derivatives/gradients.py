"""Gradients of functions that return one number."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
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

from tapegrad.compiled import embedding
from tapegrad.derivatives.afresh import Afresh, afresh_of
from tapegrad.derivatives.base import Derivative
from tapegrad.derivatives.naming import Argnums
from tapegrad.derivatives.selection import Selection, shape_of
from tapegrad.errors import NoCompiledFormError, NotScalarError, UnsupportedFunctionError
from tapegrad.function.arguments import Call, Fixed
from tapegrad.function.points import at
from tapegrad.function.recording import Recording, Workspace, name_of
from tapegrad.function.returns import returned_in
from tapegrad.function.tiers import NEVER, Compile, Options
from tapegrad.record.nesting import is_recording
from tapegrad.replay.programs import float_gradient
from tapegrad.tree import LEAF, Structure

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code
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
        self._afresh: Afresh | None = None
        if self._naming.is_first and not has_aux:
            self._afresh = afresh_of(self.recorded.function, options)
        if self._afresh is not None:
            self.recorded.takes_over = self._afresh.takes_over

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return function, self._argnums, self._has_aux, self.recorded.options

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        call, selection = self._sort(args, kwargs)
        if self._has_aux or call.is_active or is_recording():
            return self._in_steps(call, selection)
        found = None if self._afresh is None else self._afresh.run(call, args)
        if found is not None:
            return found
        inputs = call.inputs()
        gradient = np.empty(0)
        value = 0.0

        def run(recording: Recording, code: Code) -> bool:
            nonlocal gradient, value
            check_scalar(recording, self.recorded.function)
            gradient = np.empty(len(inputs))
            status, value = code.gradient(inputs, gradient)
            return not status

        def attempt(recording: Recording, workspace: Workspace) -> int:
            nonlocal gradient, value
            check_scalar(recording, self.recorded.function)
            gradient = np.empty(len(recording.tape.inputs))
            failed, value = float_gradient.run(
                recording.tape.head, inputs, workspace.value, workspace.swept, gradient
            )
            return failed  # type: ignore[no-any-return]

        recording, workspace = self.recorded.run_compiled(call, "reverse", run, attempt)
        if recording.effects:
            recording.run_effects_at(inputs, workspace)
        if workspace is not None:
            recording.give_back(workspace)
        return value, selection.split(gradient)

    if TYPE_CHECKING:

        def __call__(self, x: X, /, *args: P.args, **kwargs: P.kwargs) -> tuple[float, X]:
            """Return the derivative at a point."""

    else:
        __call__ = _call

    def clear(self) -> None:
        """Forget every recording, after a change that can't be seen: a file, a random number."""
        super().clear()
        if self._afresh is not None:
            self._afresh.forget()

    @property
    def tier(self) -> str:
        """What the latest call ran as: that of the recording, or 'recorded afresh'."""
        is_afresh = self._afresh is not None and self._afresh.is_used
        return "recorded afresh" if is_afresh else super().tier

    def wait(self, timeout: float | None = None) -> str:
        """Wait for what is being compiled in the background, and return the tier."""
        if self._afresh is not None:
            self._afresh.wait(timeout)
        return super().wait(timeout)

    _make_form = embedding.value_and_gradient

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
        call, selection = self._sort(args, kwargs)
        argnum = self._argnums
        is_one = isinstance(argnum, int) and isinstance(args[argnum], np.ndarray)
        if self._has_aux or not isinstance(argnum, int) or not is_one:
            raise UnsupportedFunctionError(
                "compiled() is for a gradient by one float array, without has_aux: put what is "
                "differentiated in one array"
            )
        point = at(self.recorded, call)
        check_scalar(point.recording, self.recorded.function)
        code = point.recording.tiers.compile("reverse")
        from tapegrad.derivatives.machine import MachineGradient  # compiled code, not for all

        (start, stop), shape = selection.spans[0], selection.shapes[0]

        otherwise = _Otherwise(self, argnum, args, kwargs)
        options, name = self.recorded.options, name_of(self.recorded.function)
        return MachineGradient(point.recording, code, options, name, call.inputs(), start, stop,
                               shape, otherwise)  # fmt: skip

    @functools.cached_property
    def cfunc(self) -> Any:
        """The derivative as a C function, `double f(double *x, double *gradient, int64_t n)`.

        For a compiled function of one array of length `n`; returns the value and fills
        `gradient`. If the function raises, all of them are NaN. It has the attributes of what
        `numba.cfunc` returns, among them `address`, `ctypes` and `native_name`.
        """
        return self._compiled(embedding.c_function)

    @property
    def address(self) -> int:
        """The address of `cfunc`."""
        return int(self.cfunc.address)

    def _compiled(self, make: Callable[[Any], Any] | None) -> Any:
        if self._has_aux:
            raise NoCompiledFormError("in compiled code has_aux is not possible")
        return super()._compiled(make)

    def _in_steps(self, call: Call, selection: Selection) -> Any:
        point = at(self.recorded, call)
        recording = point.recording
        check_scalar(recording, self.recorded.function, self._has_aux)
        seeds = np.zeros(len(recording.tape.outputs))
        seeds[0] = 1.0
        adjoints = point.pullback(seeds)
        point.run_effects()
        value, *aux = point.result() if self._has_aux else (point.result(),)
        value = value.item() if np.shape(value) else value
        return (value, *aux) if self._has_aux else value, selection.split(adjoints)


@dataclass(frozen=True)
class _Otherwise:
    """A derivative called with another array in place of the one it's by."""

    derivative: ValueAndGrad[Any, Any]
    argnum: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, x: Any) -> Any:
        args = list(self.args)
        args[self.argnum] = x
        return ValueAndGrad._call(self.derivative, *args, **self.kwargs)

    def holding(self) -> Callable[[], bool]:
        """Return what tells whether what the function closes over is as it is now."""
        call, _ = self.derivative._sort(self.args, self.kwargs)
        return self.derivative.recorded.holding(call)


def check_scalar(recording: Recording, function: Any, has_aux: bool = False) -> None:
    """Raise NotScalarError if a recorded function's value is not one float."""
    structure = recording.structure
    is_pair = not has_aux or (
        structure is not LEAF and structure[0] is tuple and len(structure[2]) == 2
    )
    if has_aux and is_pair:
        structure = structure[2][0]
    spec = recording.specs[0] if recording.specs else None
    is_number = structure is LEAF and not isinstance(spec, Fixed) and math.prod(shape_of(spec)) == 1
    if is_pair and is_number:
        return
    if not is_pair:
        message = "with has_aux=True the function must return a pair (value, aux)"
    else:
        message = (
            "a gradient needs a function that returns one float, and it returned "
            f"{_kind_of(structure, spec)}; use jacobian for several outputs, or has_aux=True to "
            "return more beside the value"
        )
    raise NotScalarError(message).with_traceback(returned_in(function))


def _kind_of(structure: Structure, spec: Any) -> str:
    """Return what a result is called."""
    if structure is not LEAF:
        return f"a {structure[0].__name__}"
    if isinstance(spec, Fixed):
        return f"{spec.thing!r} of type {type(spec.thing).__name__}"
    return f"an array of shape {spec}"


class Grad(ValueAndGrad[X, P]):
    """What `grad` returns."""

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        value, gradient = super()._call(*args, **kwargs)
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
        return self._compiled(embedding.c_integrand)


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
