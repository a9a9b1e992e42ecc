"""CasADi, its functions written out as C and compiled by gcc -O3 on the spot.

A flat graph of 10^4 operations takes gcc minutes, so what repeats is a mapped function here: the
pairs of Lennard-Jones, the steps of the ode.
"""

from functools import partial
from typing import Any

import casadi as ca
from workloads import lj, ode
from workloads.workload import Workload

from peers import Form
from peers.casadi_vm import asian, book, buffered, bundle, chain, mixture, with_gradient

OPTIONS = {
    "jit": True,
    "compiler": "shell",
    "jit_options": {"compiler": "gcc", "linker": "gcc", "flags": ["-O3"]},
}


def _pairs(w: Workload) -> Any:
    """One pair's energy mapped over all pairs, gathered by index."""
    apart = ca.SX.sym("apart", 3)
    sixth = (1 / ca.sumsqr(apart)) ** 3
    pair = ca.Function("pair", [apart], [4 * (sixth**2 - sixth)])

    x = ca.MX.sym("x", w.x.size)
    atoms = ca.reshape(x, 3, lj.ATOMS)
    energy = ca.sum2(
        pair.map(lj.FIRST.size)(atoms[:, lj.FIRST.tolist()] - atoms[:, lj.SECOND.tolist()])
    )
    return buffered(with_gradient(x, energy, options=OPTIONS), [w.x], [(), w.x.shape])


def _step() -> ca.Function:
    """(x, y, loss) and the parameters to the next (x, y, loss)."""
    state, p = ca.SX.sym("state", 3), ca.SX.sym("p", 4)

    def rates(z: Any) -> Any:
        return ca.vertcat(p[0] * z[0] - p[1] * z[0] * z[1], p[2] * z[0] * z[1] - p[3] * z[1])

    z = state[:2]
    k1 = rates(z)
    k2 = rates(z + ode.STEP / 2 * k1)
    k3 = rates(z + ode.STEP / 2 * k2)
    k4 = rates(z + ode.STEP * k3)
    z = z + ode.STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return ca.Function("step", [state, p], [ca.vertcat(z, state[2] + ca.sumsqr(z - 1))])


def _orbit(w: Workload) -> Any:
    p = ca.MX.sym("p", 6)
    states = _step().mapaccum(ode.STEPS)(ca.vertcat(p[4:], 0), ca.repmat(p[:4], 1, ode.STEPS))
    return buffered(with_gradient(p, states[2, -1], options=OPTIONS), [w.x], [(), w.x.shape])


FORMS: dict[str, Form] = {
    "rosen": partial(chain, OPTIONS),
    "ode": _orbit,
    "lj": _pairs,
    "gmm": partial(mixture, OPTIONS),
    "ba": partial(bundle, OPTIONS),
    "bs": partial(book, OPTIONS),
    "mc": partial(asian, OPTIONS),
}
