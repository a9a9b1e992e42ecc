"""Values whose derivative is taken to be zero."""

from __future__ import annotations

from typing import Any

from tapegrad.ops import CODE
from tapegrad.record.active import Active, unary
from tapegrad.record.arithmetic import apply
from tapegrad.record.array import ActiveArray
from tapegrad.record.pairs import Pair
from tapegrad.tree import map_leaves


def stop_gradient(x: Any) -> Any:
    """Return `x` with a derivative of zero, to every order.

    Its value is still that of the point: a replay computes it anew. What is made of such numbers
    alone gives its plain value to whatever asks for one, as `float` does and functions that know
    no active numbers: the recording then holds for that value, and is replaced where it's another.

    Parameters
    ----------
    x : float, array or structure of them

    Returns
    -------
    Of the structure of `x`.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.grad(lambda x: x * tg.stop_gradient(x))(3.0)
    3.0
    """
    return map_leaves(_stop, x)


def _stop(leaf: Any) -> Any:
    if isinstance(leaf, Pair):
        return leaf.mapped(_stop)
    if isinstance(leaf, Active):
        return unary(CODE["stop"], leaf)
    return apply(CODE["stop"], leaf) if isinstance(leaf, ActiveArray) else leaf
