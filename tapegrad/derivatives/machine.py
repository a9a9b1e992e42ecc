"""A gradient as machine code, for inner loops: called from Python, compiled code, or by address."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tapegrad.errors import InputTypeError, NoCompiledFormError
from tapegrad.function.points import leaf
from tapegrad.function.recording import Recording
from tapegrad.function.tiers import Options, Tiers
from tapegrad.jit import jit
from tapegrad.native.calling import gradient
from tapegrad.native.program import Code

Vector = npt.NDArray[np.float64]

_given_away: set[Code] = set()
"""Code whose address was given away: nothing tells when it's called last, so it's never freed."""


_OF_THIS_PROCESS = ("_code", "_holds", "njit")


class Otherwise(Protocol):
    """What is called where machine code won't do."""

    def __call__(self, x: Any) -> Any:
        """Return value and gradient at a point."""

    def holding(self) -> Callable[[], bool]:
        """Return what tells whether what the function closes over is as it is now."""


class MachineGradient:
    """A gradient compiled for one way through a function; what `ValueAndGrad.compiled` returns.

    It pickles if its derivative does, with its tape, and is compiled again where it's first used.

    Parameters
    ----------
    recording : Recording
    code : Code
        Compiled of it.
    options : Options
    name : str
        Of the function.
    inputs : ndarray
        The recording's inputs; those that aren't differentiated stay as they are here.
    start, stop : int
        Which of them the differentiated array is.
    shape : tuple of int
        Of that array.
    otherwise : Otherwise
        What to call where the code won't do: a guard fails, there is a NaN, or what the function
        closes over has changed.

    Attributes
    ----------
    address : int
        Of the machine code, `int64_t f(double *inputs, double *seed, double *memory, double
        *value, double *products)`: fills the value and as many products as there are inputs,
        `seed` being 1.0. It returns 0 if all is well; otherwise the function goes another way
        at this point, or a product is NaN. `memory` holds `memory_length` numbers, and begins
        with `constants`. Several threads may call it, each with memory of its own. Once asked
        for, it holds as long as the process lives.
    """

    def __init__(self, recording: Recording, code: Code, options: Options, name: str,
                 inputs: Vector, start: int, stop: int, shape: tuple[int, ...],
                 otherwise: Otherwise) -> None:  # fmt: skip
        self._recording: Recording | None = recording
        self._code = code
        self._tape, self._options, self._name = recording.tape, options, name
        self._has_effects, self._has_taps = bool(recording.effects), recording.has_taps
        self._inputs = inputs
        self._start, self._stop, self._shape = start, stop, shape
        self._is_whole = stop - start == len(inputs)
        self._otherwise, self._holds = otherwise, otherwise.holding()

    @functools.cached_property
    def _code(self) -> Code:
        """The machine code, which stays behind in a pickle."""
        return Tiers(self._tape, self._options, self._name).compile("reverse")

    @functools.cached_property
    def _holds(self) -> Callable[[], bool]:
        """What tells whether what the function closes over is as it was; in a pickle it's not."""
        return self._otherwise.holding()

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
    def constants(self) -> Vector:
        """What that memory begins with."""
        return self._code.constants

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
        code = self._code
        inputs = x if type(x) is np.ndarray and x.dtype == np.float64 else _floats(x)
        if inputs.shape != self._shape:
            raise ValueError(f"this was compiled for shape {self._shape}, not {inputs.shape}")
        if not self._holds() or (self._has_effects and not self._is_as_recorded()):
            return self._otherwise(x)
        inputs = np.ascontiguousarray(inputs)
        if len(self._shape) != 1:
            inputs = inputs.reshape(-1)
        if not self._is_whole:
            whole = self._inputs.copy()
            whole[self._start : self._stop] = inputs
            inputs = whole
        products = np.empty(len(inputs))
        status, value = code.gradient(inputs, products)
        if status:
            return self._otherwise(x)
        if self._has_effects and self._recording is not None:
            self._recording.run_effects_at(inputs)
        if not self._is_whole:
            products = products[self._start : self._stop].copy()
        return value, products if len(self._shape) == 1 else leaf(products.reshape(self._shape))

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
        template, constants = self._inputs, np.append(self.constants, 0.0)
        n_constants = len(self.constants)

        @jit
        def value_and_gradient(x, out):
            if x.size != stop - start or out.size != stop - start:
                raise ValueError("x or out has not the size that this was compiled for")
            memory = np.empty(length + 2)
            for k in range(n_constants):
                memory[k] = constants[k]
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
