"""SciPy's integrals of recorded integrands: rules of its functions, in files by family."""

from tapegrad.implicit.quadrature import nested_quads, quad_rule, vector_quads

__all__ = ["nested_quads", "quad_rule", "vector_quads"]
