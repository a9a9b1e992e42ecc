"""NumPy's functions on active numbers and arrays: one rule a function, in files by family."""

from tapegrad.record.functions import (
    choices,
    moves,
    products,
    reductions,
    sorting,
    statistics,
    ufunc_methods,
)
from tapegrad.record.functions.registry import RULES, rule, supported

__all__ = ["RULES", "choices", "moves", "products", "reductions", "rule", "sorting", "statistics",
           "supported", "ufunc_methods"]  # fmt: skip
