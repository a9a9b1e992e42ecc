"""SciPy's integrals of recorded integrands: rules of its functions, in files by family."""

from tapegrad.implicit.quadrature import quad_rule

__all__ = ["quad_rule"]
