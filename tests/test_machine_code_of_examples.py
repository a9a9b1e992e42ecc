"""The examples' functions as machine code: to the bit in strict mode, and nearly so otherwise."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lynx_hare():
    module = load("lynx_hare")
    return module.loss, (np.log([0.54, 0.027, 0.8, 0.024, 34.0, 5.8, 0.22, 0.22]),)


def heat_inverse():
    module = load("heat_inverse")
    truth = module.true_conductivity()
    return module.loss, (np.log(0.9 * truth), module.simulate(truth))


def neural_network():
    module = load("neural_network")
    rng = np.random.default_rng(3)
    size = sum(int(np.prod(shape)) for shape in module.SHAPES.values())
    return module.loss, (0.3 * rng.standard_normal(size), *module.two_moons(40, rng))


def numba_simulation():
    module = load("numba_simulation")
    return module.misfit, (module.GUESS, module.SIGHTINGS, np.full((40, 2), 3.0))


def cluster():
    module = load("cluster")
    return module.energy, (module.perturbed_lattice(),)


FAMILIES = [lynx_hare, heat_inverse, neural_network, numba_simulation, cluster]


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
    rolled = plain.recorded.recordings[0].tape.rolled()
    assert rolled.n_lines < 0.1 * rolled.n_records
