"""LLVM modules made into machine code, for the processor at hand."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

from llvmlite import binding as llvm

LEVEL = 2

_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child forked meanwhile would wait for ever
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target() -> Any:
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=LEVEL,
        jit=True,
    )


class MachineCode:
    """A function in machine code, which lives as long as this does.

    Parameters
    ----------
    source : str
        LLVM IR.
    name : str
        Of the function.

    Attributes
    ----------
    address : int
        Of the function.
    """

    def __init__(self, source: str, name: str) -> None:
        with _lock:  # LLVM's global context is not for several threads
            machine = _target()
            self._module = llvm.parse_assembly(source)
            # Without these the passes know no target, and vectorise nothing.
            self._module.triple = machine.triple
            self._module.data_layout = str(machine.target_data)
            options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
            options.loop_vectorization = True
            passes = llvm.create_pass_builder(machine, options)
            passes.getModulePassManager().run(self._module, passes)
            self._engine = llvm.create_mcjit_compiler(self._module, machine)
            self._engine.finalize_object()
            self.address = int(self._engine.get_function_address(name))

    def ir(self) -> str:
        """Return the code before it was made machine code, for reading."""
        return str(self._module)
