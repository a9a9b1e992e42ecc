"""Rules of scipy.optimize's solvers, called in recorded functions: in files by family."""

from tapegrad.implicit.optimize import scalar_roots

__all__ = ["scalar_roots"]
