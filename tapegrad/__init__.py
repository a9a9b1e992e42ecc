"""Exact derivatives of scalar-heavy Python and NumPy code, by recording it on a flat tape."""

from tapegrad import compiled, errors, testing
from tapegrad.checking import check
from tapegrad.custom import custom_jvp, custom_rule, custom_vjp
from tapegrad.derivatives import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from tapegrad.drawing import draw
from tapegrad.explained import explain
from tapegrad.function.compiled_taps import tap
from tapegrad.implicit import checkpoint, fixed_point, minimizer, root
from tapegrad.record.functions import supported
from tapegrad.record.open_tape import OpenTape
from tapegrad.tape import Tape

__all__ = [
    "OpenTape",
    "Tape",
    "check",
    "checkpoint",
    "compiled",
    "custom_jvp",
    "custom_rule",
    "custom_vjp",
    "draw",
    "errors",
    "explain",
    "fixed_point",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "minimizer",
    "root",
    "stop_gradient",
    "supported",
    "tap",
    "testing",
    "value_and_grad",
    "vjp",
]
__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
