"""Products of a Jacobian or a Hessian with a vector, without the matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic
from weakref import WeakKeyDictionary

import numpy as np

from tapegrad.derivatives.base import Derivative
from tapegrad.derivatives.gradients import P, X, grad
from tapegrad.embed import forms
from tapegrad.errors import StructureError
from tapegrad.function.arguments import Fixed, shape_of
from tapegrad.function.complex_leaves import taken_apart
from tapegrad.function.plan import Plan
from tapegrad.function.points import Point
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.results import Result
from tapegrad.function.tiers import NEVER, Compile, Options, seconds_to_compile, seconds_to_sweep
from tapegrad.function.vectors import AnyVector, check_shape, join, leaf
from tapegrad.record.nesting import is_recording
from tapegrad.tree import flatten

_ALL = slice(None)
"""The arguments that products are by, as `argnums`."""


def _seeds(result: Result, cotangent: Any) -> AnyVector:
    """Return a vector of the outputs' length from a tree in the result's structure."""
    leaves: list[Any] = []
    if flatten(taken_apart(cotangent, plain_too=True), leaves) != result.structure:
        raise StructureError("the cotangent must have the structure of the function's result")
    parts: list[Any] = []
    for number, spec in zip(leaves, result.specs, strict=True):
        if not isinstance(spec, Fixed):
            check_shape(number, shape_of(spec), "cotangent")
            parts.append(number)
    return join(parts)


def _split(result: Result, vector: AnyVector) -> Any:
    """Return a vector of the outputs' length in the result's structure, None where fixed."""
    return result.split(lambda part, shape: leaf(vector[part].reshape(shape)))


def _pushed(plan: Plan, directions: Any, what: str, point: Point) -> Any:
    """Return the derivative in a direction, in the result's structure."""
    vector = plan.join(len(point.recording.tape.inputs), directions, what)
    return _split(point.recording.result, point.pushforward(vector))


def jvp(function: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """Return a function's value and its derivative in a direction, by a forward sweep.

    Parameters
    ----------
    function : callable
    primals : sequence, or number, array or other structure
        The positional arguments; what is no tuple or list is the one argument.
    tangents : sequence, or number, array or other structure
        The direction: of the structure and shapes of `primals`.

    Returns
    -------
    value, tangent
        Of the structure of the function's result.

    Raises
    ------
    StructureError
        If a tangent's structure or shape is not its primal's.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.jvp(lambda x, y: x * y, (3.0, 4.0), (1.0, 0.0))
    (12.0, 4.0)
    >>> tg.jvp(lambda x: x**2, 3.0, 1.0)
    (9.0, 6.0)
    """
    if not isinstance(primals, tuple | list):
        primals, tangents = (primals,), (tangents,)
    recorded = RecordedFunction(function, argnums=_ALL)
    plan, leaves = recorded.sort(tuple(primals), {})

    def use(point: Point) -> tuple[Any, Any]:
        return point.result(), _pushed(plan, tuple(tangents), "tangent", point)

    return recorded.run(plan, leaves, use)


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return a function's value, and the function that pulls a cotangent back by a reverse sweep.

    Parameters
    ----------
    function : callable
    *primals
        The positional arguments.
    has_aux : bool, optional
        Whether the function returns `(value, aux)`.

    Returns
    -------
    value
        The function's result.
    pullback : callable
        Takes a cotangent of the structure of the value, returns a tuple with one for each
        primal. It may be called often; each call is one sweep.
    aux
        Only with `has_aux`.

    Raises
    ------
    StructureError
        By `pullback`, if the cotangent's structure or a shape is not the value's.

    Examples
    --------
    >>> import tapegrad as tg
    >>> value, pullback = tg.vjp(lambda x, y: x * y, 3.0, 4.0)
    >>> value, pullback(1.0)
    (12.0, (4.0, 3.0))
    """
    recorded = RecordedFunction(function, argnums=_ALL)
    plan, leaves = recorded.sort(primals, {})

    def use(point: Point) -> tuple[Any, Point]:
        point.keep()
        return point.result(), point

    found, point = recorded.run(plan, leaves, use)
    value, *aux = found if has_aux else (found,)
    result = point.recording.result

    def pullback(cotangent: Any) -> Any:
        if has_aux:
            zeros = _split(result, np.zeros(len(point.recording.tape.outputs)))
            cotangent = (cotangent, zeros[1])
        return plan.split(point.pullback(_seeds(result, cotangent)))

    return (value, pullback, *aux)


def _embedded_form(gradient: Any) -> Any:
    return forms.hessian_product(gradient.recorded.function)


class HessianProduct(Derivative, Generic[X, P]):
    """What `hvp` returns."""

    def __init__(self, function: Callable[..., Any], options: Options = NEVER) -> None:
        self._gradient = grad(function, compile=options.compile, strict=options.strict)
        super().__init__(self._gradient, 0)
        self._options = options
        self._work: WeakKeyDictionary[Plan, float] = WeakKeyDictionary()

    @property
    def _differentiated(self) -> Any:
        """The function it's the derivative of."""
        return self._gradient.recorded.function

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return function, self._options

    _make_form = _embedded_form

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        primal, vector, *rest = args
        args = (primal, *rest)
        plan, leaves = self.recorded.sort(args, kwargs)
        if self._options.compile != "never" and not is_recording():
            product = self._by_machine_code(plan, args, kwargs, vector)
            if product is not None:
                return product

        def use(point: Point) -> Any:
            self._work[plan] = self._work.get(plan, 0.0) + seconds_to_sweep(point.recording.tape)
            return _pushed(plan, vector, "vector", point)

        return self.recorded.run(plan, leaves, use)

    if TYPE_CHECKING:

        def __call__(self, x: X, v: X, /, *args: P.args, **kwargs: P.kwargs) -> X:
            """Return the derivative at a point."""

    else:
        __call__ = _call

    @property
    def _in_machine_code(self) -> RecordedFunction:
        return self._gradient.recorded

    def _by_machine_code(self, of_gradient: Plan, args: tuple[Any, ...], kwargs: dict[str, Any],
                         vector: Any) -> Any:  # fmt: skip
        """Return the tangent of the reverse of the function's own recording, if there is code.

        The function is recorded for that when the sweeps so far, which are of its recorded
        gradient, have taken as long as compiling will.
        """
        recorded = self._in_machine_code
        plan, leaves = recorded.sort(args, kwargs)
        is_first = plan.recordings is None
        if is_first and self._options.compile == "auto":
            gradient = None if of_gradient.recordings is None else of_gradient.recordings.latest
            worked = self._work.get(of_gradient, 0.0)
            if gradient is None or worked < seconds_to_compile(gradient.tape):
                return None
        if not recorded.is_replayed(plan, leaves):
            return None

        def use(point: Point) -> Any:
            point.check_scalar()
            if is_first:
                point.recording.tiers.start("product")
            product = point.hessian_product(plan.join(plan.n_inputs, vector, "vector"))
            if product is None:
                return None
            point.finish()
            return plan.split(product)

        return recorded.run(plan, leaves, use, is_quiet=True)


def hvp(function: Callable[Concatenate[X, P], Any], *, compile: Compile = "auto",
        strict: bool = False) -> HessianProduct[X, P]:  # fmt: skip
    """Return a function that multiplies a function's Hessian with a vector.

    The tangent of the recorded gradient: the cost is that of a few gradients, whatever the
    number of inputs. It can be given to `scipy.optimize.minimize` as `hessp`.

    Parameters
    ----------
    function : callable
        Returns one float; the Hessian is by its first argument.
    compile, strict : optional
        As for `value_and_grad`.

    Returns
    -------
    HessianProduct
        Called with `(x, v, *args)`, `v` of the structure and shapes of `x`, returns the product,
        of the structure of `x`.

    Raises
    ------
    StructureError
        When called: if `v` has not the structure and shapes of `x`.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> tg.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    return HessianProduct(function, Options(compile, strict))
