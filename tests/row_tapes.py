"""Tapes of one operation each, in loops, outside of them and at edge values; and their points."""

import itertools

import numpy as np

from tapegrad.ops import CODE, OPS
from tapegrad.record.open_tape import OpenTape

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, 5e-324, 1e308, np.inf, -np.inf, np.nan]
FINITE = [x for x in EDGES if np.isfinite(x)]
ROWS = [op for op in OPS if op.arity]
CHEAP = [op for op in ROWS if "special" not in op.value]


def row_in_loops(op, n, is_summed=False):
    """Return a tape of an operation on inputs, in a loop, in a nest and outside of both.

    Its outputs are the results or, so that there is a Hessian, their weighted sum.
    """
    tape = OpenTape()
    inputs = tape.input_block(np.full(2 * n, 0.5)).tolist()
    code = op.code

    def record(x, y):
        return tape.append(code, x, y if op.arity == 2 else 0, 0.5)  # a replay fills in values

    results = [record(inputs[k], inputs[n + k]) for k in range(n)]
    for k in range(n):
        product = tape.append(CODE["multiply"], results[k], inputs[n - 1 - k], 0.0)
        results.append(record(inputs[k], product))
    results.append(record(tape.constant(1.0 if op.whole == "x" else 0.5), inputs[0]))
    results.append(record(inputs[1], tape.constant(2.0)))
    if is_summed:
        total = tape.constant(0.0)
        for k, result in enumerate(results):
            term = tape.append(CODE["multiply"], result, tape.constant(0.5 + 0.25 * k), 0.0)
            total = tape.append(CODE["add"], total, term, 0.0)
        results = [total]
    return tape.end(results)


def point_in_domain(op, n):
    """Return a point where the operation is defined, at random."""
    rng = np.random.default_rng(op.code)
    sides = [rng.uniform(*op.domain[k % len(op.domain)], n) for k in range(2)]
    if op.whole:
        sides["xy".index(op.whole)] = np.floor(1.0 + 3.0 * rng.random(n))
    return np.concatenate(sides)


def row_at_pairs(op, n, passive=(None, 0, 1)):
    """Return a tape of an operation on inputs and beside constants; no lane meets another.

    It has `n` results for each of `passive`: which operand is a constant there, if one is.
    """
    tape = OpenTape()
    inputs = tape.input_block(np.full(op.arity * n, 0.5)).reshape(op.arity, n).tolist()
    results = []
    for place in passive[: 1 if op.arity == 1 else None]:
        operands = [*inputs, [0] * n][:2]
        if place is not None:
            operands[place] = [tape.constant(FINITE[k % len(FINITE)]) for k in range(n)]
        results += [tape.append(op.code, a, b, 0.5) for a, b in zip(*operands, strict=True)]
    return tape.end(results)


def edges_of(op):
    """Return every pair of edge values, or every one, as a point of the tape of as many pairs."""
    return np.array(list(itertools.product(EDGES, repeat=op.arity))).T.ravel()
