"""scipy.sparse.linalg's iterative solvers: their own solutions, differentiated as exact ones.

The derivative's systems, of the matrix or its transpose, are solved by the same method with a
tighter tolerance, and by factors if it doesn't reach that. Starting points and preconditioners
have derivative zero.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.errors import BlockFailedError
from tapegrad.record.array import ActiveArray
from tapegrad.record.linear.shaped import applied, guarded, total_of
from tapegrad.record.scipy.families import Family, operand
from tapegrad.record.scipy.recognised import is_held, is_sparse, no_rule, scipy_rule
from tapegrad.record.scipy.sparse_matrices import of
from tapegrad.record.scipy.sparse_patterns import (
    Pattern,
    sampled_product,
    sparse,
    stored_product,
)
from tapegrad.record.scipy.sparse_solvers import StoredSolve

Options = tuple[tuple[str, Any], ...]

TIGHT = 1e-12
"""The tolerance of the derivative's systems, relative to their right-hand sides."""

_NOTHING = np.zeros(0)


class Operator:
    """A preconditioner that is only known by its products."""

    def __init__(self, product: Any) -> None:
        self.product = product

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and self.product is other.product

    def __hash__(self) -> int:
        return id(self.product)


Preconditioner = Pattern | Operator | None


class IteratedSolve(Family):
    """What a method finds for A x = b, and whether it has.

    The operands are A's stored numbers, b, the starting point and the preconditioner's stored
    numbers, of which the last two may be empty.
    """

    def __init__(
        self, shapes: Any, is_active: tuple[bool, ...], method: str, pattern: Pattern, layout: str,
        preconditioner: Preconditioner, settings: Options,
    ) -> None:  # fmt: skip
        results = (shapes[1], ())
        super().__init__(method, shapes, results, is_active, pattern, layout, preconditioner,
                         settings)  # fmt: skip
        self.pattern, self.layout, self.settings = pattern, layout, settings
        self.preconditioner = preconditioner

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution, and SciPy's number that says how it ended."""
        numbers, b, start, weights = operands
        matrix = self.pattern.matrix(numbers).asformat(self.layout)
        given = dict(self.settings)
        if start.size:
            given["x0"] = start
        if isinstance(self.preconditioner, Pattern):
            given["M"] = self.preconditioner.matrix(weights)
        elif self.preconditioner is not None:
            given["M"] = self.preconditioner.product
        solver = getattr(importlib.import_module("scipy.sparse.linalg"), self.name)
        x, status = solver(matrix, b, **given)
        return [x, np.float64(status)]

    def _solved(self, operands: Sequence[Any], status: Any, right: Any, transposed: bool) -> Any:
        """Return the solution for another right-hand side, recorded if something is active."""
        if float(status.value if isinstance(status, ActiveArray) else status):
            raise BlockFailedError(
                f"scipy.sparse.linalg.{self.name} hasn't converged here, so what it found has no "
                "derivative: let it iterate longer, precondition it, or write "
                "scipy.sparse.linalg.spsolve(A, b)"
            )
        numbers, _, _, weights = operands
        pattern, preconditioner = self.pattern, self.preconditioner
        if transposed:
            pattern = pattern.transposed
            if isinstance(preconditioner, Pattern):
                preconditioner = preconditioner.transposed
            elif preconditioner is not None and self.name not in _SYMMETRIC:
                preconditioner, weights = None, _NOTHING  # it may have no transpose
        tight: dict[str, Any] = {**dict(self.settings), "rtol": TIGHT}
        if "atol" in tight:
            tight["atol"] = 0.0
        tight.pop("maxiter", None)
        x, found = applied(IteratedSolve, (numbers, right, _NOTHING, weights), self.name, pattern,
                           self.layout, preconditioner, tuple(sorted(tight.items())))  # fmt: skip
        if guarded(found):
            return applied(StoredSolve, (numbers, right), pattern, False, ())[0]
        return x

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        (x, status), (g, _) = results, adjoints
        right = self._solved(operands, status, g, True)
        by_numbers = -sampled_product(self.pattern, right, x) if self.is_active[0] else None
        return by_numbers, right, None, None

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (x, status), (moved, right, _, _) = results, tangents
        change = None if moved is None else -stored_product(self.pattern, moved, x)
        right = total_of(right, change)
        return [None if right is None else self._solved(operands, status, right, False), None]


_SYMMETRIC = {"cg", "minres"}


def _solve(method: str, A: Any, b: Any, x0: Any, M: Any, settings: dict[str, Any]) -> Any:  # noqa: N803
    full = f"scipy.sparse.linalg.{method}"
    b = operand(b)
    if not (is_sparse(A) or isinstance(A, np.ndarray)):
        raise no_rule(f"{full} of {type(A).__name__} objects", "give it a sparse matrix, or ")
    matrix = of(A if is_sparse(A) else sparse().csr_array(A))
    n = matrix.shape[0]
    if matrix.shape != (n, n) or b.shape not in ((n,), (n, 1)):
        raise ValueError(f"shapes of A {matrix.shape} and b {b.shape} are incompatible")
    if any(is_held(value) for value in settings.values()):
        raise no_rule(f"{full} with an active tolerance", "stop it by plain numbers, or ")
    start = _NOTHING if x0 is None else np.reshape(operand(x0), -1)
    preconditioner: Preconditioner = None
    weights: Any = _NOTHING
    if M is not None and (is_sparse(M) or isinstance(M, np.ndarray)):
        stored = of(M if is_sparse(M) else sparse().csr_array(M))
        preconditioner, weights = stored._places()[0], stored._in_order()
    elif M is not None:
        preconditioner = Operator(M)
    pattern, numbers = matrix._places()[0], matrix._in_order()
    x, status = applied(
        IteratedSolve, (numbers, np.reshape(b, -1), start, weights), method, pattern,
        matrix.format, preconditioner, tuple(sorted(settings.items())),
    )  # fmt: skip
    return x, int(guarded(status))


def _register(method: str) -> None:
    @scipy_rule(f"scipy.sparse.linalg.{method}")
    def rule(A: Any, b: Any, x0: Any = None, *, rtol: Any = None, atol: Any = None,  # noqa: N803
             restart: Any = None, maxiter: Any = None, M: Any = None) -> Any:  # fmt: skip  # noqa: N803
        given = {"rtol": rtol, "atol": atol, "restart": restart, "maxiter": maxiter}
        settings = {key: value for key, value in given.items() if value is not None}
        return _solve(method, A, b, x0, M, settings)


for _method in ("bicg", "bicgstab", "cg", "cgs", "gcrotmk", "gmres", "lgmres", "minres", "qmr",
                "tfqmr"):  # fmt: skip
    _register(_method)
