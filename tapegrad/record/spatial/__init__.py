"""The rules of scipy.spatial: distances between points."""

from tapegrad.record.spatial import distances, pairwise

__all__ = ["distances", "pairwise"]
