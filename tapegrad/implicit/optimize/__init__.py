"""Rules of scipy.optimize's solvers, called in recorded functions: in files by family."""

from tapegrad.implicit.optimize import (
    curve_fits,
    least_squares,
    minimizers,
    refused_solvers,
    root_systems,
    scalar_minima,
    scalar_roots,
)

__all__ = ["curve_fits", "least_squares", "minimizers", "refused_solvers", "root_systems",
           "scalar_minima", "scalar_roots"]  # fmt: skip
