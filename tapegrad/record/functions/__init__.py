"""NumPy's functions on active numbers and arrays: one rule a function, in files by family."""

from tapegrad.record.functions import choices, moves, products, reductions
from tapegrad.record.functions.registry import RULES, rule, supported

__all__ = ["RULES", "choices", "moves", "products", "reductions", "rule", "supported"]
