"""Recording inside functions that Numba compiles, and derivatives for such functions to call."""

from tapegrad.compiled import (
    arrays,
    boundary,
    choices,
    creation,
    reductions,
    rewriting,
    scalars,
    statements,
)
from tapegrad.compiled.embedding import jvp

__all__ = [
    "arrays",
    "boundary",
    "choices",
    "creation",
    "jvp",
    "reductions",
    "rewriting",
    "scalars",
    "statements",
]
