"""scipy.linalg's solvers of linear systems, inverses and determinants."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.libraries import frames_to_users_code
from tapegrad.record.scipy import differentials
from tapegrad.record.scipy.banded_systems import band_of, solve_banded
from tapegrad.record.scipy.families import (
    RECORDED,
    Family,
    called,
    check_finite_of,
    have_same_bits,
    operand,
    over_stacks,
    plain,
    square,
    symmetric,
    triangle,
    values_of,
)
from tapegrad.record.scipy.recognition import is_passive, scipy_rule

# --- dense systems ------------------------------------------------------------------------------


def _factors_of(a: Any, structure: str) -> Sequence[Any]:
    """Return a plain matrix's factors: P L U, L D L' or L L', by what it is."""
    lapack = plain().lapack
    if structure == "positive":
        factor, info = lapack.dpotrf(a, lower=1)
        if info > 0:
            raise np.linalg.LinAlgError(
                f"{info}-th leading minor of the array is not positive definite"
            )
        return [factor]
    if structure == "symmetric":
        packed, pivots, info = lapack.dsytrf(a, lower=1)
    else:
        packed, pivots, info = lapack.dgetrf(a)
    if info > 0:
        raise np.linalg.LinAlgError("A singular matrix detected.")
    return [packed, pivots]


def _solved_by(factors: Sequence[Any], structure: str, b: Any, transposed: bool) -> Any:
    """Return the solution of A x = b, or of A' x = b, by A's factors."""
    lapack = plain().lapack
    right = b.reshape(len(b), -1)
    if structure == "positive":
        x, _ = lapack.dpotrs(factors[0], right, lower=1)
    else:
        packed, pivots = factors[0], factors[1].astype(np.int32)
        if structure == "symmetric":
            x, _ = lapack.dsytrs(packed, pivots, right, lower=1)
        else:
            x, _ = lapack.dgetrs(packed, pivots, right, trans=int(transposed))
    return x.reshape(b.shape)


class Solve(Family):
    """The solution of A x = b, or of A' x = b; the other results are A's factors.

    Options: whether it's transposed, and what A is: "general" (P L U), "symmetric" (L D L') or
    "positive" (L L').
    """

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], transposed: bool,
                 structure: str) -> None:  # fmt: skip
        (n, _), b = shapes
        factors = {"general": ((n, n), (n,)), "symmetric": ((n, n), (n,)), "positive": ((n, n),)}
        results = (b, *factors[structure])
        super().__init__("solve", shapes, results, is_active, transposed, structure)
        self.transposed, self.structure = transposed, structure

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution and the factors."""
        a, b = operands
        factors = _factors_of(a, self.structure)
        return [_solved_by(factors, self.structure, b, self.transposed), *factors]

    def _again(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
               transposed: bool) -> differentials.Solver:  # fmt: skip
        if la is RECORDED:
            return lambda b: called(Solve, (operands[0], b), transposed, self.structure)[0]
        return lambda b: _solved_by(results[1:], self.structure, b, transposed)

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        solve = self._again(la, operands, results, not self.transposed)
        if not self.is_active[0]:
            return None, solve(adjoints[0])
        return differentials.solve_pullback(solve, results[0], adjoints[0], self.transposed)

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        solve = self._again(la, operands, results, self.transposed)
        da, db = tangents
        tangent = differentials.solve_pushforward(solve, results[0], da, db, self.transposed)
        return [tangent, *[None] * (len(results) - 1)]


class Factored:
    """A matrix of plain numbers that blocks own, and its factors."""

    def __init__(self, a: Any, structure: str) -> None:
        self.a, self.structure = np.array(a, np.float64), structure

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Factored)
            and self.structure == other.structure
            and have_same_bits(self.a, other.a)
        )

    def __hash__(self) -> int:
        return hash((self.a.shape, self.structure, self.a[:1].tobytes()))

    def __reduce__(self) -> Any:
        return Factored, (self.a, self.structure)

    @functools.cached_property
    def factors(self) -> Sequence[Any]:
        """LAPACK's."""
        return _factors_of(self.a, self.structure)


class FactoredSystem(Family):
    """The solution of A x = b, or of A' x = b, of a matrix that the block owns."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], matrix: Factored,
                 transposed: bool) -> None:  # fmt: skip
        super().__init__("solve", shapes, shapes, is_active, matrix, transposed)
        self.matrix, self.transposed = matrix, transposed

    def _solved(self, b: Any, transposed: bool) -> Any:
        """Return the solution, recorded if it's active."""
        if type(b) is not np.ndarray:
            return called(FactoredSystem, (b,), self.matrix, transposed)[0]
        return _solved_by(self.matrix.factors, self.matrix.structure, b, transposed)

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


_STRUCTURES = {
    None: "general", "general": "general", "gen": "general", "banded": "general",
    "pos": "positive", "positive definite": "positive",
    "sym": "symmetric", "symmetric": "symmetric", "her": "symmetric", "hermitian": "symmetric",
    "diagonal": "diagonal", "tridiagonal": "tridiagonal",
    "upper triangular": "upper", "lower triangular": "lower",
}  # fmt: skip


@scipy_rule("scipy.linalg.solve")
def solve(a: Any, b: Any, lower: Any = False, overwrite_a: Any = False, overwrite_b: Any = False,
          check_finite: Any = True, assume_a: Any = None,
          transposed: Any = False) -> Any:  # fmt: skip
    """Record the solution; of a symmetric matrix the triangle that SciPy reads counts."""
    if assume_a not in _STRUCTURES:
        raise ValueError(f"{assume_a} is not a recognized matrix structure")
    a, b = np.atleast_2d(operand(a)), np.atleast_1d(operand(b))
    check_finite_of(check_finite, a, b)
    structure = _STRUCTURES[assume_a]
    return over_stacks(
        lambda a, b: _solved(a, b, structure, bool(lower), bool(transposed)), (a, b), (2, "1|2")
    )


def _solved(a: Any, b: Any, structure: str, lower: bool, transposed: bool) -> Any:
    square(a)
    if b.shape[0] != len(a) and a.size != 1:
        raise ValueError(f"incompatible shapes: a.shape={a.shape} and b.shape={b.shape}")
    if a.size == 0 or b.size == 0:
        return np.empty(b.shape)
    if a.size == 1:
        _refuse_zeros(a, "A singular matrix detected.")
        return b / a[0, 0]
    if structure in ("upper", "lower"):
        return solve_triangular(a, b, transposed, lower=structure == "lower", check_finite=False)
    if structure == "diagonal":
        diagonal = np.diagonal(a)
        _refuse_zeros(diagonal, "A singular matrix detected.")
        return b / (diagonal[:, None] if b.ndim == 2 else diagonal)
    if structure == "tridiagonal":
        band = band_of(a.T if transposed else a, 1, 1)
        return solve_banded((1, 1), band, b, check_finite=False)
    if structure != "general":
        a = symmetric(a, lower)
    if is_passive(a):
        matrix = Factored(values_of(a), structure)
        factors = matrix.factors
        (x,) = called(FactoredSystem, (b,), matrix, transposed)
    else:
        x, *factors = called(Solve, (a, b), transposed, structure)
    if structure == "general":
        _warn_if_ill(values_of(a), values_of(factors[0]))
    return x


def _refuse_zeros(pivots: Any, message: str) -> None:
    """Raise if one of the numbers is zero, which is guarded."""
    if np.any(pivots == 0.0):
        raise np.linalg.LinAlgError(message)


def _warn_if_ill(a: Any, packed: Any) -> None:
    """Warn as SciPy does of a matrix whose solutions have no right digit."""
    reciprocal, _ = plain().lapack.dgecon(packed, np.abs(a).sum(axis=0).max())
    if reciprocal < np.finfo(float).eps:
        warnings.warn(
            f"Ill-conditioned matrix (rcond={reciprocal:.6g}): result may not be accurate.",
            plain().LinAlgWarning,
            stacklevel=frames_to_users_code(),
        )


class SolveTriangular(Family):
    """The solution of a triangular system; options: transposed, lower, unit diagonal."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], *options: bool) -> None:
        super().__init__("solve_triangular", shapes, (shapes[1],), is_active, *options)
        self.transposed, self.lower, self.unit = options

    def _keywords(self, transposed: bool) -> dict[str, Any]:
        return {"trans": int(transposed), "lower": self.lower, "unit_diagonal": self.unit,
                "check_finite": False}  # fmt: skip

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution."""
        return [plain().solve_triangular(*operands, **self._keywords(self.transposed))]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints; of the matrix, in its triangle."""
        keywords = self._keywords(not self.transposed)
        ga, gb = differentials.solve_pullback(
            lambda b: la.solve_triangular(operands[0], b, **keywords),
            results[0], adjoints[0], self.transposed,
        )  # fmt: skip
        return triangle(ga, self.lower, not self.unit) if self.is_active[0] else None, gb

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        da, db = tangents
        keywords = self._keywords(self.transposed)
        tangent = differentials.solve_pushforward(
            lambda b: la.solve_triangular(operands[0], b, **keywords),
            results[0], None if da is None else triangle(da, self.lower, not self.unit), db,
            self.transposed,
        )  # fmt: skip
        return [tangent]


@scipy_rule("scipy.linalg.solve_triangular")
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: Any = False,
                     unit_diagonal: Any = False, overwrite_b: Any = False,
                     check_finite: Any = True) -> Any:  # fmt: skip
    """Record the solution of a triangular system."""
    a, b = operand(a), operand(b)
    check_finite_of(check_finite, a, b)
    transposed = {"N": 0, "T": 1, "C": 2}.get(trans, trans) != 0
    options = transposed, bool(lower), bool(unit_diagonal)

    def solved(a: Any, b: Any) -> Any:
        square(a)
        if len(a) != len(b):
            raise ValueError(f"shapes of a {a.shape} and b {b.shape} are incompatible")
        return called(SolveTriangular, (a, b), *options)[0] if b.size else np.empty(b.shape)

    return over_stacks(solved, (a, b), (2, "1|2"))


# --- inverses and determinants --------------------------------------------------------------------


class Inverse(Family):
    """The inverse of a matrix."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], *options: Any) -> None:
        super().__init__("inv", shapes, shapes, is_active, *options)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the inverse."""
        return [plain().inv(operands[0], check_finite=False)]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [differentials.inverse_pullback(results[0], adjoints[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [differentials.inverse_pushforward(results[0], tangents[0])]


_INVERTED = {"gen", "general", "pos", "sym", "her", "diagonal", "upper triangular",
             "lower triangular", None}  # fmt: skip


@scipy_rule("scipy.linalg.inv")
def inv(a: Any, overwrite_a: Any = False, check_finite: Any = True, *, assume_a: Any = None,
        lower: Any = False) -> Any:  # fmt: skip
    """Record the inverse; what SciPy doesn't read of the matrix has no derivative."""
    if assume_a not in _INVERTED:
        raise KeyError(assume_a)
    a = operand(a)
    check_finite_of(check_finite, a)
    structure = _STRUCTURES[assume_a]

    def inverted(a: Any) -> Any:
        square(a)
        if a.size == 0:
            return np.empty(a.shape)
        if structure in ("upper", "lower"):
            a = triangle(a, structure == "lower")
        elif structure == "diagonal":
            a = np.where(np.eye(len(a), dtype=bool), a, 0.0)
        elif structure != "general":
            a = symmetric(a, lower)
        return called(Inverse, (a,))[0]

    return over_stacks(inverted, (a,), (2,))


class Determinant(Family):
    """The determinant of a matrix."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], *options: Any) -> None:
        super().__init__("det", shapes, ((),), is_active, *options)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the determinant."""
        return [plain().det(operands[0], check_finite=False)]

    def _cofactors(self, la: Any, a: Any, value: Any) -> Any:
        """Return the matrix of cofactors, which a singular matrix has too."""
        if la is RECORDED:
            return value * la.inv(a, check_finite=False).T
        u, s, vt = la.svd(a, check_finite=False)
        n = len(s)
        others = np.array([np.prod(np.delete(s, k)) for k in range(n)])
        sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
        return sign * (u * others) @ vt

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [adjoints[0] * self._cofactors(la, operands[0], results[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [np.sum(self._cofactors(la, operands[0], results[0]) * tangents[0])]


@scipy_rule("scipy.linalg.det")
def det(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record the determinant."""
    a = operand(a)
    if a.ndim < 2:
        raise ValueError("The input array must be at least two-dimensional.")
    check_finite_of(check_finite, a)

    def determinant(a: Any) -> Any:
        square(a)
        return called(Determinant, (a,))[0] if a.size else np.float64(1.0)

    found = over_stacks(determinant, (a,), (2,))
    return found[()]
