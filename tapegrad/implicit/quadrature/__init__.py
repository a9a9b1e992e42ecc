"""SciPy's integrals of recorded integrands: rules of its functions, in files by family."""

from tapegrad.implicit.quadrature import expectations, nested_quads, quad_rule, vector_quads

__all__ = ["expectations", "nested_quads", "quad_rule", "vector_quads"]
