"""Machine code tried before it's used: against the sweeps, in memory full of NaN.

A value taken from the wrong place shows where the recording was made or a little beside it, one
that was never written is NaN. Gradients and tangents are those of the sweeps; products of the
Hessian with a direction are those of a sweep of the recorded gradient, which is made for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import check_interrupt
from tapegrad.errors import NotCompilableError
from tapegrad.record.active_sweeps import recorded_gradient
from tapegrad.replay.programs import float_workspace, floats, workspace_length
from tapegrad.tape import Tape

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code

Vector = npt.NDArray[np.float64]

TOLERANCE = 1e-7
"""Of the largest entry; what rounding in another order may come to."""

_STEP = 1e-3

OF_PRODUCTS = 1e-4
"""The same for products of the Hessian, whose rounding errors may have grown twice."""

MOST_RECORDED = 1_000_000
"""Records of a tape whose gradient is recorded: that takes the memory of several such tapes."""

DIFFERS = (
    "the machine code differs from the sweeps by more than rounding should, where the function "
    "was recorded or beside it. The sweeps go on."
)


def check(tape: Tape, code: Code, kind: Literal["pullback", "pushforward"], strict: bool) -> bool:
    """Return whether machine code does where the sweeps find numbers.

    It doesn't where a guard fails or a product is NaN. Code that computes more products than the
    sweep computes the sweep's first, and then their derivatives along a direction: zero, and in
    a tape that isn't too long a random one.

    Raises
    ------
    NotCompilableError
        If it disagrees with the sweeps.
    """
    rng = np.random.default_rng(1)
    recorded = tape.value[tape.inputs].copy()
    n_seeds = len(tape.outputs if kind == "pullback" else tape.inputs)
    is_hessian = code.n_products > len(tape.inputs if kind == "pullback" else tape.outputs)
    seeds = np.ones(n_seeds) if is_hessian else rng.uniform(0.5, 1.5, n_seeds)
    gradient = recorded_gradient(tape) if is_hessian and len(tape) <= MOST_RECORDED else None
    beside = recorded + _STEP * rng.uniform(0.5, 1.5, len(recorded)) * (1.0 + abs(recorded))
    direction = rng.uniform(0.5, 1.5, len(recorded)) * rng.choice([-1.0, 1.0], len(recorded))
    of_inputs = [direction] if kind == "pullback" else [direction, seeds]
    for vector in of_inputs:
        vector[tape.data_inputs] = 0.0
    for inputs in (recorded, beside):
        swept = _swept(tape, kind, inputs, seeds)
        if swept is None:
            continue  # another way is taken there
        outputs, products = swept
        ok, results, found = _run(code, inputs, np.zeros(len(inputs)) if is_hessian else seeds)
        if not ok and not np.isfinite(products).all():
            continue  # the sweeps will be asked
        if not ok:
            return False
        found = found[: len(products)]
        if kind == "pullback":  # what data's adjoints are isn't said
            products[tape.data_inputs] = found[tape.data_inputs] = 0.0
        if not (_agree(results, outputs, strict) and _agree(found, products, strict)):
            raise NotCompilableError(DIFFERS)
        if gradient is not None:
            _try_products(code, gradient, inputs, direction)
    return True


def _swept(tape: Tape, kind: Literal["pullback", "pushforward"], inputs: Vector,
           seeds: Vector) -> tuple[Vector, Vector] | None:  # fmt: skip
    """Return the outputs and the products by the sweeps, or None where a guard fails."""
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    if floats.replay.run(tape.head, inputs, value) >= 0:
        check_interrupt()
        return None
    outputs = np.empty(len(tape.outputs))
    products = np.empty(len(tape.inputs if kind == "pullback" else tape.outputs))
    floats.results.run(tape.head, value, outputs)
    if getattr(floats, kind).run(tape.head, seeds, value, work, products):
        check_interrupt()
        return None
    return outputs, products


def _run(code: Code, inputs: Vector, seeds: Vector) -> tuple[bool, Vector, Vector]:
    """Run code in memory full of NaN; return whether all went well, outputs and products."""
    memory = code.new_memory()
    memory[: code.length] = np.nan
    found = np.empty(code.n_products)
    ok, results = code.run_in(memory, inputs, seeds, found)
    return ok, results, found


def _try_products(code: Code, gradient: Tape, inputs: Vector, direction: Vector) -> None:
    """Raise NotCompilableError if products with a direction aren't the recorded gradient's."""
    swept = _swept(gradient, "pushforward", inputs, direction)
    ok, _, found = _run(code, inputs, direction)
    if swept is None or not ok:
        return  # the sweeps will be asked
    expected, products = swept[1], found[len(inputs) :]
    expected[gradient.data_inputs] = products[gradient.data_inputs] = 0.0
    is_finite = np.isfinite(expected).all() and np.isfinite(products).all()
    if is_finite and not _agree(products, expected, False, OF_PRODUCTS):
        raise NotCompilableError(DIFFERS)


def _agree(found: Vector, expected: Vector, strict: bool, tolerance: float = TOLERANCE) -> bool:
    if strict:
        return np.array_equal(found, expected, equal_nan=True)
    scale = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    return np.allclose(found, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
