"""Sweeps of a finished tape that record: what they compute is appended to another tape.

They are driven by the rows' templates, so that nothing of the rows is compiled here. Each goes on
from a position for as long as there is room for what one record may append, and returns where it
has come to: whoever calls it makes room and calls again. An operation of which no operand is
active leaves no record.

The functions take pointers to the finished tape's head, to values and adjoints or tangents of its
slot 0, which are active numbers, and to the templates' places; and the other tape's address.
"""

from __future__ import annotations

import numpy as np
from numba import int64

from tapegrad.jit import jit_inline
from tapegrad.layout import CONSTANTS, COUNT_WORD, RECORDS
from tapegrad.memory import columns, counts, data, pointer, records
from tapegrad.ops import CODE, OPS
from tapegrad.record.appending import leave, value_of
from tapegrad.record.numba_operations import make_active
from tapegrad.record.templates import BOUNDS, LINES, MOST_LINES, NONE, RESULTS, W, X, Y, Z

MOST_RECORDS = MOST_LINES + 2
"""How many records one of the finished tape may append, its template's and two sums; as many
constants, since of two passive operands nothing is appended."""

_ADD, _MULTIPLY = CODE["add"], CODE["multiply"]
_CHAIN, _INPUT = CODE["chain"], CODE["input"]
_CAPACITY, _CONSTANT_CAPACITY = COUNT_WORD[RECORDS] + 1, COUNT_WORD[CONSTANTS] + 1
_IS_UNARY = np.array([op.arity == 1 for op in OPS], np.uint8)


@jit_inline
def _limits(address):
    """Return up to which slot and which constant there is room for one more record's."""
    head = pointer(address, int64)
    return head[_CAPACITY] - MOST_RECORDS, head[_CONSTANT_CAPACITY] - MOST_RECORDS


@jit_inline
def _append(tape, slot, constant, code, u, i, v, j):
    """Append an operation of two numbers, given by value and slot, one of which is active.

    A negative slot is a constant's that is on the tape. Returns the value, the slots that the
    operands have now, and the next constant.
    """
    op, a, b, value, constants = tape
    if i == 0:
        constants[constant] = u
        i = ~constant
        constant += 1
    if j == 0:
        constants[constant] = v
        j = ~constant
        constant += 1
    result = value_of(code, u, v)
    op[slot], a[slot], b[slot], value[slot] = code, i, j, result
    return result, i, j, constant


@jit_inline
def _run(line, stop, values, slots, tape, slot, constant):
    """Run a stretch of a template; return the next slot and the next constant."""
    op, a, b, value, _ = tape
    lines = data(LINES)
    for k in range(line, stop):
        code, left = int64(lines[4 * k]), lines[4 * k + 1]
        right, place = lines[4 * k + 2], lines[4 * k + 3]
        u, i = values[left], slots[left]
        v, j = values[right], slots[right]
        slots[place] = 0
        if right == NONE:
            values[place] = value_of(code, u, 0.0)
            if i > 0:
                op[slot], a[slot], b[slot], value[slot] = code, i, 0, values[place]
                slots[place] = slot
                slot += 1
            continue
        if code == _CHAIN and (i <= 0 or j <= 0):
            # A passive factor makes less of it: nothing, the other one, or a plain product,
            # since a finite factor other than zero makes 0 * inf impossible on its own side.
            factor, other = (u, right) if i <= 0 else (v, left)
            if factor == 0.0:
                values[place] = 0.0
                continue
            if factor == 1.0:
                values[place], slots[place] = values[other], slots[other]
                continue
            if factor - factor == 0.0:
                code = _MULTIPLY
        if i <= 0 and j <= 0:
            values[place] = value_of(code, u, v)
            continue
        result, slots[left], slots[right], constant = _append(
            tape, slot, constant, code, u, i, v, j
        )
        values[place], slots[place] = result, slot
        slot += 1
    return slot, constant


@jit_inline
def _sum(s, value, i, address, tape, slot, constant):
    """Return an active number plus another, given by value and slot; and what comes next."""
    if s.slot == 0 and s.value == 0.0:
        return make_active(value, i, address) if i > 0 else make_active(value, 0, 0), slot, constant
    if i <= 0 and value == 0.0:
        return s, slot, constant
    if s.slot == 0 and i <= 0:
        return make_active(s.value + value, 0, 0), slot, constant
    total, _, _, constant = _append(tape, slot, constant, _ADD, s.value, s.slot, value, i)
    return make_active(total, slot, address), slot + 1, constant


@jit_inline
def forward(head, address, numbers, position, end):
    """Record the values from `position` to `end`, the inputs' set."""
    _, op, a, b = records(head)
    tape = columns(address)
    slot, constant = counts(address)
    last_slot, last_constant = _limits(address)
    is_unary = data(_IS_UNARY)
    for i in range(position, end):
        code = int64(op[i])
        if code == _INPUT:
            continue
        if slot > last_slot or constant > last_constant:
            leave(address, slot, constant)
            return i
        x, y = numbers[a[i]], numbers[b[i]]
        if x.slot == 0 and y.slot == 0:
            numbers[i] = make_active(value_of(code, x.value, y.value), 0, 0)
        elif is_unary[code]:
            value = value_of(code, x.value, 0.0)
            tape[0][slot], tape[1][slot], tape[2][slot], tape[3][slot] = code, x.slot, 0, value
            numbers[i] = make_active(value, slot, address)
            slot += 1
        else:
            value, _, _, constant = _append(
                tape, slot, constant, code, x.value, x.slot, y.value, y.slot
            )
            numbers[i] = make_active(value, slot, address)
            slot += 1
    leave(address, slot, constant)
    return end


@jit_inline
def _operands(values, slots, x, y, z):
    values[X], slots[X] = x.value, x.slot
    values[Y], slots[Y] = y.value, y.slot
    values[Z], slots[Z] = z.value, z.slot


@jit_inline
def reverse(head, address, numbers, adjoints, values, slots, position, end):
    """Record what the adjoints from slot `position` down to one after `end` give the operands'."""
    _, op, a, b = records(head)
    tape = columns(address)
    slot, constant = counts(address)
    last_slot, last_constant = _limits(address)
    bounds, results = data(BOUNDS), data(RESULTS)
    for i in range(position, end, -1):
        w = adjoints[i]
        if w.slot == 0 and w.value == 0.0:
            continue
        if slot > last_slot or constant > last_constant:
            leave(address, slot, constant)
            return i
        code = int64(op[i])
        _operands(values, slots, numbers[a[i]], numbers[b[i]], numbers[i])
        values[W], slots[W] = w.value, w.slot
        for part in range(3):
            operand = int64(a[i] if part == 1 else b[i])
            place = results[3 * code + part]
            if part > 0 and (place == NONE or operand <= 0):
                continue
            line = bounds[4 * code + part]
            stop = bounds[4 * code + part + 1]
            slot, constant = _run(line, stop, values, slots, tape, slot, constant)
            if part > 0:
                adjoints[operand], slot, constant = _sum(
                    adjoints[operand], values[place], slots[place], address, tape, slot, constant
                )
    leave(address, slot, constant)
    return end


@jit_inline
def tangent(head, address, numbers, tangents, values, slots, position, end):
    """Record the tangents from `position` to `end`, the inputs' set."""
    _, op, a, b = records(head)
    tape = columns(address)
    slot, constant = counts(address)
    last_slot, last_constant = _limits(address)
    bounds, results = data(BOUNDS), data(RESULTS)
    zero = make_active(0.0, 0, 0)
    for i in range(position, end):
        code = int64(op[i])
        if code == _INPUT:
            continue
        t = tangents[a[i]] if a[i] > 0 else zero
        u = tangents[b[i]] if b[i] > 0 else zero
        tangents[i] = zero
        if t.slot == 0 and u.slot == 0 and t.value == 0.0 and u.value == 0.0:
            continue
        if slot > last_slot or constant > last_constant:
            leave(address, slot, constant)
            return i
        _operands(values, slots, numbers[a[i]], numbers[b[i]], numbers[i])
        for part in range(3):
            w = t if part == 1 else u
            place = results[3 * code + part]
            if part > 0 and (place == NONE or (w.slot == 0 and w.value == 0.0)):
                continue
            values[W], slots[W] = w.value, w.slot
            line = bounds[4 * code + part]
            stop = bounds[4 * code + part + 1]
            slot, constant = _run(line, stop, values, slots, tape, slot, constant)
            if part > 0:
                tangents[i], slot, constant = _sum(
                    tangents[i], values[place], slots[place], address, tape, slot, constant
                )
    leave(address, slot, constant)
    return end
