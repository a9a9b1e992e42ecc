"""The rules of scipy.interpolate: interpolants by class, wherever they were made."""

from tapegrad.record.interpolation import pieces

__all__ = ["pieces"]
