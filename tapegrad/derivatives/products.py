"""Products of a Jacobian or a Hessian with a vector, without the matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic

import numpy as np

from tapegrad.compiled import embedding
from tapegrad.derivatives.base import Derivative
from tapegrad.derivatives.gradients import P, X, check_scalar, grad
from tapegrad.derivatives.naming import floats_of
from tapegrad.derivatives.selection import Selection, check_shape, output_tree, shape_of
from tapegrad.errors import StructureError
from tapegrad.function.arguments import Call, Fixed, sort_arguments
from tapegrad.function.points import AnyVector, Point, at, join, leaf
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.tiers import NEVER, Compile, Options, seconds_to_compile, seconds_to_sweep
from tapegrad.record.nesting import is_recording
from tapegrad.tree import flatten


def _seeds(point: Point, cotangent: Any) -> AnyVector:
    """Return a vector of the outputs' length from a tree in the result's structure."""
    leaves: list[Any] = []
    recording = point.recording
    if flatten(cotangent, leaves) != recording.structure:
        raise StructureError("the cotangent must have the structure of the function's result")
    parts: list[Any] = []
    for number, spec in zip(leaves, recording.specs, strict=True):
        if not isinstance(spec, Fixed):
            check_shape(number, shape_of(spec), "cotangent")
            parts.append(number)
    return join(parts)


def _n_inputs(point: Point) -> int:
    return len(point.recording.tape.inputs)


def _output_tree(point: Point, vector: AnyVector) -> Any:
    """Return a vector of the outputs' length in the result's structure, None where fixed."""
    return output_tree(point, lambda part, shape: leaf(vector[part].reshape(shape)))


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
    call = sort_arguments(tuple(map(floats_of, primals)), {})
    selection = Selection(call, range(len(primals)), is_single=False)
    point = at(RecordedFunction(function), call)
    directions = selection.join(_n_inputs(point), tuple(tangents), "tangent")
    tangents = point.pushforward(directions)
    point.run_effects()
    return point.result(), _output_tree(point, tangents)


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
    call = sort_arguments(tuple(map(floats_of, primals)), {})
    selection = Selection(call, range(len(primals)), is_single=False)
    point = at(RecordedFunction(function), call)
    value, *aux = point.result() if has_aux else (point.result(),)
    point.run_effects()

    def pullback(cotangent: Any) -> Any:
        if has_aux:
            zeros = _output_tree(point, np.zeros(len(point.recording.tape.outputs)))
            cotangent = (cotangent, zeros[1])
        return selection.split(point.pullback(_seeds(point, cotangent)))

    return (value, pullback, *aux)


def _form_for_compiled_code(gradient: Any) -> Any:
    return embedding.hessian_product(gradient.recorded.function)


class HessianProduct(Derivative, Generic[X, P]):
    """What `hvp` returns."""

    def __init__(self, function: Callable[..., Any], options: Options = NEVER) -> None:
        self._gradient = grad(function, compile=options.compile, strict=options.strict)
        super().__init__(self._gradient, 0)
        self._options, self._work = options, 0.0

    @property
    def _differentiated(self) -> Any:
        """The function it's the derivative of."""
        return self._gradient.recorded.function

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return function, self._options

    _make_form = _form_for_compiled_code

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        primal, vector, *rest = args
        call, selection = self._sort((primal, *rest), kwargs)
        is_float = not call.is_active and not is_recording()
        if is_float and self._options.compile != "never":
            product = self._by_machine_code(call, selection, vector)
            if product is not None:
                return product
        point = at(self.recorded, call)
        if is_float:
            self._work += seconds_to_sweep(point.recording.tape)
        directions = selection.join(_n_inputs(point), vector, "vector")
        product = point.pushforward(directions)
        point.run_effects()
        return _output_tree(point, product)

    if TYPE_CHECKING:

        def __call__(self, x: X, v: X, /, *args: P.args, **kwargs: P.kwargs) -> X:
            """Return the derivative at a point."""

    else:
        __call__ = _call

    @property
    def _compiled_function(self) -> RecordedFunction:
        return self._gradient.recorded

    def _by_machine_code(self, call: Call, selection: Selection, vector: Any) -> Any:
        """Return the tangent of the reverse of the function's own recording, if there is code.

        The function is recorded for that when the sweeps so far, which are of its recorded
        gradient, have taken as long as compiling will.
        """
        recorded = self._compiled_function
        if recorded.latest is None:
            gradients = self.recorded.latest
            if self._options.compile == "auto" and (
                gradients is None or self._work < seconds_to_compile(gradients.tape)
            ):
                return None
            recording = at(recorded, call).recording
            check_scalar(recording, recorded.function)
            recording.tiers.start("product")
        found = recorded.compiled(call, "product")
        if found is None:
            return None
        recording, code = found
        check_scalar(recording, recorded.function)
        inputs = call.inputs()
        directions = selection.join(len(inputs), vector, "vector")
        products = np.empty(2 * len(inputs))
        if isinstance(directions, np.ndarray) and code.run(inputs, directions, products)[0]:
            if recording.effects:
                recording.run_effects_at(inputs)
            return selection.split(products[len(inputs) :])
        at(recorded, call)  # the way to go here, from now on
        return None


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
