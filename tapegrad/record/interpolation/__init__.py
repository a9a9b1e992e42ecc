"""The rules of scipy.interpolate: interpolants by class, wherever they were made."""

from tapegrad.record.interpolation import (
    bsplines,
    cubic_data,
    fitpack,
    grids,
    lines,
    piece_roots,
    pieces,
    sites,
    spline_data,
    triangles,
)

__all__ = ["bsplines", "cubic_data", "fitpack", "grids", "lines", "piece_roots", "pieces", "sites",
           "spline_data", "triangles"]  # fmt: skip
