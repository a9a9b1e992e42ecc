"""Solutions of differential equations: SciPy's values, and derivatives of the exact solution."""
