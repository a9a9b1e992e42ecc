"""The examples' functions, and where they are differentiated."""

import importlib.util
from pathlib import Path

import numpy as np

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
