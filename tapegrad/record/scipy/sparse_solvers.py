"""scipy.sparse.linalg's direct solvers: by stored numbers, or by factors that a block owns."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.linear.shaped import applied
from tapegrad.record.nesting import unsettle
from tapegrad.record.scipy.families import Family, operand
from tapegrad.record.scipy.recognised import (
    STAND_INS,
    is_held,
    is_sparse,
    no_rule,
    scipy_rule,
)
from tapegrad.record.scipy.sparse_matrices import of
from tapegrad.record.scipy.sparse_patterns import (
    Frozen,
    Pattern,
    sampled_product,
    sparse,
    stored_product,
)

Options = tuple[tuple[str, Any], ...]


def _factored(matrix: Any, options: Options) -> Any:
    """Return SuperLU's factors of a plain matrix."""
    splu = importlib.import_module("scipy.sparse.linalg").splu
    try:
        return splu(matrix.tocsc(), **{key: _thawed(value) for key, value in options})
    except RuntimeError as error:
        unsettle()  # the program may catch this
        raise NoFactorsError(f"a sparse matrix has no factors: {error}") from error


class NoFactorsError(np.linalg.LinAlgError, RuntimeError):
    """A singular matrix: SuperLU's own error is a RuntimeError, NumPy's solvers' a LinAlgError."""


def _frozen(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


def _thawed(value: Any) -> Any:
    return dict(value) if isinstance(value, tuple) else value


# --- by stored numbers ------------------------------------------------------------------------


_MOST_KEPT = 4


def _factors_of(pattern: Pattern, numbers: Any, options: Options) -> Any:
    """Return a matrix's factors; the latest of a pattern are kept, for the reverse sweep."""
    kept = pattern.kept
    for known, known_options, factors in kept:
        if known_options == options and np.array_equal(known, numbers):
            return factors
    factors = _factored(pattern.matrix(numbers), options)
    pattern.kept = ((numbers.copy(), options, factors), *kept[: _MOST_KEPT - 1])
    return factors


class StoredSolve(Family):
    """The solution of A x = b, or of A' x = b, by A's stored numbers and b."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], pattern: Pattern,
                 transposed: bool, options: tuple[tuple[str, Any], ...]) -> None:  # fmt: skip
        super().__init__("sparse solve", shapes, shapes[1:], is_active, pattern, transposed,
                         options)  # fmt: skip
        self.pattern, self.transposed, self.splu_options = pattern, transposed, options

    def _solved(self, numbers: Any, b: Any, transposed: bool) -> Any:
        """Return the solution, recorded if something is active."""
        if type(numbers) is not np.ndarray or type(b) is not np.ndarray:
            return applied(StoredSolve, (numbers, b), self.pattern, transposed,
                          self.splu_options)[0]  # fmt: skip
        factors = _factors_of(self.pattern, numbers, self.splu_options)
        return factors.solve(np.ascontiguousarray(b), "T" if transposed else "N")

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution."""
        numbers, b = operands
        return [self._solved(numbers, b, self.transposed)]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        (numbers, _), (x,) = operands, results
        gb = self._solved(numbers, adjoints[0], not self.transposed)
        if not self.is_active[0]:
            return None, gb
        sides = (x, gb) if self.transposed else (gb, x)
        return -sampled_product(self.pattern, *sides), gb

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (numbers, _), (x,), (moved, right) = operands, results, tangents
        if moved is not None:
            pattern = self.pattern.transposed if self.transposed else self.pattern
            change = stored_product(pattern, moved, x)
            right = -change if right is None else right - change
        return [self._solved(numbers, right, self.transposed)]


class StoredTriangle(StoredSolve):
    """The solution where A is triangular."""

    def _solved(self, numbers: Any, b: Any, transposed: bool) -> Any:
        """Return the solution, recorded if something is active."""
        if type(numbers) is not np.ndarray or type(b) is not np.ndarray:
            return applied(StoredTriangle, (numbers, b), self.pattern, transposed,
                          self.splu_options)[0]  # fmt: skip
        (_, is_lower), (_, layout) = self.splu_options
        pattern = self.pattern.transposed if transposed else self.pattern
        solver = importlib.import_module("scipy.sparse.linalg").spsolve_triangular
        return solver(pattern.matrix(numbers).asformat(layout), b, lower=is_lower != transposed)


# --- by factors -------------------------------------------------------------------------------


class FrozenFactors:
    """The factors of a matrix of plain numbers, made where they're needed first."""

    def __init__(self, frozen: Frozen, options: Options) -> None:
        self.frozen, self.options = frozen, options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenFactors) and (
            (self.frozen, self.options) == (other.frozen, other.options)
        )

    def __hash__(self) -> int:
        return hash(self.frozen)

    def __reduce__(self) -> Any:
        return FrozenFactors, (self.frozen, self.options)

    @functools.cached_property
    def factors(self) -> Any:
        """SuperLU's."""
        return _factored(self.frozen.matrix, self.options)


class GivenFactors:
    """Factors that somebody made.

    Parameters
    ----------
    factors : SuperLU
    """

    def __init__(self, factors: Any) -> None:
        self.factors = factors

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GivenFactors) and self.factors is other.factors

    def __hash__(self) -> int:
        return hash((self.factors.shape, self.factors.nnz))

    def __reduce__(self) -> Any:
        lu = self.factors
        product = (lu.L @ lu.U).tocsr()[lu.perm_r][:, lu.perm_c]  # SuperLU's can't be pickled
        return FrozenFactors, (Frozen(product), ())


class FactoredSolve(Family):
    """The solution of A x = b, or of A' x = b, by factors that the block owns."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...],
                 factors: FrozenFactors | GivenFactors, transposed: bool) -> None:  # fmt: skip
        super().__init__("sparse solve", shapes, shapes, is_active, factors, transposed)
        self.factors, self.transposed = factors, transposed

    def _solved(self, b: Any, transposed: bool) -> Any:
        """Return the solution, recorded if it's active."""
        if type(b) is not np.ndarray:
            return applied(FactoredSolve, (b,), self.factors, transposed)[0]
        return self.factors.factors.solve(np.ascontiguousarray(b), "T" if transposed else "N")

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution."""
        return [self._solved(operands[0], self.transposed)]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [self._solved(adjoints[0], not self.transposed)]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [self._solved(tangents[0], self.transposed)]


# --- SciPy's functions ------------------------------------------------------------------------


class ActiveFactors:
    """The factors of a matrix whose stored numbers are active, as SuperLU's are used."""

    def __init__(self, matrix: Any, options: Options) -> None:
        self._matrix, self._options = matrix, options
        pattern, _ = matrix._places()
        numbers = matrix._in_order()
        self._factors = _factors_of(pattern, numbers.primal if is_held(numbers) else numbers,
                                    options)  # fmt: skip

    shape = property(lambda self: self._matrix.shape)
    nnz = property(lambda self: self._factors.nnz)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise no_rule(f"{name} of factors of an active matrix", "write splu(A).solve(b), or ")

    def solve(self, rhs: Any, trans: Any = "N") -> Any:
        """Return the solution of A x = b, or of A' x = b."""
        pattern, _ = self._matrix._places()
        return _by_numbers(pattern, self._matrix._in_order(), rhs, trans, self._options)


STAND_INS.add(ActiveFactors)


def _by_numbers(pattern: Pattern, numbers: Any, b: Any, trans: Any, options: Options) -> Any:
    b = operand(b)
    _check(pattern.shape, b)
    return applied(StoredSolve, (numbers, b), pattern, trans != "N", options)[0]


def _check(shape: Any, b: Any) -> None:
    if shape[0] != shape[1]:
        raise ValueError(f"matrix must be square (has shape {tuple(shape)})")
    if b.ndim not in (1, 2) or b.shape[0] != shape[0]:
        raise ValueError(f"matrix - rhs dimension mismatch ({tuple(shape)} - {b.shape[:1]})")


@scipy_rule("scipy.sparse.linalg.spsolve")
def _spsolve(A: Any, b: Any, permc_spec: Any = None,  # noqa: N803  # SciPy's name
             use_umfpack: Any = True) -> Any:  # fmt: skip
    if is_sparse(b):
        raise no_rule("scipy.sparse.linalg.spsolve of a sparse right-hand side",
                      "write b.toarray() for b, or ")  # fmt: skip
    b = operand(b)
    b = b.reshape(-1) if b.ndim == 2 and b.shape[1] == 1 else b
    A = A if is_sparse(A) else sparse().csc_array(A)
    options = () if permc_spec is None else (("permc_spec", permc_spec),)
    if is_held(A):
        matrix = of(A)
        return _by_numbers(matrix._places()[0], matrix._in_order(), b, "N", options)
    _check(A.shape, b)
    return applied(FactoredSolve, (b,), FrozenFactors(Frozen(A), options), False)[0]


@scipy_rule("scipy.sparse.linalg.spsolve_triangular")
def _spsolve_triangular(A: Any, b: Any, lower: Any = True, overwrite_A: Any = False,  # noqa: N803
                        overwrite_b: Any = False, unit_diagonal: Any = False) -> Any:  # fmt: skip
    matrix = of(A if is_sparse(A) else sparse().csc_array(A))
    pattern, numbers = matrix._places()[0], matrix._in_order()
    rows, columns = pattern.rows, pattern.columns
    if np.any(rows < columns if lower else rows > columns):
        way_out = f"write scipy.sparse.{'tril' if lower else 'triu'}(A) for A, or "
        raise no_rule("spsolve_triangular of a matrix that isn't triangular", way_out)
    if unit_diagonal:
        beside, n = np.flatnonzero(rows != columns), matrix.shape[0]
        pattern = Pattern(pattern.shape, *(
            np.concatenate([places[beside], np.arange(n)]) for places in (rows, columns)
        ))  # fmt: skip
        numbers = np.concatenate([numbers[beside], np.ones(n)])
    layout = matrix.format if matrix.format == "csr" else "csc"
    options = (("lower", bool(lower)), ("layout", layout))
    b = operand(b)
    _check(pattern.shape, b)
    return applied(StoredTriangle, (numbers, b), pattern, False, options)[0]


@scipy_rule("scipy.sparse.linalg.splu")
def _splu(A: Any, permc_spec: Any = None, diag_pivot_thresh: Any = None,  # noqa: N803
          relax: Any = None, panel_size: Any = None, options: Any = None) -> Any:  # fmt: skip
    given = {"permc_spec": permc_spec, "diag_pivot_thresh": diag_pivot_thresh, "relax": relax,
             "panel_size": panel_size, "options": options}  # fmt: skip
    chosen = tuple((key, _frozen(value)) for key, value in given.items() if value is not None)
    return ActiveFactors(of(A if is_sparse(A) else sparse().csc_array(A)), chosen)


@scipy_rule("scipy.sparse.linalg.factorized")
def _factorized(A: Any) -> Any:  # noqa: N803
    return _splu(A).solve


def solve_by_factors(self: Any, rhs: Any, trans: Any = "N") -> Any:
    """Record the solution by SuperLU's factors of a plain matrix."""
    b = operand(rhs)
    _check(self.shape, b)
    return applied(FactoredSolve, (b,), GivenFactors(self), trans != "N")[0]
