"""scipy.linalg's solvers of Sylvester, Lyapunov and Riccati equations.

In what follows X is the solution, G its adjoint, and S the solution of the adjoint equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.linear.shaped import applied, total_of
from tapegrad.record.scipy.families import (
    RECORDED,
    Family,
    operand,
    over_stacks,
    plain,
    square,
)
from tapegrad.record.scipy.recognised import scipy_rule

# --- linear ones ----------------------------------------------------------------------------------


class Sylvester(Family):
    """The solution of A X + X B = Q; the other results are the Schur forms of A and B'."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...]) -> None:
        a, b, q = shapes
        super().__init__("solve_sylvester", shapes, (q, a, a, b, b), is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution and the Schur forms."""
        a, b, q = operands
        (r, u), (s, v) = plain().schur(a, output="real"), plain().schur(b.T, output="real")
        forms = (r, u, s, v)
        return [_solved_by_schur(forms, q, False), *forms]

    def _again(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
               transposed: bool) -> Any:  # fmt: skip
        """Return what solves the equation, or the adjoint one, for another right-hand side."""
        if la is not RECORDED:
            return lambda q: _solved_by_schur(results[1:], q, transposed)
        a, b = (x.T for x in operands[:2]) if transposed else operands[:2]
        return lambda q: solve_sylvester(a, b, q)

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        x = results[0]
        s = self._again(la, operands, results, True)(adjoints[0])
        return -(s @ x.T), -(x.T @ s), s

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        x, (da, db, dq) = results[0], tangents
        right = total_of(dq, None if da is None else -(da @ x), None if db is None else -(x @ db))
        found = self._again(la, operands, results, False)(right)
        return [found, *[None] * 4]


def _solved_by_schur(forms: Sequence[Any], q: Any, transposed: bool) -> Any:
    """Solve A X + X B = Q, or A' X + X B' = Q, with A = U R U' and B' = V S V'."""
    r, u, s, v = forms
    ways = {"trana": "T"} if transposed else {"tranb": "T"}
    y, scale, info = plain().lapack.dtrsyl(r, s, u.T @ q @ v, **ways)
    if info < 0:
        raise np.linalg.LinAlgError(f"Illegal value encountered in the {-info} term")
    return u @ (scale * y) @ v.T


@scipy_rule("scipy.linalg.solve_sylvester")
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Record the solution of A X + X B = Q."""
    return over_stacks(
        lambda *x: applied(Sylvester, x)[0], [operand(x) for x in (a, b, q)], (2, 2, 2)
    )


@scipy_rule("scipy.linalg.solve_continuous_lyapunov", "scipy.linalg.solve_lyapunov")
def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """Record the solution of A X + X A' = Q."""

    def solved(a: Any, q: Any) -> Any:
        _same_shapes(a, q)
        return solve_sylvester(a, a.T, q)

    return over_stacks(solved, [operand(a), operand(q)], (2, 2))


def _same_shapes(a: Any, q: Any) -> None:
    square(a)
    square(q)
    if a.shape != q.shape:
        raise ValueError("Matrix a and q should have the same shape.")


class DiscreteLyapunov(Family):
    """The solution of A X A' - X + Q = 0; its option is SciPy's method."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], method: str | None) -> None:
        super().__init__("solve_discrete_lyapunov", shapes, shapes[:1], is_active, method)
        self.method = method

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution."""
        return [plain().solve_discrete_lyapunov(*operands, method=self.method)]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        (a, _), (x,) = operands, results
        s = la.solve_discrete_lyapunov(a.T, adjoints[0], method=self.method)
        return s @ a @ x.T + s.T @ a @ x, s

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (a, _), (x,), (da, right) = operands, results, tangents
        if da is not None:
            right = total_of(right, da @ x @ a.T, a @ x @ da.T)
        return [la.solve_discrete_lyapunov(a, right, method=self.method)]


@scipy_rule("scipy.linalg.solve_discrete_lyapunov")
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    """Record the solution of A X A' - X + Q = 0."""

    def solved(a: Any, q: Any) -> Any:
        _same_shapes(a, q)
        return applied(DiscreteLyapunov, (a, q), method)[0]

    return over_stacks(solved, [operand(a), operand(q)], (2, 2))


# --- Riccati's ------------------------------------------------------------------------------------


_TOLERANCE = 1e-6
"""What a solution may leave of an equation's terms, relative to them."""


class ContinuousRiccati(Family):
    """The solution of A'X E + E'X A - (E'X B + S) R^-1 (B'X E + S') + Q = 0.

    The operands are A, B, Q, R, and E and S if they're given; the option says which of those is.
    With K = R^-1 (B'X E + S') and F = A - B K, F'dX E + E'dX F is minus what the equation's left
    side changes by with X as it is.
    """

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], has_e: bool, has_s: bool,
                 balanced: bool) -> None:  # fmt: skip
        options = has_e, has_s, balanced
        super().__init__("solve_continuous_are", shapes, shapes[:1], is_active, *options)
        self.has_e, self.has_s, self.balanced = options

    def _parts(self, operands: Sequence[Any]) -> list[Any]:
        a, b, q, r, *rest = operands
        e = rest.pop(0) if self.has_e else None
        return [a, b, q, r, e, rest[0] if self.has_s else None]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution.

        SciPy's balancing of a pencil with E may spoil it, without a word.
        """
        x = plain().solve_continuous_are(*self._parts(operands), balanced=self.balanced)
        if self.has_e and self.balanced:
            k, _, xe, _ = self._closed(plain(), operands, x)
            a, _, q, r, *_ = operands
            terms = a.T @ xe, k.T @ r @ k, q
            left = terms[0] + terms[0].T - terms[1] + terms[2]
            error, size = np.abs(left).max(), max(np.abs(term).max() for term in terms)
            if not error <= _TOLERANCE * size:
                raise np.linalg.LinAlgError(
                    f"the solution of the Riccati equation that SciPy found leaves {error:.3g} of "
                    f"terms of {size:.3g}, and so has no derivative: write balanced=False"
                )
        return [x]

    def _closed(self, la: Any, operands: Sequence[Any], x: Any) -> tuple[Any, Any, Any, Any]:
        """Return K, F, X E and E, which is None where it's the identity."""
        a, b, _, r, e, s = self._parts(operands)
        xe = x if e is None else x @ e
        right = b.T @ xe if s is None else b.T @ xe + s.T
        k = la.solve(r, right, check_finite=False)
        return k, a - b @ k, xe, e

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        k, f, xe, e = self._closed(la, operands, results[0])
        g = adjoints[0] + adjoints[0].T  # X is symmetric whatever changes
        if e is None:
            half = la.solve_continuous_lyapunov(f, -0.5 * g)
        else:  # F S E' + E S F' = -G/2, as a Lyapunov equation of E^-1 F
            inner = la.solve(e, f, check_finite=False)
            right = la.solve(e, la.solve(e, -0.5 * g, check_finite=False).T, check_finite=False)
            half = la.solve_continuous_lyapunov(inner, right)
        twice = half + half.T
        changes = [xe @ twice, -(xe @ twice @ k.T), half, k @ half @ k.T]
        if self.has_e:
            changes.append(results[0] @ f @ twice)
        if self.has_s:
            changes.append(-(twice @ k.T))
        return changes

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        x = results[0]
        k, f, xe, e = self._closed(la, operands, x)
        da, db, dq, dr, de, ds = self._parts(tangents)
        halves = total_of(
            None if da is None else xe.T @ da,
            None if db is None else -(xe.T @ db @ k),
            None if dq is None else 0.5 * dq,
            None if dr is None else 0.5 * (k.T @ dr @ k),
            None if de is None else f.T @ x @ de,
            None if ds is None else -(ds @ k),
        )
        right = -(halves + halves.T)
        if e is None:
            return [la.solve_continuous_lyapunov(f.T, right)]
        inner = la.solve(e, f, check_finite=False)
        found = la.solve_continuous_lyapunov(inner.T, right)  # E' dX E
        left = la.solve(e.T, found, check_finite=False)
        return [la.solve(e.T, left.T, check_finite=False).T]


@scipy_rule("scipy.linalg.solve_continuous_are")
def solve_continuous_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None,
                         balanced: Any = True) -> Any:  # fmt: skip
    """Record the stabilising solution of the continuous algebraic Riccati equation."""
    given = [x if x is None else np.atleast_2d(operand(x)) for x in (a, b, q, r, e, s)]
    options = e is not None, s is not None, bool(balanced)

    def solved(*parts: Any) -> Any:
        return applied(ContinuousRiccati, [x for x in parts if x is not None], *options)[0]

    return over_stacks(solved, given, [2] * 6)
