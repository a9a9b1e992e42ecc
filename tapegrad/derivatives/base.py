"""What all derivatives are: callables that hold a function's recordings."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar

from tapegrad.derivatives.pickling import reduced
from tapegrad.errors import NoCompiledFormError
from tapegrad.function.naming import Argnums
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.tiers import NEVER, Options


class Derivative:
    """A function that computes a derivative of another one, from its recordings.

    Attributes
    ----------
    recorded : RecordedFunction
        The function with its recordings.
    """

    def __init__(self, function: Callable[..., Any], argnums: Argnums = 0,
                 options: Options = NEVER) -> None:  # fmt: skip
        if not callable(function):
            raise TypeError(f"a function is needed, not {type(function).__name__}")
        functools.update_wrapper(self, function, updated=())
        self.recorded = RecordedFunction(function, options, argnums)
        self._argnums = argnums

    def clear(self) -> None:
        """Forget every recording, after a change that can't be seen: a file, a random number."""
        self.recorded.clear()
        if isinstance(self.recorded.function, Derivative):
            self.recorded.function.clear()

    @property
    def _in_machine_code(self) -> RecordedFunction:
        """The function whose recordings become machine code."""
        return self.recorded

    @property
    def tier(self) -> str:
        """What the recording used last runs as: 'swept', 'swept, being compiled' or 'compiled'."""
        latest = self._in_machine_code.latest
        return "not recorded" if latest is None else latest.tiers.name

    def wait(self, timeout: float | None = None) -> str:
        """Wait for what is being compiled in the background.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        str
            The tier.

        Raises
        ------
        TimeoutError
            If it takes longer.
        """
        for recording in self._in_machine_code.recordings:
            recording.tiers.wait(timeout)
        return self.tier

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        """Return what makes the same derivative of a function."""
        return function, self._argnums, self.recorded.options

    def __reduce_ex__(self, protocol: Any) -> Any:
        function = self._differentiated
        return reduced(self, function, self._arguments(function))

    def __copy__(self) -> Any:
        return type(self)(*self._arguments(self._differentiated))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(*self._arguments(copy.deepcopy(self._differentiated, memo)))

    @property
    def _differentiated(self) -> Any:
        """The function it's the derivative of."""
        return self.recorded.function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        raise TypeError("a derivative is made by one of tapegrad's functions, such as grad")

    # What makes the form for compiled code of a function, for derivatives that have one.
    _make_form: ClassVar[Callable[[Any], Any] | None] = None

    @property
    def has_compiled_form(self) -> bool:
        """Whether there is a form of the derivative for compiled code."""
        return self._make_form is not None

    @functools.cached_property
    def njit(self) -> Any:
        """The derivative for the user's own compiled code, where the function is compiled too.

        It records the function at `x`, a float64 array, sweeps the tape and fills `out`; no
        Python runs. Several threads may call it at once. The tape's memory is used again by
        the next call. Inside a compiled function `derivative.njit` is written as it is here.

        - `value_and_grad(f).njit(x, *args, out)` returns the value; `out` is of `x`'s shape.
        - `grad(f).njit(x, *args, out)` is the same.
        - `jacobian(f).njit(x, *args, out)`: `out` is of shape (outputs, inputs).
        - `hessian(f).njit(x, *args, out)`: `out` is of shape (inputs, inputs).
        - `hvp(f).njit(x, v, *args, out)`: `v` and `out` are of `x`'s shape.

        A derivative along a vector is `tapegrad.compiled.jvp`.

        Raises
        ------
        NoCompiledFormError
            If the function isn't compiled, or with `argnums` or `has_aux`.

        Examples
        --------
        >>> import numba, numpy as np, tapegrad as tg
        >>> @numba.njit
        ... def bowl(x):
        ...     return x[0] ** 2 + 3.0 * x[1] ** 2
        >>> gradient = tg.value_and_grad(bowl)
        >>> @numba.njit
        ... def descend(x, steps):
        ...     out = np.empty_like(x)
        ...     for _ in range(steps):
        ...         gradient.njit(x, out)
        ...         x = x - 0.1 * out
        ...     return x
        >>> descend(np.array([1.0, 1.0]), 100).round(6)
        array([0., 0.])
        """
        return self._embedded(type(self)._make_form)

    def _embedded(self, make: Callable[[Any], Any] | None) -> Any:
        """Return what `make` makes of the function for compiled code."""
        if make is None:
            raise NoCompiledFormError(f"{self!r} has no form for compiled code")
        if self._argnums != 0:
            raise NoCompiledFormError(
                "in compiled code a derivative is by the first argument: leave argnums out, and "
                "put what else is differentiated in that array"
            )
        return make(self.recorded.function)

    def __repr__(self) -> str:
        name = getattr(self.recorded.function, "__qualname__", repr(self.recorded.function))
        return f"<{type(self).__name__} of {name}>"
