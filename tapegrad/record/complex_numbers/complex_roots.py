"""Roots of polynomials whose coefficients depend on the input, real ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.record.complex_numbers.complex_blocks import ComplexBlock, as_complex, of_block
from tapegrad.record.functions.operands import array_on, tape_of, truth
from tapegrad.record.functions.registry import complex_rule, rule
from tapegrad.record.pairs import is_complex


class Roots(ComplexBlock):
    """Roots of polynomials; the options are whether the coefficients are real, and the roots."""

    title = "roots"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return one root less than coefficients."""
        (p,) = operand_shapes
        return [((p[0] - 1,), True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's roots."""
        (p,) = operands
        has_real, has_real_roots = self.options
        found = np.roots(p.real if has_real else p)
        if np.iscomplexobj(found) == has_real_roots:
            raise BlockFailedError("the roots of a polynomial are of another type here")
        return [found]

    def _rates(self, p: Any, roots: Any) -> Any:
        """Return the derivatives of the roots by the coefficients, one row a root."""
        order = p.shape[0] - 1
        powers = np.stack([roots**k for k in range(order, -1, -1)], axis=-1)
        slopes = np.sum(powers[:, 1:] * (p[:-1] * np.arange(order, 0, -1)), axis=-1)
        return -powers / slopes[:, np.newaxis]

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [adjoints[0] @ np.conjugate(self._rates(operands[0], results[0]))]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [self._rates(operands[0], results[0]) @ tangents[0]]


@rule(np.roots)
@complex_rule(np.roots)
def _roots(p: Any) -> Any:
    has_real = not is_complex(p)
    p = array_on(tape_of(p), p) if has_real else as_complex(p)
    p = np.atleast_1d(p)
    if p.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    (places,) = np.nonzero(truth(p != 0.0))
    if not len(places):
        return np.array([])
    n_zeros = len(p) - places[-1] - 1
    p = p[places[0] : places[-1] + 1]
    plain = np.roots(p.primal)
    found = plain
    if len(plain):
        found = of_block(Roots, [p], has_real, not np.iscomplexobj(plain))[0]
        found = found if np.iscomplexobj(plain) else found.real
    return np.concatenate([found, np.zeros(n_zeros)]) if n_zeros else found
