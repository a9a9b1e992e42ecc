"""Tapes written by hand or drawn at random, and what their replays and sweeps return."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tapegrad.blocks import Block
from tapegrad.ops import BY_NAME
from tapegrad.record.active import evaluate
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length

HERE = (lambda: 0).__code__


class Named(Block):
    """A block that has a name and sizes: what a tape asks of one that nobody evaluates."""

    def __init__(self, name, n_operands, n_results):
        super().__init__(name, ((n_operands,),), ((n_results,),), (True,))

    def __eq__(self, other):
        return isinstance(other, Named) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))


SOLVE = Named("solve", 3, 2)


def calling():
    """A tape that calls a block: 2 x0 - x1 and another number, times one another."""
    d = Draft(3.0, 5.0)
    u, v = d.call(SOLVE, d.x[0], 2.0, d.x[1], values=[1.0, 0.25])
    d.end(d.multiply(u, v))
    return d.tape


class Draft:
    """A tape being written: an operation's name is a method that appends it and returns its slot.

    Operands are slots or, as floats, constants.
    """

    def __init__(self, *inputs):
        self.tape = OpenTape()
        self.x = [self.tape.input(value) for value in inputs]
        self._values = {0: 0.0, **dict(zip(self.x, inputs, strict=True))}
        self._guards = 0

    def constant(self, value):
        operand = self.tape.constant(value)
        self._values[operand] = value
        return operand

    def append(self, name, *operands):
        op = BY_NAME[name]
        assert len(operands) == op.arity
        a, b = [*(self.constant(x) if isinstance(x, float) else x for x in operands), 0][:2]
        value = evaluate.run(op.code, self._values[a], self._values[b])
        slot = self.tape.append(op.code, a, b, value)
        self._values[slot] = value
        return slot

    def __getattr__(self, name):
        if name not in BY_NAME:
            raise AttributeError(name)
        return lambda *operands: self.append(name, *operands)

    def guard(self, slot):
        """Guard a slot's value, each at a place of its own."""
        self.tape.guard(slot, self._values[slot], HERE, self._guards)
        self.tape.sites[-1] = ("drafted", self._guards)
        self._guards += 1

    def call(self, block, *operands, values):
        """Call a block and return the slots of its results, which are the values."""
        operands = [self.constant(x) if isinstance(x, float) else x for x in operands]
        slots = self.tape.call(block, operands, np.array(values)).tolist()
        self._values.update(zip(slots, values, strict=True))
        return slots

    def value(self, slot):
        return self._values[slot]

    def end(self, *outputs):
        self.tape = self.tape.end(outputs)


ANY = ["add", "subtract", "multiply", "divide", "negative", "positive", "square", "power", "powi",
       "absolute", "maximum", "minimum", "fmax", "floor", "sqrt", "exp", "sin", "hypot", "less",
       "equal", "not_equal", "logical_and", "logical_or", "logical_not", "isnan", "keep", "drop",
       "chain", "step", "stop", "reciprocal"]  # fmt: skip
NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, float("inf"), float("-inf"), float("nan"), 5e-324, 1e300]


SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 5e-324, -5e-324, 1e-310, 1.7e308, -1.7e308,
           float("inf"), float("-inf"), float("nan"), 1e160, -1e-170, 0.1]  # fmt: skip
RANDOM = np.random.default_rng(0).integers(0, 2**64, 2000, np.uint64).view(np.float64).tolist()
"""Numbers to try arithmetic on: those that are treated apart, and any bits."""


def random_draft(data, ops=ANY, numbers=None, constants=NUMBERS):
    """Draw a tape: deep or wide, with common records, guards and outputs of every kind."""
    if numbers is None:
        numbers = st.sampled_from(NUMBERS) | st.floats(-3.0, 3.0)
    d = Draft(*data.draw(st.lists(numbers, min_size=1, max_size=4)))
    slots = list(d.x)
    step = st.tuples(st.sampled_from(ops), st.integers(0, 9), st.integers(0, 9),
                     st.sampled_from(constants), st.integers(0, 3), st.booleans())  # fmt: skip
    for name, i, j, number, kind, is_deep in data.draw(st.lists(step, max_size=40)):
        recent = slots[-3:] if is_deep else slots[:5]
        x, y = recent[i % len(recent)], recent[j % len(recent)]
        if name == "powi":
            operands = (x, float(i % 4))
        elif BY_NAME[name].arity == 1:
            operands = (x,)
        else:
            operands = {0: (x, number), 1: (number, x)}.get(kind, (x, y))
        slots.append(d.append(name, *operands))
        value = d.value(slots[-1])
        if kind == 3 and j > 5 and value == value:
            d.guard(slots[-1])
    chosen = data.draw(st.lists(st.integers(0, 50), max_size=3))
    d.end(slots[-1], *(slots[k % len(slots)] for k in chosen), d.constant(7.0))
    return d.tape


def _replayed(tape, point):
    value = float_workspace(tape)
    return floats.replay.run(tape.head, np.array(point, float), value), value


def outputs_at(tape, point):
    """The outputs at a point where every guard holds."""
    failed, value = _replayed(tape, point)
    assert failed == -1
    out = np.empty(len(tape.outputs))
    floats.results.run(tape.head, value, out)
    return out


def failed_site(tape, point):
    """The place of the first guard that fails, or None."""
    failed, _ = _replayed(tape, point)
    return None if failed < 0 else tape.sites[tape.guard_site[failed]]


def gradient(tape, point, seeds=None, adjoints=None):
    """The gradient of the outputs' sum, weighted; `adjoints` takes those of all slots."""
    _, value = _replayed(tape, point)
    seeds = np.ones(len(tape.outputs)) if seeds is None else np.array(seeds)
    work, out = np.zeros(workspace_length(tape)), np.empty(len(tape.inputs))
    floats.pullback.run(tape.head, seeds, value, work, out)
    if adjoints is not None:
        adjoints.extend(work)
    return out


def same_bits(x, y):
    """Whether numbers are the same, zeros by their sign too and NaNs all alike."""
    x, y = np.atleast_1d(x), np.atleast_1d(y)
    return np.all((x.view(np.int64) == y.view(np.int64)) | ((x != x) & (y != y)))
