"""Values that are SciPy's own to the bit, of what is recorded as a composition of other rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block
from tapegrad.errors import BlockFailedError
from tapegrad.record.called import call
from tapegrad.record.linear.shaped import ShapedBlock
from tapegrad.record.scipy.recognised import is_held
from tapegrad.record.signals.scipys import scipys

CLOSE = 1e-8
"""How far the composition may be from SciPy's value, for the largest number or its square."""


class Pinned(ShapedBlock):
    """SciPy's value, with the derivatives of a composition that has the same but for rounding."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], full: str, which: int | None,
                 names: tuple[str, ...], further: tuple[Any, ...]) -> None:  # fmt: skip
        self.options = full, which, names, further
        self.full, self.which, self.names, self.further = full, which, names, further
        Block.__init__(self, full.rpartition(".")[2], shapes, (shapes[-1],), is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        given = dict(zip(self.names, operands[:-1], strict=True))
        found = scipys(self.full)(**given, **dict(self.further))
        found = np.asarray(found if self.which is None else found[self.which])
        if np.iscomplexobj(found):
            found = np.stack([found.real, found.imag])
        scale = max(np.max(np.abs(x), initial=0.0) for x in (found, *operands))
        is_known = np.isfinite(scale)
        if is_known and not np.allclose(found, operands[-1], 0.0, CLOSE * max(scale, scale**2)):
            raise BlockFailedError(f"what is known of {self.full} isn't what it gives here")
        return [found]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [*[None] * len(self.names), adjoints[0]]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [tangents[-1]]


def pinned(composed: Any, full: str, arguments: Mapping[str, Any], which: int | None = None) -> Any:
    """Return a composition, with the value that SciPy's function has for the same arguments.

    Parameters
    ----------
    composed : array
        Of complex numbers, a stack of their two parts.
    full : str
        The function's name.
    arguments : mapping
        Arrays, active or plain, and whatever is hashable.
    which : int, optional
        Which one of the function's results it is; by default it has one.
    """
    arrays = {key: x for key, x in arguments.items() if is_held(x) or isinstance(x, np.ndarray)}
    further = tuple((key, x) for key, x in arguments.items() if key not in arrays)
    operands = (*arrays.values(), composed)
    shapes = tuple(np.shape(x) for x in operands)
    names = tuple(arrays)
    return call(lambda active: Pinned(shapes, active, full, which, names, further), operands)[0]
