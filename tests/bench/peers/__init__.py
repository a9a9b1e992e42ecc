"""The tools compared, by name.

Each file writes the workloads in one tool's most natural form. Its `FORMS` maps a workload's
family to a function that takes the `Workload`, prepares everything its users prepare once (their
own arrays, a compiled function), and returns a call without arguments giving (value, derivative).
A family without a natural form is left out. A new peer is a new file and a row of `PEERS`.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from workloads.workload import Workload

Form = Callable[[Workload], Callable[[], tuple[Any, Any]]]


@dataclass(frozen=True)
class Peer:
    """A row of the table: its title, the file of its forms, and the package they need."""

    title: str
    file: str
    package: str

    def forms(self) -> dict[str, Form]:
        """The forms by workload family; imports the tool."""
        forms: dict[str, Form] = import_module(f"peers.{self.file}").FORMS
        return forms


PEERS = {
    "hand": Peer("hand-written adjoint, Numba", "hand", "numba"),
    "tapegrad": Peer("tapegrad, machine code", "tapegrad_native", "tapegrad"),
    "tapegrad-swept": Peer("tapegrad, swept", "tapegrad_peer", "tapegrad"),
    "tapegrad-numba": Peer("tapegrad, recorded afresh in Numba", "tapegrad_numba", "tapegrad"),
    "jax": Peer("JAX, jit", "jax_peer", "jax"),
    "casadi-gcc": Peer("CasADi, gcc -O3", "casadi_gcc", "casadi"),
    "casadi": Peer("CasADi, virtual machine", "casadi_vm", "casadi"),
    "ddx-compiled": Peer("ddx-ad, compiled", "ddx_compiled", "ddx"),
    "ddx": Peer("ddx-ad, interpreted", "ddx_interpreted", "ddx"),
    "torch": Peer("PyTorch, eager", "torch_peer", "torch"),
    "hips": Peer("HIPS autograd", "hips", "autograd"),
}


def reimported(function: Any, **names: Any) -> Callable[..., Any]:
    """The same function with other modules under its global names: edited import lines."""
    return types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
    )
