"""Inner functions that are blocks: equations that are solved, and what is recorded twice."""

from __future__ import annotations

from tapegrad.implicit import optimize as _optimize  # noqa: F401  # its rules
from tapegrad.implicit import quadrature
from tapegrad.implicit.checkpointing import checkpoint
from tapegrad.implicit.from_compiled import refuse_in_compiled_code
from tapegrad.implicit.ode import ivp_rule, odeint_rule  # noqa: F401  # register their rules
from tapegrad.implicit.solvers import fixed_point, minimizer, root

__all__ = ["checkpoint", "fixed_point", "minimizer", "quadrature", "root"]

for _maker in (checkpoint, fixed_point, minimizer, root):
    refuse_in_compiled_code(_maker)
