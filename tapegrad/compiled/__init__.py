"""Recording inside functions that Numba compiles, and derivatives for such functions to call."""

from tapegrad.compiled import boundary, rewriting
from tapegrad.compiled.embedding import jvp
from tapegrad.compiled.pool import free_tapes

__all__ = ["boundary", "free_tapes", "jvp", "rewriting"]
