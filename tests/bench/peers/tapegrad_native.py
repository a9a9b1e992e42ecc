"""tapegrad's machine code: recorded from the loops that Numba compiles, rolled and compiled."""

from functools import partial
from typing import Any

from workloads.workload import Workload

import tapegrad as tg
from peers import Form


def _loss(w: Workload) -> Any:
    return partial(tg.value_and_grad(w.compiled).compiled(w.x, *w.data), w.x)


FORMS: dict[str, Form] = dict.fromkeys(("rosen", "ode", "lj", "gmm", "bs", "mc"), _loss)
