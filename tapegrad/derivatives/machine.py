"""A gradient as machine code, for inner loops: called from Python, compiled code, or by address."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.codegen.calling import gradient
from tapegrad.codegen.compiled_tape import Code
from tapegrad.derivatives.base import Derivative
from tapegrad.errors import InputTypeError, NoCompiledFormError
from tapegrad.function.arguments import DOUBLE
from tapegrad.function.plan import Plan
from tapegrad.function.points import GuardFailedError, Point, used, valid_recording
from tapegrad.function.recording import Recording, name_of
from tapegrad.function.recordings import Shortcut, serving
from tapegrad.function.tiers import Tiers
from tapegrad.function.vectors import Vector
from tapegrad.jit import jit

_given_away: set[Code] = set()
"""Code whose address was given away: nothing tells when it's called last, so it's never freed."""


_OF_THIS_PROCESS = ("_code", "_plan", "_serve", "njit")


class MachineGradient:
    """A gradient compiled for one way through a function; what `ValueAndGrad.compiled` returns.

    It pickles if its derivative does, with its tape, and is compiled again where it's first used.

    Parameters
    ----------
    derivative : Derivative
        Its own, which is asked where the code won't do: a guard fails, there is a NaN, or what
        the function closes over has changed.
    recording : Recording
        Of the function.
    argnum : int
        The argument that is differentiated; the others stay as they are here.
    plan : Plan
    leaves : sequence
        A call's.

    Attributes
    ----------
    address : int
        Of the machine code, `int64_t f(double *inputs, double *seed, double *memory, double
        *value, double *products)`: fills the value and as many products as there are inputs,
        `seed` being 1.0. It returns 0 if all is well; otherwise the function goes another way
        at this point, or a product is NaN. `memory` holds `memory_length` numbers. Several
        threads may call it, each with memory of its own. Once asked for, it holds as long as the
        process lives.
    """

    def __init__(self, derivative: Derivative, recording: Recording, argnum: int, plan: Plan,
                 leaves: Sequence[Any]) -> None:  # fmt: skip
        self._derivative, self._recording = derivative, recording
        self._argnum, self._tape = argnum, recording.focused
        self._has_effects, self._has_taps = bool(recording.effects), recording.has_taps
        self._leaves = [leaf.copy() if type(leaf) is np.ndarray else leaf for leaf in leaves]
        self._args, self._kwargs = plan.arguments(self._leaves)
        self._inputs = plan.pack(self._leaves)
        (self._start, self._stop), self._shape = plan.spans[0], plan.shapes[0]
        self._position, self._is_vector = plan.leaves[0], plan.is_vector
        self._plan, self._code = plan, recording.tiers.compile("reverse")
        _ = self._serve  # what it reads is as it was recorded now, not when it's called first

    def _otherwise(self, x: Any) -> Any:
        """Return what the derivative does."""
        args = (*self._args[: self._argnum], x, *self._args[self._argnum :][1:])
        return self._derivative.recorded.gradient(args, self._kwargs)

    @functools.cached_property
    def _code(self) -> Code:
        """The machine code, which stays behind in a pickle."""
        recorded = self._derivative.recorded
        return Tiers(self._tape, recorded.options, name_of(recorded.function)).compile("reverse")

    @functools.cached_property
    def _plan(self) -> Plan:
        """The plan of calls, which stays behind, too."""
        return self._derivative.recorded.sort(self._args, self._kwargs)[0]

    @functools.cached_property
    def _serve(self) -> Shortcut:
        """What runs the code as long as what the function closes over is as it was."""
        holds = self._derivative.recorded.holding(*self._args, **self._kwargs)
        return serving(self._plan, self._code, holds)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: thing for name, thing in vars(self).items() if name not in _OF_THIS_PROCESS}
        return {**kept, "_recording": None}  # its effects are on objects of this process

    def _is_as_recorded(self) -> bool:
        """Whether the effects are on objects of this process, and right for what is there."""
        return self._recording is not None and self._recording.moved() is None

    @property
    def memory_length(self) -> int:
        """How many numbers one call's memory holds."""
        return self._code.length

    @property
    def address(self) -> int:
        """The machine code's address, for C."""
        self._refuse_taps("address")
        _given_away.add(self._code)
        return self._code.address

    @property
    def memory_bytes(self) -> int:
        """What one call keeps in memory."""
        return 8 * self.memory_length

    def __call__(self, x: Any) -> tuple[float, Any]:
        """Return value and gradient at a point."""
        array = x if type(x) is np.ndarray and x.dtype is DOUBLE else _floats(x)
        if array.shape != self._shape:
            raise ValueError(f"this was compiled for shape {self._shape}, not {array.shape}")
        leaves: Sequence[Any] = (array,)
        if not self._is_vector:
            leaves = [*self._leaves[: self._position], array, *self._leaves[self._position + 1 :]]
        if not self._has_effects:
            return self._serve(leaves) or self._otherwise(x)
        served = self._serve(leaves) if self._is_as_recorded() else None
        if served is not None and self._recording is not None:
            try:
                used(Point(self._recording, self._plan.pack(leaves)), valid_recording)
            except GuardFailedError:  # by sums in another order
                served = None
        return served or self._otherwise(x)

    @functools.cached_property
    def njit(self) -> Any:
        """The same for compiled code: `value = njit(x, out)` fills the gradient `out`.

        `x` and `out` are contiguous float64 arrays of one dimension. Where the machine code
        won't do it raises ValueError: the function must then be recorded again, in Python. It
        isn't noticed there when what the function closes over changes.
        Several threads may call it at once, as long as the process lives.
        """
        self._refuse_taps("njit")
        address, length = self.address, self.memory_length
        start, stop, size = self._start, self._stop, len(self._inputs)
        template = self._inputs

        @jit
        def value_and_gradient(x, out):
            if x.size != stop - start or out.size != stop - start:
                raise ValueError("x or out has not the size that this was compiled for")
            memory = np.empty(length + 2)
            memory[length] = 1.0
            if stop - start == size:
                status, value = gradient(address, x, memory, out)
            else:
                inputs, products = template.copy(), np.empty(size)
                inputs[start:stop] = x
                status, value = gradient(address, inputs, memory, products)
                out[:] = products[start:stop]
            if status != 0:
                raise ValueError("here the function goes another way, or its gradient has a NaN")
            return value

        return value_and_gradient

    def _refuse_taps(self, form: str) -> None:
        """Raise if the function taps values, which only a call from Python gives away."""
        if self._has_taps:
            raise NoCompiledFormError(
                f"the function taps values with tapegrad.tap, which machine code can't call: "
                f"without Python in between there is no .{form}; call this from Python, or take "
                "the taps out of the function"
            )

    def ir(self) -> str:
        """Return the LLVM IR of the code, optimised, for reading."""
        return self._code.machine.ir()

    def __repr__(self) -> str:
        return f"<MachineGradient of shape {self._shape}, {self.memory_bytes:,} bytes a call>"


def _floats(x: Any) -> Vector:
    """Return numbers of another type as floats."""
    found = np.asarray(x)
    if found.dtype.kind not in "fiub":
        raise InputTypeError(
            f"a gradient is by floats, and this is called with {found.dtype}: pass an array of "
            "float64; complex numbers as an array of real and imaginary parts"
        )
    return found.astype(np.float64)
