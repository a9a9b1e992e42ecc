"""Multilinear forms, and blocks that are their gradients by one argument at the others.

A filter y = f(x, w) that is linear in each operand is the gradient of <y, f(x, w)> by y; what its
derivatives are made of are the gradients of the same form by x and by w. So a family of filters
is one class with a kernel for each argument, and blocks of it have blocks of it for derivatives,
to any order. Kernels take and return plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Block, Shapes
from tapegrad.record.called import call
from tapegrad.record.linear.shaped import ShapedBlock, total_of

Numbers = npt.NDArray[np.float64]


class Form:
    """A multilinear form of arrays of given shapes, the last of which is what a function gives.

    Whoever derives from this gives `gradient`. It may be affine in the first argument, as filters
    are that see a constant beyond an image's edge: its derivatives then are `homogeneous`.

    Parameters
    ----------
    shapes : tuple of tuple of int
        Of the arguments.
    *options : hashable
        What else tells one from another.
    """

    name: str

    def __init__(self, shapes: Shapes, *options: Any) -> None:
        self.shapes, self.options = shapes, options

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        """Return the gradient by argument `k`; what is given for that one isn't read."""
        raise NotImplementedError

    @property
    def homogeneous(self) -> Form:
        """The form that is linear in the first argument, too."""
        return self

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Form) and self._key == other._key

    def __hash__(self) -> int:
        return hash((type(self), self._key))

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.name, self.shapes, self.options


class Gradient(ShapedBlock):
    """The gradient of a form by its argument `k`, of the others."""

    def __init__(self, form: Form, k: int, is_active: tuple[bool, ...]) -> None:
        self.form, self.k, self.options = form, k, (form, k)
        others = form.shapes[:k] + form.shapes[k + 1 :]
        name = form.name if k == len(form.shapes) - 1 else f"{form.name}.{k}"
        Block.__init__(self, name, others, (form.shapes[k],), is_active)

    def _arguments(self, operands: Sequence[Any], own: Any = None) -> list[Any]:
        return [*operands[: self.k], own, *operands[self.k :]]

    def _derivative_form(self, k: int) -> Form:
        return self.form if k else self.form.homogeneous

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return [self.form.gradient(self.k, self._arguments(operands))]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        arguments, found = self._arguments(operands, adjoints[0]), []
        form = self._derivative_form(self.k)
        for position, is_active in enumerate(self.is_active):
            k = position + (position >= self.k)
            found.append(moved(form, k, arguments, self.k) if is_active else None)
        return found

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        terms = []
        for position, tangent in enumerate(tangents):
            if tangent is not None:
                k = position + (position >= self.k)
                arguments = self._arguments(operands)
                arguments[k] = tangent
                terms.append(moved(self._derivative_form(k), self.k, arguments, k))
        return [total_of(*terms)]


def gradient(form: Form, k: int, arguments: Sequence[Any]) -> Any:
    """Return a form's gradient by argument `k` at plain or active arrays, recorded if need be."""
    others = [argument for j, argument in enumerate(arguments) if j != k]
    return call(lambda is_active: Gradient(form, k, is_active), others)[0]


def applied(form: Form, *operands: Any) -> Any:
    """Return what the function that a form is of gives, recorded if an operand is active."""
    return gradient(form, len(form.shapes) - 1, (*operands, None))


def moved(form: Form, k: int, arguments: Sequence[Any], by: int) -> Any:
    """Return a gradient of which argument `by` is an adjoint or a tangent.

    Where that is zero it contributes zero, whatever it's multiplied by.
    """
    others = [j for j in range(len(arguments)) if j not in (k, by)]
    plain = not any(j != k and type(x) is not np.ndarray for j, x in enumerate(arguments))
    if not plain or all(np.isfinite(arguments[j]).all() for j in others):
        return gradient(form, k, arguments)
    cleaned, marks = list(arguments), list(arguments)
    for j in others:
        is_odd = ~np.isfinite(arguments[j])
        cleaned[j], marks[j] = np.where(is_odd, 0.0, arguments[j]), is_odd.astype(np.float64)
    marks[by] = (arguments[by] != 0.0).astype(np.float64)
    reached = form.homogeneous.gradient(k, marks) > 0.5
    return np.where(reached, np.nan, form.gradient(k, cleaned))
