"""The rules of scipy.spatial: distances between points, and rotations."""

from tapegrad.record.spatial import distances, pairwise, rotations

__all__ = ["distances", "pairwise", "rotations"]
