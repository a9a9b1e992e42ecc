"""NumPy's functions of `numpy.emath`, whose results are complex where the real ones end.

Whether they are is read of the numbers, under guards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.functions.registry import complex_rule, rule
from tapegrad.record.pairs import is_complex


def _has_negative(x: Any) -> bool:
    return not is_complex(x) and bool(np.any(np.less(x, 0.0)))


def _is_beyond_one(x: Any) -> bool:
    return not is_complex(x) and bool(np.any(np.greater(np.absolute(x), 1.0)))


def _of_domain(function: Any, is_outside: Callable[[Any], bool]) -> Callable[[Any], Any]:
    return lambda x: function(np.add(x, 0j) if is_outside(x) else x)


_DOMAINS: dict[str, Callable[[Any], bool]] = {
    "sqrt": _has_negative, "log": _has_negative, "log2": _has_negative, "log10": _has_negative,
    "arccos": _is_beyond_one, "arcsin": _is_beyond_one, "arctanh": _is_beyond_one,
}  # fmt: skip
for _name, _is_outside in _DOMAINS.items():
    _recorder = _of_domain(getattr(np, _name), _is_outside)
    rule(getattr(np.emath, _name))(complex_rule(getattr(np.emath, _name))(_recorder))


@rule(np.emath.logn)
@complex_rule(np.emath.logn)
def _logn(n: Any, x: Any) -> Any:
    return np.emath.log(x) / np.emath.log(n)


@rule(np.emath.power)
@complex_rule(np.emath.power)
def _power(x: Any, p: Any) -> Any:
    return np.power(np.add(x, 0j) if _has_negative(x) else x, p)
