"""Recording inside functions that Numba compiles for active numbers."""

from tapegrad.record.numba import boundary, rewriting

__all__ = ["boundary", "rewriting"]
