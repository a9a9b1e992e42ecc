"""The families of SciPy's functions and classes with rules, registered by being imported."""

from tapegrad.record import distributions, interpolation, scipy, signals, spatial

__all__ = ["distributions", "interpolation", "scipy", "signals", "spatial"]
