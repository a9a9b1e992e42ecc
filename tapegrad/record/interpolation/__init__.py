"""The rules of scipy.interpolate: interpolants by class, wherever they were made."""

from tapegrad.record.interpolation import cubic_data, pieces

__all__ = ["cubic_data", "pieces"]
