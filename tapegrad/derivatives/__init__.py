"""Derivatives of Python functions, with JAX's names, argument order and nesting.

Each is made of a recording, replayed at the point, and one or more sweeps; inside another
recording these are themselves recorded, so a derivative of any order is again a recording.
"""

from __future__ import annotations

from tapegrad.derivatives.gradients import grad, value_and_grad
from tapegrad.derivatives.matrices import hessian, jacobian
from tapegrad.derivatives.products import hvp, jvp, vjp
from tapegrad.record.stopping import stop_gradient

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp"]
