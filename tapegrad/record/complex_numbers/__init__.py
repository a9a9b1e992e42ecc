"""Complex numbers between real inputs and real results, as pairs of active numbers.

`paired` makes a number or an array of its parts and `parts` takes anything apart; operators and
NumPy's functions of them are rows of `COMPLEX_RULES`.
"""

from tapegrad.record.complex_numbers import (
    complex_by_parts,
    complex_domains,
    complex_factors,
    complex_formulas,
    complex_functions,
    complex_mathematics,
    complex_roots,
    complex_shapes,
    complex_spectra,
    complex_systems,
    complex_ufuncs,
    holomorphic,
)
from tapegrad.record.complex_numbers.complex_types import (
    ComplexArray,
    ComplexNumber,
    joined,
    paired,
    parts,
)

__all__ = [
    "ComplexArray", "ComplexNumber", "complex_by_parts", "complex_domains", "complex_factors",
    "complex_formulas", "complex_functions", "complex_mathematics", "complex_roots",
    "complex_shapes", "complex_spectra", "complex_systems", "complex_ufuncs", "holomorphic",
    "joined", "paired", "parts",
]  # fmt: skip
