"""Functions that choose among elements or read truth values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.ops import CODE
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray, apply, as_active_data, tapes_in, wrap
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.nesting import innermost


@rule(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if len(branches) != 2:
        truth = condition.truth() if isinstance(condition, ActiveArray) else condition
        return np.where(np.asarray(truth))
    x, y = branches
    tape = innermost(tapes_in(condition, x, y))
    if isinstance(condition, Active | ActiveArray):
        return apply(CODE["add"], apply(CODE["keep"], condition, x),
                     apply(CODE["drop"], condition, y))  # fmt: skip
    chosen = np.where(condition, as_active_data(tape, x), as_active_data(tape, y))
    return wrap(tape, chosen)


@rule(np.clip, method="clip")
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None,
          max: Any = None) -> Any:  # fmt: skip
    lower, upper = (a_min if min is None else min), (a_max if max is None else max)
    clipped = a if lower is None else np.maximum(a, lower)
    clipped = clipped if upper is None else np.minimum(clipped, upper)
    return store(out, clipped, "clip")


@rule(np.any, method="any")
def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return a.truth().any(axis=axis, keepdims=keepdims)


@rule(np.all, method="all")
def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return a.truth().all(axis=axis, keepdims=keepdims)
