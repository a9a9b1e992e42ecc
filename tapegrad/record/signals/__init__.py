"""The rules of signals: filters, convolutions and Fourier's transforms, of NumPy and SciPy."""

from tapegrad.record.signals import (
    convolutions,
    filter_rules,
    fourier_rules,
    image_filter_rules,
    image_motion_rules,
    interpolation_rules,
    response_rules,
    spectral_rules,
)

__all__ = ["convolutions", "filter_rules", "fourier_rules", "image_filter_rules",
           "image_motion_rules", "interpolation_rules", "response_rules",
           "spectral_rules"]  # fmt: skip
