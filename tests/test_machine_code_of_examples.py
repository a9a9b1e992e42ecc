"""The examples' functions as machine code: to the bit in strict mode, and nearly so otherwise."""

import numpy as np
import pytest
from example_functions import FAMILIES

import tapegrad as tg
from tapegrad.roll import rolled


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_an_example_as_machine_code(family):
    function, args = family()
    plain = tg.value_and_grad(function, compile="never")
    exact = tg.value_and_grad(function, compile="now", strict=True)
    fast = tg.value_and_grad(function, compile="now")
    for _ in range(2):
        value, gradient = plain(*args)
        bits, same = exact(*args)
        assert bits == value
        np.testing.assert_array_equal(same, gradient)
        close, similar = fast(*args)
        assert close == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(similar, gradient, rtol=1e-9, atol=1e-12 * abs(gradient).max())
    assert exact.tier == fast.tier == "compiled"
    found = rolled(plain.recorded.recordings[0].tape)
    assert found.n_lines < 0.1 * found.n_records
