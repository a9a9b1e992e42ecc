"""The workloads every tool is measured on, by name.

Each file holds one family: its data, the function as people write it (plain Python scalars or
NumPy), the same compiled by Numba on floats (the unit every ratio is taken to), and a gradient
obtained without any of the tools. A new workload is a new file and a row of `WORKLOADS`.
"""

from collections.abc import Callable
from functools import partial

from workloads import ba, bs, gmm, lj, mc, ode, rosen
from workloads.workload import Workload

__all__ = ["WORKLOADS", "Workload", "select"]

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "rosen10": partial(rosen.workload, 10),
    "rosen1000": partial(rosen.workload, 1000),
    "rosen100000": partial(rosen.workload, 100_000),
    "ode": ode.workload,
    "lj": lj.workload,
    "gmm": gmm.workload,
    "ba": ba.workload,
    "bs": bs.workload,
    "mc": mc.workload,
}


def select(names: list[str]) -> list[str]:
    """Workloads by their names, or by a common beginning: `rosen` is all three; in table order."""
    chosen = set()
    for name in names:
        found = {name} & WORKLOADS.keys() or {w for w in WORKLOADS if w.startswith(name)}
        if not found:
            raise SystemExit(f"no workload is called {name!r}; there are {', '.join(WORKLOADS)}")
        chosen |= found
    return [name for name in WORKLOADS if name in chosen]
