"""Determinants, exact where they vanish, and their logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.compiled_forms import DET, SLOGDET
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    diagonal,
    on_diagonal,
    square,
    stack_size,
    transposed,
)

_SLOGDET = type(np.linalg.slogdet(np.eye(1)))

_CONDITION = 1e6
"""Up to that condition cofactors are computed by the inverse."""


def _each(a: Any) -> Any:
    """Return numbers so that they multiply matrices."""
    return a[..., np.newaxis, np.newaxis]


def _size(a: Any) -> Any:
    """Return the greatest sums of columns."""
    return np.max(np.sum(np.abs(a), axis=-2), axis=-1, initial=0.0)


class Determinant(ShapedBlock):
    """Determinants of matrices, and what those were factored into."""

    title = "det"
    forms = DET
    functions = ("dgetrf",)

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (a,) = operand_shapes
        return a[:-2], a, a[:-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many matrices there are, of what order."""
        (a,) = self.operand_shapes
        return stack_size(a), a[-1]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        _, factors, pivots = self.result_shapes
        return [np.linalg.det(operands[0]), np.zeros(factors), np.zeros(pivots)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_each(adjoints[0]) * applied(Cofactors, operands)[0]]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [np.sum(tangents[0] * applied(Cofactors, operands)[0], axis=(-2, -1)), None, None]


class Cofactors(ShapedBlock):
    """The derivatives of determinants by their matrices' elements.

    Of a singular matrix, and of one that nearly is, they are products of singular values, and so
    are their own derivatives. The next ones are written with the inverse.
    """

    title = "cofactors"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return operand_shapes

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        (a,) = operands
        inverse = _inverse_or_nan(a)
        found = _each(np.linalg.det(a)) * transposed(inverse)
        condition = _size(a) * _size(inverse)
        is_bad = ~(condition < _CONDITION) | ~np.all(np.isfinite(found), (-2, -1))
        if np.any(is_bad) and np.all(np.isfinite(a)):
            found = np.where(_each(is_bad), _by_singular_values(a), found)
        return [found]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_second(operands[0], adjoints[0])]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_second(operands[0], tangents[0])]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_second_by_inverse(operands[0], adjoints[0])]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_second_by_inverse(operands[0], tangents[0])]


def _decomposed(a: Any) -> Any:
    """Return singular values, their vectors, and the sign of those vectors' determinants."""
    left, s, right = np.linalg.svd(a)
    return left, s, right, _each(np.linalg.det(left) * np.linalg.det(right))


def _products(x: Any) -> Any:
    """Return products of rows none of whose factors leave the range that a product stays in."""
    mantissas, exponents = np.frexp(x)
    return np.ldexp(np.prod(mantissas, axis=-1), np.sum(exponents, axis=-1))


def _by_singular_values(a: Any) -> Any:
    left, s, right, sign = _decomposed(a)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., np.newaxis, :])
    return sign * ((left * _products(others)[..., np.newaxis, :]) @ right)


def _second(a: Any, by: Any) -> Any:
    """Return the second derivative of a determinant in a direction.

    In a basis of singular vectors its elements are products of the singular values of all rows and
    columns but two.
    """
    left, s, right, sign = _decomposed(a)
    by = transposed(left) @ by @ transposed(right)
    is_own = np.eye(s.shape[-1], dtype=bool)
    is_left_out = is_own[:, np.newaxis] | is_own[np.newaxis]
    rest = _products(np.where(is_left_out, 1.0, s[..., np.newaxis, np.newaxis, :]))
    rest = np.where(is_own, 0.0, rest)
    moved = on_diagonal((rest @ diagonal(by)[..., np.newaxis])[..., 0]) - rest * transposed(by)
    return sign * (left @ moved @ right)


def _second_by_inverse(a: Any, by: Any) -> Any:
    inverse = transposed(np.linalg.inv(a))
    along = np.sum(inverse * by, axis=(-2, -1))
    return _each(np.linalg.det(a)) * (_each(along) * inverse - inverse @ transposed(by) @ inverse)


class LogDeterminant(ShapedBlock):
    """Signs and logarithms of determinants, and what their matrices were factored into."""

    title = "slogdet"
    forms = SLOGDET
    functions = ("dgetrf", "dgetrs")

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (a,) = operand_shapes
        return a[:-2], a[:-2], a, a[:-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many matrices there are, of what order."""
        (a,) = self.operand_shapes
        return stack_size(a), a[-1]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        *_, factors, pivots = self.result_shapes
        return [*np.linalg.slogdet(operands[0]), np.zeros(factors), np.zeros(pivots)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_each(adjoints[1]) * transposed(_inverse_or_nan(operands[0]))]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        inverse = transposed(_inverse_or_nan(operands[0]))
        return [None, np.sum(tangents[0] * inverse, axis=(-2, -1)), None, None]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [_each(adjoints[1]) * transposed(np.linalg.inv(operands[0]))]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        inverse = transposed(np.linalg.inv(operands[0]))
        return [None, np.sum(tangents[0] * inverse, axis=(-2, -1)), None, None]


def _inverse_or_nan(a: Any) -> Any:
    """Return inverses, NaN for a singular matrix: the logarithm of zero has no derivative."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        found = np.full_like(a, np.nan)
        if a.ndim > 2:
            for k, part in enumerate(a):
                found[k] = _inverse_or_nan(part)
        return found


def determinant(a: Any) -> Any:
    """Return determinants."""
    n = a.shape[-1]
    if n > _WRITTEN_OUT or not a.size:
        return applied(Determinant, [a])[0][()]
    return written_out(a, list(range(n)))


_WRITTEN_OUT = 3
"""Determinants of matrices up to that order are written out: that is exact in every order."""


def written_out(a: Any, columns: list[int]) -> Any:
    """Return determinants of the last rows and of some columns, by minors."""
    row = a.shape[-1] - len(columns)
    if len(columns) == 1:
        return a[..., row, columns[0]]
    found = None
    for k, column in enumerate(columns):
        term = a[..., row, column] * written_out(a, columns[:k] + columns[k + 1 :])
        signed = -term if k % 2 else term
        found = signed if found is None else found + signed
    return found


# --- NumPy's names --------------------------------------------------------------------------------


@rule(np.linalg.det)
def _det(a: Any) -> Any:
    return determinant(square(a))


@rule(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    a = square(a)
    sign, logarithm, *_ = applied(LogDeterminant, [a])
    return _SLOGDET(np.sign(sign[()]), logarithm[()])
