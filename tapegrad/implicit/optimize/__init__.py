"""Rules of scipy.optimize's solvers, called in recorded functions: in files by family."""

from tapegrad.implicit.optimize import minimizers, root_systems, scalar_minima, scalar_roots

__all__ = ["minimizers", "root_systems", "scalar_minima", "scalar_roots"]
