"""Inner functions that are blocks: equations that are solved, and what is recorded twice."""

from __future__ import annotations

from tapegrad.implicit import refusing
from tapegrad.implicit.checkpointing import checkpoint
from tapegrad.implicit.solvers import fixed_point, minimizer, root

__all__ = ["checkpoint", "refusing", "fixed_point", "minimizer", "root"]
