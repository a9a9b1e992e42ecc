"""Tapes made record by record, for tests."""

from __future__ import annotations

import math

import numpy as np

from tapegrad.ops import CODE
from tapegrad.replay.programs import float_gradient, float_workspace, workspace_length
from tapegrad.tape import Tape

ADD, MULTIPLY, SIN, POSITIVE = CODE["add"], CODE["multiply"], CODE["sin"], CODE["positive"]
HERE = (lambda: 0).__code__


def small():
    """x0 * x1 + sin(x0) * 2, with a guard."""
    tape = Tape()
    x, y = tape.input(0.5), tape.input(3.0)
    product = tape.append(MULTIPLY, x, y, 1.5)
    sine = tape.append(SIN, x, 0, math.sin(0.5))
    twice = tape.append(MULTIPLY, sine, tape.constant(2.0), 2.0 * math.sin(0.5))
    total = tape.append(ADD, product, twice, 1.5 + 2.0 * math.sin(0.5))
    tape.guard(product, 1.5, HERE, 0)
    tape.end([total, tape.constant(7.0)])
    return tape


def gradient(tape, *point):
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out = np.empty(len(tape.inputs))
    failed, result = float_gradient.run(tape.head, np.array(point), value, work, out)
    return failed, result, out
