"""HIPS autograd: the NumPy and Python forms, with autograd's numpy imported instead."""

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy
import autograd.scipy.special
import numpy as np
from autograd import value_and_grad
from autograd.differential_operators import make_vjp
from workloads import ba, bs, gmm, lj, mc, ode, rosen
from workloads.workload import Workload

from peers import Form, reimported


def _scalar_loss(form: Callable[..., Any]) -> Form:
    form = reimported(form, np=autograd.numpy, erf=autograd.scipy.special.erf)
    return lambda w: partial(value_and_grad(form), w.x, *w.data)


def _bundle(w: Workload) -> Any:
    """One forward pass, a reverse pass for each residual component."""
    residuals = reimported(ba.residuals, np=autograd.numpy)

    def call() -> tuple[Any, Any]:
        pull, value = make_vjp(residuals)(w.x, *w.data)
        rows = [np.outer(unit, np.ones(ba.OBSERVATIONS)) for unit in np.eye(2)]
        return value, np.stack([pull(row) for row in rows])

    return call


FORMS: dict[str, Form] = {
    "rosen": _scalar_loss(rosen.array_form),
    "ode": _scalar_loss(ode.scalar_form),
    "lj": _scalar_loss(lj.array_form),
    "gmm": _scalar_loss(gmm.array_form),
    "ba": _bundle,
    "bs": _scalar_loss(bs.array_form),
    "mc": _scalar_loss(mc.array_form),
}
