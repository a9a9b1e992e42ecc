"""Recursive filters along the last axis, as blocks: SciPy's lfilter and sosfilt.

With normalised coefficients and K of them on the longer side, an lfilter of N samples is a full
convolution with b, of N + K - 1 numbers, to the first of which the initial state is added; then
A y = w for the first N, where A is the convolution with a; the final state is what is left of w
less what y gives beyond the end. Derivatives are filters again, run backward for adjoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block
from tapegrad.record.called import call
from tapegrad.record.linear.shaped import ShapedBlock
from tapegrad.record.signals.multilinear import applied, moved
from tapegrad.record.signals.scipys import scipys
from tapegrad.record.signals.taps import form_of


class LFilter(ShapedBlock):
    """lfilter by `b` and by `a` without its first number, 1, of lines; with a state if given."""

    def __init__(self, operand_shapes: Any, is_active: tuple[bool, ...]) -> None:
        self.options = ()
        lines = operand_shapes[2]
        results = (lines, operand_shapes[3]) if len(operand_shapes) == 4 else (lines,)
        Block.__init__(self, "lfilter", operand_shapes, results, is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        b, a, x, *zi = operands
        found = scipys("scipy.signal.lfilter")(b, np.append(1.0, a), x, -1, *zi)
        return found if zi else [found]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return pulled(operands, results[0], *adjoints, is_active=self.is_active)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return pushed(operands, results[0], tangents)[: len(results)]


def lfiltered(b: Any, a: Any, x: Any, *zi: Any) -> Any:
    """Return the filtered lines, and their final state if there's an initial one."""
    operands = (b, a, x, *zi)
    shapes = tuple(np.shape(operand) for operand in operands)
    return call(lambda is_active: LFilter(shapes, is_active), operands)


def _padded(x: Any, before: int, after: int) -> Any:
    """Return lines with zeros before and after them."""
    stack = np.shape(x)[:-1]
    return np.concatenate([np.zeros((*stack, before)), x, np.zeros((*stack, after))], axis=-1)


def _solved(a: Any, x: Any, *zi: Any) -> Any:
    """Return y of A y = x."""
    return lfiltered(np.ones(1), a, x, *zi)[0]


def pulled(operands: Sequence[Any], y: Any, by: Any, by_state: Any = None, *,
           is_active: Sequence[bool]) -> list[Any]:  # fmt: skip
    """Return the adjoints of b, a, x and, if it's an operand, the state, by those of results."""
    b, a, x, *zi = operands
    order = max(len(b) - 1, len(a))
    if by_state is None and not any(is_active[:2]):  # the same filter, backward
        return [None, None, lfiltered(b, a, by[..., ::-1])[0][..., ::-1]]
    states: tuple[Any, ...] = ()
    if by_state is None:
        by_state = np.zeros((*np.shape(x)[:-1], order))
    else:
        # What the final state lacks of the last results is what a filter run backward starts from.
        turned, longest = by_state[..., ::-1], _padded(a, 1, order - len(a))
        start = -applied(form_of(turned, longest), turned, longest)[..., order:]
        states = (start[..., : len(a)],)
    by_sides = _solved(a, by[..., ::-1], *states)[..., ::-1] if len(a) else by
    by_sides = np.concatenate([by_sides, by_state], axis=-1)
    found: list[Any] = []
    for position in range(3):
        if not is_active[position]:
            found.append(None)
        elif position == 1:
            whole = np.append(1.0, np.zeros(order))
            form = form_of(y, whole)
            found.append(-moved(form, 1, [y, None, by_sides], 2)[1 : 1 + len(a)])
        else:
            whole = _padded(b, 0, order + 1 - len(b))
            form, arguments = form_of(x, whole), [x, whole, by_sides]
            k = 1 if position == 0 else 0
            arguments[k] = None
            gained = moved(form, k, arguments, 2)
            found.append(gained[: len(b)] if position == 0 else gained)
    return found + [by_sides[..., :order] for _ in zi]


def pushed(operands: Sequence[Any], y: Any, tangents: Sequence[Any]) -> list[Any]:
    """Return the tangents of the result and of the final state."""
    b, a, x, *_ = operands
    of_b, of_a, of_x, *of_state = tangents
    size, order = np.shape(x)[-1], max(len(b) - 1, len(a))
    sides = np.zeros((*np.shape(x)[:-1], size + order))

    def response(lines: Any, taps: Any, by: int) -> Any:
        whole = _padded(taps, 0, order + 1 - len(taps))
        return moved(form_of(lines, whole), 2, [lines, whole, None], by)

    if of_b is not None:
        sides = sides + response(x, of_b, 1)
    if of_x is not None:
        sides = sides + response(of_x, b, 0)
    if of_a is not None:
        sides = sides - response(y, _padded(of_a, 1, 0), 1)
    if of_state and of_state[0] is not None:
        sides = sides + _padded(of_state[0], 0, size)
    of_y = _solved(a, sides[..., :size]) if len(a) else sides[..., :size]
    return [of_y, (sides - response(of_y, _padded(a, 1, 0), 0))[..., size:]]


# --- sections of second order ---------------------------------------------------------------------


class SosFilter(ShapedBlock):
    """sosfilt of lines by sections b0 b1 b2 a1 a2; with states of shape (sections, ..., 2)."""

    def __init__(self, operand_shapes: Any, is_active: tuple[bool, ...]) -> None:
        self.options = ()
        lines = operand_shapes[1]
        results = (lines, operand_shapes[2]) if len(operand_shapes) == 3 else (lines,)
        Block.__init__(self, "sosfilt", operand_shapes, results, is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        sections, x, *zi = operands
        whole = np.insert(sections, 3, 1.0, axis=1)
        if not zi:
            return [scipys("scipy.signal.sosfilt")(whole, x)]
        return list(scipys("scipy.signal.sosfilt")(whole, x, -1, *zi))

    def _sections(self, operands: Sequence[Any]) -> list[Any]:
        """Return each section's operands and result."""
        sections, x, *states = operands
        found = []
        for k in range(self.operand_shapes[0][0]):
            own = (sections[k, :3], sections[k, 3:], x, *(state[k] for state in states))
            x = lfiltered(*own)[0]
            found.append((own, x))
        return found

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (by, *by_states), by_sections, by_starts = adjoints, [], []
        of_sections = self.is_active[0]
        passed = [of_sections, of_sections, True]
        sections = self._sections(operands)
        for k in reversed(range(len(sections))):
            own, y = sections[k]
            ends = [state[k] for state in by_states]
            by_b, by_a, by, *start = pulled(own, y, by, *ends, is_active=passed)
            if of_sections:
                by_sections.append(np.concatenate([by_b, by_a]))
            by_starts += start
        found = [np.stack(by_sections[::-1]) if of_sections else None, by]
        return found + ([np.stack(by_starts[::-1])] if by_starts else [])

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (of_sections, of_x, *of_states), of_ends = tangents, []
        for k, (own, y) in enumerate(self._sections(operands)):
            taps = (None, None) if of_sections is None else (of_sections[k, :3], of_sections[k, 3:])
            starts = [None if state is None else state[k] for state in of_states]
            of_x, end = pushed(own, y, (*taps, of_x, *starts))
            of_ends.append(end)
        return [of_x, np.stack(of_ends)][: len(results)]


def sosfiltered(sections: Any, x: Any, *zi: Any) -> Any:
    """Return the filtered lines, and their final states if there are initial ones."""
    operands = (sections, x, *zi)
    shapes = tuple(np.shape(operand) for operand in operands)
    return call(lambda is_active: SosFilter(shapes, is_active), operands)
