"""NumPy's functions on active numbers and arrays: one rule a function, in files by family."""

from tapegrad.record.functions import (
    calculus,
    choices,
    compositions,
    dot,
    einsum,
    elementwise_blocks,
    linear_algebra,
    making,
    moves,
    reductions,
    scalar_methods,
    scipy_special,
    shapes,
    sorting,
    statistics,
    tables,
    ufunc_methods,
)
from tapegrad.record.functions.registry import RULES, rule, supported
from tapegrad.record.linear import (
    determinants,
    least_squares,
    matrix_powers,
    norms,
    orthogonal,
    positive,
    singular,
    spectra,
    systems,
    tensors,
)

__all__ = ["RULES", "calculus", "choices", "compositions", "determinants", "dot", "einsum",
           "elementwise_blocks", "least_squares", "linear_algebra", "making", "matrix_powers",
           "moves", "norms",
           "orthogonal", "positive", "reductions", "rule", "scalar_methods",
           "scipy_special", "shapes",
           "singular", "sorting", "spectra", "statistics", "supported", "systems", "tables",
           "tensors", "ufunc_methods"]  # fmt: skip
