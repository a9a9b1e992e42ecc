"""NumPy's functions on active numbers and arrays: one rule a function, in files by family."""

from tapegrad.record.functions import (
    calculus,
    choices,
    compositions,
    dot,
    einsum,
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

__all__ = ["RULES", "calculus", "choices", "compositions", "dot", "einsum", "linear_algebra",
           "making", "moves", "reductions", "rule", "scalar_methods", "scipy_special", "shapes",
           "sorting", "statistics", "supported", "tables", "ufunc_methods"]  # fmt: skip
