"""The rules of scipy.stats: distributions as SciPy's own code says, and functions of samples."""

from tapegrad.record.distributions import (
    case_formulas,
    methods,
    moments,
    more_formulas,
    multivariate,
    samples,
)

__all__ = ["case_formulas", "methods", "moments", "more_formulas", "multivariate", "samples"]
