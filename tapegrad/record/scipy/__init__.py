"""SciPy's functions on active numbers and arrays: one rule a function, in files by family."""

from tapegrad.record.scipy import (
    arrangements,
    banded_systems,
    decompositions,
    factors,
    iterative_solvers,
    linear_systems,
    matrix_equations,
    matrix_functions,
    sampled_integrals,
    sparse_rules,
    sparse_solvers,
    superlu,
)

__all__ = ["arrangements", "banded_systems", "decompositions", "factors", "iterative_solvers",
           "linear_systems", "matrix_equations", "matrix_functions", "sampled_integrals",
           "sparse_rules",
           "sparse_solvers", "superlu"]  # fmt: skip
