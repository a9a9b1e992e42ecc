"""Machine code tried before it's used: against the sweeps, in memory full of NaN.

A value taken from the wrong place shows where the recording was made or a little beside it, one
that was never written is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tapegrad.errors import NotCompilableError
from tapegrad.replay.programs import float_workspace, floats, workspace_length
from tapegrad.tape import Tape

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code

Vector = npt.NDArray[np.float64]

TOLERANCE = 1e-7
"""Of the largest entry; what rounding in another order may come to."""

_STEP = 1e-3

DIFFERS = (
    "the machine code differs from the sweeps by more than rounding should, where the function "
    "was recorded or beside it. The sweeps go on."
)


def check(tape: Tape, code: Code, kind: Literal["pullback", "pushforward"], strict: bool) -> bool:
    """Return whether machine code does where the sweeps find numbers.

    It doesn't where a guard fails or a product is NaN. Of code that computes more products than
    the sweep only the first are compared.

    Raises
    ------
    NotCompilableError
        If it disagrees with the sweeps.
    """
    rng = np.random.default_rng(1)
    recorded = tape.value[tape.inputs].copy()
    n_seeds = len(tape.outputs if kind == "pullback" else tape.inputs)
    n_products = len(tape.inputs if kind == "pullback" else tape.outputs)
    has_seeds = code.n_products == n_products
    seeds = rng.uniform(0.5, 1.5, n_seeds) if has_seeds else np.ones(n_seeds)
    value, swept = float_workspace(tape), np.empty(workspace_length(tape))
    outputs, products = np.empty(len(tape.outputs)), np.empty(n_products)
    beside = recorded + _STEP * rng.uniform(0.5, 1.5, len(recorded)) * (1.0 + abs(recorded))
    for inputs in (recorded, beside):
        if floats.replay.run(tape.head, inputs, value) >= 0:
            continue  # another way is taken there
        floats.results.run(tape.head, value, outputs)
        getattr(floats, kind).run(tape.head, seeds, value, swept, products)
        memory = code.new_memory()
        memory[: code.length] = np.nan
        found = np.empty(code.n_products)
        directions = seeds if has_seeds else np.zeros(len(inputs))
        ok, results = code.run_in(memory, inputs, directions, found)
        if not ok and not np.isfinite(products).all():
            continue  # the sweeps will be asked
        if not ok:
            return False
        if not (_agree(results, outputs, strict)
                and _agree(found[:n_products], products, strict)):  # fmt: skip
            raise NotCompilableError(DIFFERS)
    return True


def _agree(found: Vector, expected: Vector, strict: bool) -> bool:
    if strict:
        return np.array_equal(found, expected, equal_nan=True)
    scale = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    return np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
