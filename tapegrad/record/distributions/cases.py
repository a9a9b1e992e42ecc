"""Cases of a formula at a single number, where the formula for it drops a derivative.

SciPy writes `where(c != 0, log1p(c * x) / c, x)`: at c = 0 that has the right value, and no
derivative by c. Where a formula has such a case for a number that depends on the input, it's
refused at that point, and guarded against coming to it; the formulas of `case_formulas` have
none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.ops import CODE
from tapegrad.record.active import guard_all
from tapegrad.record.dependence import DIFFERENTIABLE, marks_of
from tapegrad.record.open_tape import OpenTape

_EQUALITIES = (CODE["equal"], CODE["not_equal"])


def at_a_case(tape: OpenTape, start: int) -> float | None:
    """Guard the comparisons with numbers since a slot; return a number that one is equal to."""
    marks = marks_of(tape)  # brings all records to the columns
    columns = tape.held()
    op, a, b = (columns[name][start:] for name in ("op", "a", "b"))
    found = np.flatnonzero((op == _EQUALITIES[0]) | (op == _EQUALITIES[1]))
    numbers = []
    for k in found.tolist():
        slot, other = (int(a[k]), int(b[k])) if a[k] > 0 else (int(b[k]), int(a[k]))
        number = _constant(columns, other)
        if number is not None and np.isfinite(number) and marks[slot] == DIFFERENTIABLE:
            numbers.append((start + k, float(columns["value"][slot]), number))
    at = next((number for _, value, number in numbers if value == number), None)
    if at is None and numbers:
        slots = np.array([slot for slot, _, _ in numbers], np.int64)
        guard_all(tape, slots, columns["value"][slots].copy())
    return at


def _constant(columns: Any, operand: int) -> float | None:
    """Return the number that an operand means, if it's a constant."""
    return float(columns["constants"][~operand]) if operand < 0 else None
