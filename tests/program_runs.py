"""Programs run, whatever they call, by the reference and as machine code; results compared."""

from __future__ import annotations

import numpy as np
from program_blocks import BLOCKS, Callbacks
from program_interpreter import run

from tapegrad.codegen.compiled_tape import Code


def agree(found, expected):
    scale = np.max(np.abs(expected), initial=1e-300)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * scale)


def interpreted(written, inputs):
    """Return the outputs, by name, of a program whose guards hold."""
    holds, outputs = run(written, inputs, blocks=BLOCKS)
    assert holds
    return outputs


def compiled(written, x, seeds):
    """Return results and products by machine code, in memory full of NaN."""
    blocks = Callbacks(written)
    code = Code(written, blocks.address)
    memory, products = code.new_memory(), np.empty(code.n_products)
    memory[: code.length] = np.nan
    ok, results = code.run_in(memory, x, np.array(seeds, float), products)
    assert not blocks.failed
    assert ok
    return results, products
