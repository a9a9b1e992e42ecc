"""Reductions: chains of one operation along axes, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.array import apply, as_active_data, tapes_in, wrap
from tapegrad.record.functions.registry import check_dtype, rule, store
from tapegrad.record.native import ACTIVE
from tapegrad.record.nesting import innermost


def _reduced(name: str, identity: float | None) -> Callable[..., Any]:
    code = CODE[name]

    def reduce(a: Any, axis: Any = None, dtype: Any = None, out: Any = None,
               keepdims: Any = False, initial: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        check_dtype(dtype, name)
        if any(value is not True and value is not np._NoValue for value in kwargs.values()):
            raise UnsupportedFunctionError(f"where= of a reduction ({name}) has no rule")
        tape = innermost(tapes_in(a, initial))
        data = as_active_data(tape, a)
        named = range(data.ndim) if axis is None else np.atleast_1d(axis).tolist()
        axes = sorted(k % data.ndim for k in named) if data.ndim else []
        kept = tuple(1 if k in axes else n for k, n in enumerate(data.shape))
        if initial in (None, np._NoValue):
            initial = None
        for k in reversed(axes):
            if data.shape[k] == 0:
                if identity is None and initial is None:
                    raise ValueError(f"zero-size array to reduction operation {name} which has "
                                     "no identity")  # fmt: skip
                empty = np.zeros(data.shape[:k] + data.shape[k + 1 :], ACTIVE)
                empty["value"] = identity if initial is None else initial
                data = empty
            else:
                data = elementwise.reduce(tape, code, data, k)
        result = wrap(tape, data.reshape(kept) if keepdims is True else data)
        result = result if initial is None else apply(code, initial, result)
        return store(out, result, name)

    return reduce


_sum = rule(np.sum, method="sum")(_reduced("add", 0.0))
_prod = rule(np.prod, method="prod")(_reduced("multiply", 1.0))


def _extremum(name: str) -> Callable[..., Any]:
    reduce = _reduced(name, None)

    def extremum(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
                 initial: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        return reduce(a, axis, None, out, keepdims, initial, **kwargs)

    return extremum


_max = rule(np.max, np.amax, method="max")(_extremum("maximum"))
_min = rule(np.min, np.amin, method="min")(_extremum("minimum"))


@rule(np.mean, method="mean")
def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
          **kwargs: Any) -> Any:  # fmt: skip
    total = _sum(a, axis, dtype, None, keepdims, **kwargs)
    count = a.size / max(getattr(total, "size", 1), 1)
    mean = total / count if count else total * np.nan
    return store(out, mean, "mean")
