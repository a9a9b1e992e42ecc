"""Constants folded, and identities that are exact in IEEE arithmetic.

`IDENTITIES` is the table: what holds for every number, the zeros of either sign, the infinities
and NaN included. `x + 0.0` isn't there, which makes 0.0 of -0.0; `x * 0.0` isn't, which is NaN
for an infinity. A new identity is a new line; the tests try each on all those numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, types

from tapegrad import generated
from tapegrad.blocks import CALL
from tapegrad.jit import Kernel
from tapegrad.memory import columns, counts, data, shift
from tapegrad.ops import CODE
from tapegrad.passes.building import BYTES, FLOATS, INTEGERS, rebuilt, room
from tapegrad.passes.matching import LITERAL, OPERAND, OPERATION, Identity, source
from tapegrad.rules import evaluate_float
from tapegrad.tape import Tape

INPUT = CODE["input"]

# fmt: off
IDENTITIES: tuple[Identity, ...] = (
    ("add(x, -0.0)",                     "x"),
    ("add(-0.0, x)",                     "x"),
    ("add(x, negative(y))",              "subtract(x, y)"),
    ("add(negative(x), y)",              "subtract(y, x)"),
    ("subtract(x, 0.0)",                 "x"),
    ("subtract(-0.0, x)",                "negative(x)"),
    ("subtract(x, negative(y))",         "add(x, y)"),
    ("multiply(x, 1.0)",                 "x"),
    ("multiply(1.0, x)",                 "x"),
    ("multiply(x, -1.0)",                "negative(x)"),
    ("multiply(-1.0, x)",                "negative(x)"),
    ("multiply(negative(x), negative(y))", "multiply(x, y)"),
    ("divide(x, 1.0)",                   "x"),
    ("divide(x, -1.0)",                  "negative(x)"),
    ("divide(negative(x), negative(y))", "divide(x, y)"),
    ("negative(negative(x))",            "x"),
    ("positive(x)",                      "x"),
    ("square(negative(x))",              "square(x)"),
    ("absolute(negative(x))",            "absolute(x)"),
    # A power of 2.0 is no square: the library's pow may round otherwise. `powi` multiplies.
    ("power(x, 1.0)",                    "x"),
    ("power(x, 0.0)",                    "1.0"),
    ("power(x, -0.0)",                   "1.0"),
    ("power(1.0, x)",                    "1.0"),
    ("powi(x, 0.0)",                     "1.0"),
    ("powi(x, -0.0)",                    "1.0"),
    ("powi(x, 1.0)",                     "x"),
    ("powi(x, 2.0)",                     "square(x)"),
    # What derivatives are made of, and the choices that a constant condition decides.
    ("chain(x, 1.0)",                    "x"),
    ("chain(1.0, x)",                    "x"),
    ("chain(x, -1.0)",                   "negative(x)"),
    ("chain(-1.0, x)",                   "negative(x)"),
    ("keep(0.0, x)",                     "-0.0"),
    ("keep(1.0, x)",                     "x"),
    ("keep(x, -0.0)",                    "-0.0"),
    ("drop(0.0, x)",                     "x"),
    ("drop(1.0, x)",                     "-0.0"),
    ("drop(x, -0.0)",                    "-0.0"),
    ("logical_and(x, 0.0)",              "0.0"),
    ("logical_and(0.0, x)",              "0.0"),
    ("logical_or(x, 1.0)",               "1.0"),
    ("logical_or(1.0, x)",               "1.0"),
    ("logical_not(equal(x, y))",         "not_equal(x, y)"),
    ("logical_not(not_equal(x, y))",     "equal(x, y)"),
)
# fmt: on

_module: Any = generated.load("identities", source(IDENTITIES))
rewritten = _module.rewritten


def apply_identities(tape: Tape) -> Tape:
    """Fold records of constants, and replace what an identity says is simpler.

    In one loop from the first record to the last, a record's operands are replaced by what they
    became; if all are constants, the sweeps' own function evaluates it; else identities are
    applied for as long as one matches. Guards on constants are dropped: they always hold. A
    `stop` is never replaced, unless by the constant it is of.

    Preserves values to the bit, but for a NaN's sign and payload; derivatives up to rounding,
    since a record less is an adjoint that isn't summed apart; the order of inputs, outputs and
    guards.
    """
    records = room(tape)
    n_constants, n = len(tape.constants), len(tape)
    pool = np.empty(n_constants + n)
    pool[:n_constants] = tape.constants
    target = np.arange(-n_constants, n, dtype=np.int32)
    count, used = _apply.run(tape.address, *records, pool, target)
    return rebuilt(tape, records, count, pool[:used], target)


def _apply_identities(address, op, a, b, value, pool, target):
    n, k = counts(address)
    old_op, old_a, old_b, old_value, _ = columns(address)
    new = shift(data(target), k)
    new_op, new_a, new_b = data(op), data(a), data(b)
    bits = data(pool.view(np.int64))
    m = 1
    for i in range(1, n):
        code = int64(old_op[i])
        if code == INPUT:
            new[i] = m
        if code == CALL:  # its operands are written by `rebuilt`
            new_op[m], new_a[m], new_b[m], value[m] = code, old_a[i], 0, old_value[i]
            new[i] = m
            m += 1
            continue
        x, y = int64(new[old_a[i]]), int64(new[old_b[i]])
        kind, literal = OPERATION, 0.0
        if x < 0 and y <= 0:
            kind, literal = LITERAL, evaluate_float(code, pool[~x], pool[~y] if y < 0 else 0.0)
        while kind == OPERATION:
            kind, code, x, y, literal = rewritten(code, x, y, new_op, new_a, new_b, bits)
        if kind == OPERAND:
            new[i] = x
        elif kind == LITERAL:
            pool[k] = literal
            new[i] = ~k
            k += 1
        else:
            new_op[m], new_a[m], new_b[m], value[m] = code, x, y, old_value[i]
            new[i] = m
            m += 1
    return m, k


_apply = Kernel(
    _apply_identities,
    types.UniTuple(int64, 2)(int64, BYTES, INTEGERS, INTEGERS, FLOATS, FLOATS, INTEGERS),
)
