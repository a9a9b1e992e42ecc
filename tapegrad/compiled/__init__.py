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
    tuples,
)
from tapegrad.compiled.embedding import jvp
from tapegrad.compiled.pool import free_tapes

__all__ = [
    "arrays",
    "boundary",
    "choices",
    "creation",
    "free_tapes",
    "jvp",
    "reductions",
    "rewriting",
    "scalars",
    "statements",
    "tuples",
]
