"""Exact derivatives of scalar-heavy Python, NumPy and Numba code, by recording it on a tape."""

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
from tapegrad.record.functions import supported
from tapegrad.tape import Tape, check

__all__ = [
    "Tape",
    "check",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "supported",
    "value_and_grad",
    "vjp",
]
__version__ = "0.1.0"
