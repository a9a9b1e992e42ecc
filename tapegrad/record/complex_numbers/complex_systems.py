"""Linear algebra of complex matrices that depend on the input: systems, determinants, powers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.complex_numbers.complex_blocks import (
    ComplexBlock,
    adjoint_of,
    as_complex,
    of_block,
)
from tapegrad.record.complex_numbers.complex_types import paired
from tapegrad.record.functions.registry import complex_rule, no_rule
from tapegrad.record.linear.determinants import written_out
from tapegrad.record.linear.systems import over_sides

_SLOGDET = type(np.linalg.slogdet(np.eye(1)))


def square_complex(a: Any) -> Any:
    """Return an operand as a complex array of square matrices."""
    a = as_complex(a)
    if a.ndim < 2:
        raise np.linalg.LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return a


def _each(a: Any) -> Any:
    """Return numbers so that they multiply matrices."""
    return a[..., np.newaxis, np.newaxis]


# --- systems --------------------------------------------------------------------------------------


class ComplexSolve(ComplexBlock):
    """Solutions of stacks of systems of equations."""

    title = "solve, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return the right-hand sides'."""
        return [(operand_shapes[1], True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's solutions."""
        return [np.linalg.solve(*operands)]

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints, of the matrix where it depends on the input."""
        of_b = np.linalg.solve(adjoint_of(operands[0]), adjoints[0])
        has_a = self.is_active[0] or self.is_active[1]
        return [-of_b @ adjoint_of(results[0]) if has_a else None, of_b]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        return [np.linalg.solve(operands[0], tangents[1] - tangents[0] @ results[0])]


def _solved(a: Any, b: Any) -> Any:
    return of_block(ComplexSolve, [a, b])[0]


@complex_rule(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = square_complex(a), as_complex(b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-1]:
        raise ValueError(f"solve: shapes {a.shape} and {b.shape} don't fit")
    return over_sides(_solved, a, b)


@complex_rule(np.linalg.inv)
def _inv(a: Any) -> Any:
    a = square_complex(a)
    return _solved(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


# --- determinants ---------------------------------------------------------------------------------


class ComplexDeterminant(ComplexBlock):
    """Determinants; their derivatives by the matrices' elements are cofactors."""

    title = "det, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return a number a matrix."""
        return [(operand_shapes[0][:-2], True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's determinants."""
        return [np.linalg.det(*operands)]

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [_each(adjoints[0]) * np.conjugate(_cofactors(operands[0]))]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [np.sum(tangents[0] * _cofactors(operands[0]), axis=(-2, -1))]


_CONDITION = 1e6
"""Up to that condition cofactors are computed by the inverse."""


def _cofactors(a: Any) -> Any:
    if type(a) is not np.ndarray:
        return _each(np.linalg.det(a)) * np.swapaxes(np.linalg.inv(a), -1, -2)
    left, s, right = np.linalg.svd(a)
    if np.all(s[..., 0] < _CONDITION * s[..., -1]):
        return _each(np.linalg.det(a)) * np.swapaxes(np.linalg.inv(a), -1, -2)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., np.newaxis, :])
    sign = _each(np.linalg.det(left) * np.linalg.det(right))
    scaled = left.conj() * np.prod(others, axis=-1)[..., np.newaxis, :]
    return sign * (scaled @ right.conj())


@complex_rule(np.linalg.det)
def _det(a: Any) -> Any:
    a = square_complex(a)
    if a.size and a.shape[-1] <= 3:
        return written_out(a, list(range(a.shape[-1])))
    return of_block(ComplexDeterminant, [a])[0]


class ComplexLogDeterminant(ComplexBlock):
    """Determinants as numbers of modulus 1 and logarithms of their moduli."""

    title = "slogdet, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return a complex and a real number a matrix."""
        return [(operand_shapes[0][:-2], True), (operand_shapes[0][:-2], False)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's."""
        return list(np.linalg.slogdet(*operands))

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        of_sign, of_log = adjoints
        turned = 0.0 if of_sign is None else -(np.conjugate(of_sign) * results[0]).imag
        whole = paired(np.zeros(np.shape(results[1])) if of_log is None else of_log, turned)
        return [_each(whole) * adjoint_of(np.linalg.inv(operands[0]))]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        rate = np.trace(np.linalg.inv(operands[0]) @ tangents[0], axis1=-2, axis2=-1)
        return [results[0] * rate.imag * 1j, rate.real]


@complex_rule(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    sign, logarithm = of_block(ComplexLogDeterminant, [square_complex(a)])
    return _SLOGDET(sign, logarithm[()])


# --- by real matrices of twice the order ----------------------------------------------------------


def _real_form(a: Any) -> Any:
    """Return the real matrices of twice the order that multiply parts as complex ones do."""
    return np.concatenate([np.concatenate([a.re, -a.im], axis=-1),
                           np.concatenate([a.im, a.re], axis=-1)], axis=-2)  # fmt: skip


@complex_rule(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = as_complex(a), as_complex(b)
    if rcond is None:
        rcond = np.finfo(np.float64).eps * max(a.shape)
    sides = b if b.ndim == 2 else b[:, np.newaxis]
    x, residuals, rank, s = np.linalg.lstsq(
        _real_form(a), np.concatenate([sides.re, sides.im], axis=0), rcond
    )
    n = a.shape[-1]
    found = paired(x[:n], x[n:])
    each = 0.5 * (s[::2] + s[1::2])  # singular values, which the real form has twice
    return (found if b.ndim == 2 else found[:, 0]), residuals, rank // 2, each


@complex_rule(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    if hermitian:
        raise no_rule("numpy.linalg.pinv with hermitian=True", of_complex=True)
    a = as_complex(a)
    m, n = a.shape[-2:]
    given = {} if rtol is np._NoValue else {"rtol": rtol}
    if "rtol" in given and rtol is None:
        given["rtol"] = max(m, n) * np.finfo(np.float64).eps
    found = np.linalg.pinv(_real_form(a), rcond, **given)
    return paired(found[..., :n, :m], found[..., n:, :m])


# --- powers ------------------------------------------------------------------------------------


@complex_rule(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    a = square_complex(a)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=complex), a.shape).copy()
    factor, found = (np.linalg.inv(a) if n < 0 else a), None
    rest = abs(n)
    while rest:
        if rest & 1:
            found = factor if found is None else found @ factor
        rest >>= 1
        factor = factor @ factor if rest else factor
    return found
