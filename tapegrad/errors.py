"""The errors the library raises: each says what happened, why it can't work, and the way out.

All derive from `TapegradError` and from the built-in exception a caller would expect.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np


class TapegradError(Exception):
    """Base of every error raised by tapegrad itself."""


class LostDerivativeError(TapegradError, TypeError):
    """An active number was about to become a plain one, which would drop its derivative."""


class UnsupportedFunctionError(TapegradError, TypeError):
    """A function has no rule for active arguments."""


class NoCompiledFormError(UnsupportedFunctionError, AttributeError):
    """A derivative has no form for compiled code: to `hasattr` it has no such attribute."""


class NotScalarError(TapegradError, TypeError):
    """A gradient was asked of a function whose result is not one number."""


class InputTypeError(TapegradError, TypeError):
    """An argument can't be differentiated: an integer, a complex number or another object."""


class StructureError(TapegradError, ValueError):
    """Two structures or shapes that must agree don't."""


class TapeEndedError(TapegradError, RuntimeError):
    """An active number was used after the recording it belongs to had ended."""


class MixedTapesError(TapegradError, RuntimeError):
    """Active numbers of two recordings met, neither of which is nested in the other."""


class OtherThreadError(TapegradError, RuntimeError):
    """An active number was used in a thread that isn't recording it."""


class TapeMemoryError(TapegradError, MemoryError):
    """A tape could not grow: out of memory, or beyond 2**31 - 1 entries."""


class InvalidTapeError(TapegradError, ValueError):
    """A tape breaks one of the invariants that `check` states."""


class BlockFailedError(TapegradError, ArithmeticError):
    """A block, or its derivative, can't be computed at a point."""


class OutdatedBlockError(BlockFailedError):
    """What a block computes can't be recorded again: what it depends on is gone, or has changed."""


class SwitchError(BlockFailedError):
    """Where a function takes another way isn't known, or has no derivative."""


class DivergentIntegralError(BlockFailedError):
    """An integral's derivative is no integral that converges."""


class NoConvergenceError(TapegradError, ArithmeticError):
    """A solver found no solution.

    Attributes
    ----------
    residuals : tuple of float
        The largest residual at every step, or of a minimizer the largest slope.
    x : ndarray
        Where it stopped.
    """

    def __init__(self, message: str, residuals: tuple[float, ...], x: Any) -> None:
        super().__init__(message, residuals, x)
        self.residuals, self.x = residuals, x

    def __str__(self) -> str:
        shown = [f"{residual:.3g}" for residual in self.residuals]
        if len(shown) > 8:
            shown[4:-3] = ["..."]
        return f"{self.args[0]}; residuals: {', '.join(shown)}"


class SingularSystemError(TapegradError, np.linalg.LinAlgError):
    """Equations don't determine their solution, or how it changes: their Jacobian is singular."""


class DegenerateBoundError(TapegradError, ArithmeticError):
    """A minimum lies on a bound that it would not leave by itself: it has no derivative there."""


class BlockShapeError(TapegradError, ValueError):
    """A block returned arrays of other shapes than it states."""


class InvalidProgramError(TapegradError, ValueError):
    """A program breaks one of the invariants that `check` states."""


class ProgramFileError(TapegradError, ValueError):
    """A file is no program as it was saved: another kind, another version, or damaged."""


class UnhashableError(TapegradError, TypeError):
    """An active number was used as a dictionary key or a member of a set."""


class NotPicklableError(TapegradError, pickle.PicklingError):
    """A derivative can't be pickled, because its function can't."""


class JitDisabledError(TapegradError, ImportError):
    """Numba is told not to compile anything, and tapes are recorded and swept by what it makes."""


class GraphvizError(TapegradError, RuntimeError):
    """A drawing can't be rendered: Graphviz is missing, or it failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}. To show a drawing or save it as an image, `pip install tapegrad[draw]` "
            "and install Graphviz, whose program `dot` does the work (apt install graphviz, brew "
            "install graphviz, or https://graphviz.org/download); without either, `.to_dot()` "
            "returns the graph as text, and `.save('graph.dot')` writes it"
        )


class RecordingLimitWarning(RuntimeWarning):
    """A function is recorded at every call: too much of what it does changes, or can't be seen."""


class InaccurateSolutionWarning(RuntimeWarning):
    """The last step to a solution is larger than the tolerance."""


class WrongRuleWarning(RuntimeWarning):
    """A rule of the user's own is no derivative of its function, as a difference shows."""


class CompilationWarning(RuntimeWarning):
    """Compiling a recording failed; it's swept, which is right but slower."""


class NotCompilableError(TapegradError, RuntimeError):
    """A recording can't be made machine code; it's swept."""
