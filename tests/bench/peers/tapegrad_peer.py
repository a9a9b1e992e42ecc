"""tapegrad's sweeps: NumPy where the function is written so, plain Python scalars elsewhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from workloads import ba, bs, gmm, lj, mc, ode, rosen
from workloads.workload import Workload

import tapegrad as tg
from peers import Form


def _scalar_loss(form: Callable[..., Any]) -> Form:
    return lambda w: partial(tg.value_and_grad(form, compile="never"), w.x, *w.data)


def _bundle(w: Workload) -> Any:
    """A gradient for each residual component: its derivatives stay with their observation."""
    gradient = tg.value_and_grad(ba.component, has_aux=True, compile="never")

    def call() -> tuple[Any, Any]:
        values, derivatives = [], []
        for which in range(2):
            (_, row), derivative = gradient(w.x, *w.data, which)
            values.append(row)
            derivatives.append(derivative)
        return np.stack(values), np.stack(derivatives)

    return call


FORMS: dict[str, Form] = {
    "rosen": _scalar_loss(rosen.array_form),
    "ode": _scalar_loss(ode.scalar_form),
    "lj": _scalar_loss(lj.scalar_form),
    "gmm": _scalar_loss(gmm.array_form),
    "ba": _bundle,
    "bs": _scalar_loss(bs.array_form),
    "mc": _scalar_loss(mc.scalar_form),
}
