"""Rules of scipy.optimize's solvers, called in recorded functions: in files by family."""

from tapegrad.implicit.optimize import (
    curve_fits,
    minimizers,
    refused_solvers,
    root_systems,
    scalar_minima,
    scalar_roots,
    sums_of_squares,
)

__all__ = ["curve_fits", "minimizers", "refused_solvers", "root_systems",
           "scalar_minima", "scalar_roots", "sums_of_squares"]  # fmt: skip
