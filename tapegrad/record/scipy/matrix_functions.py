"""scipy.linalg's functions of matrices: exponentials, roots, logarithms, sines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.errors import InputTypeError
from tapegrad.record.frames import Site
from tapegrad.record.linear.shaped import applied
from tapegrad.record.scipy.families import (
    RECORDED,
    Family,
    operand,
    over_stacks,
    plain,
    square,
)
from tapegrad.record.scipy.recognised import scipy_rule


def _real(found: Any, name: str) -> Any:
    """Return a real result, or raise for one that isn't."""
    if np.iscomplexobj(found):
        if np.any(found.imag):
            raise InputTypeError(
                f"scipy.linalg.{name} of this matrix is complex, at {Site().place}only real "
                "results can be recorded: the matrix must have no eigenvalue on the negative real "
                "axis"
            )
        return found.real
    return found


def _applied(la: Any, name: str, a: Any) -> Any:
    """Return a function of a plain matrix; the numbers that it draws are nobody's."""
    function = getattr(la, name)
    if la is RECORDED or name not in _DRAWING:
        return function(a)
    state = np.random.get_state()
    try:
        return function(a)
    finally:
        np.random.set_state(state)


_DRAWING = frozenset(["logm"])
"""Those that estimate norms by numbers from NumPy's own generator."""


class MatrixFunction(Family):
    """A function of a matrix that scipy.linalg has by the family's name.

    Its derivative in a direction E is a block of its value at [[A, E], [0, A]] (N. J. Higham,
    "Functions of Matrices", 2008, equation 3.16).
    """

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], name: str) -> None:
        super().__init__(name, shapes, shapes, is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the function's value."""
        return [_real(_applied(plain(), self.name, operands[0]), self.name)]

    def _derivative(self, la: Any, a: Any, direction: Any) -> Any:
        if self.name == "expm" and la is not RECORDED:
            return la.expm_frechet(a, direction, compute_expm=False, check_finite=False)
        n = len(a)
        upper = np.concatenate([a, direction], axis=1)
        lower = np.concatenate([np.zeros((n, n)), a], axis=1)
        found = _applied(la, self.name, np.concatenate([upper, lower]))
        return _real(found, self.name)[:n, n:]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [self._derivative(la, operands[0].T, adjoints[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [self._derivative(la, operands[0], tangents[0])]


class SquareRoot(MatrixFunction):
    """The principal square root X, whose derivative solves X dX + dX X = dA."""

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        (x,) = results
        return [la.solve_sylvester(x.T, x.T, adjoints[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (x,) = results
        return [la.solve_sylvester(x, x, tangents[0])]


def _rule_for(name: str, family: type[MatrixFunction]) -> Any:
    def rule(A: Any) -> Any:  # noqa: N803  # SciPy's name
        """Record the function of a matrix."""
        matrix = np.atleast_2d(operand(A))

        def found(a: Any) -> Any:
            square(a, np.linalg.LinAlgError if name in ("expm", "sqrtm") else ValueError)
            return applied(family, (a,), name)[0] if a.size else np.empty(a.shape)

        return over_stacks(found, (matrix,), (2,))

    return scipy_rule(f"scipy.linalg.{name}")(rule)


for _name in ("expm", "logm", "cosm", "sinm", "coshm", "sinhm"):
    _rule_for(_name, MatrixFunction)
_rule_for("sqrtm", SquareRoot)
