"""LLVM modules made into machine code, for the processor at hand."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import binding as llvm

from tapegrad.jit import compiling
from tapegrad.numba_internals import free_passes

LEVEL = 2


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


def _optimise(module: Any, machine: Any) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    free_passes(passes)


class MachineCode:
    """A function in machine code, which is freed with this.

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
        with compiling:  # LLVM's global context is not for several threads
            machine = _target()
            self._module = llvm.parse_assembly(source)
            # Without these the passes know no target, and vectorise nothing.
            self._module.triple = machine.triple
            self._module.data_layout = str(machine.target_data)
            _optimise(self._module, machine)
            self._engine = llvm.create_mcjit_compiler(self._module, machine)
            self._engine.finalize_object()
            self.address = int(self._engine.get_function_address(name))

    def ir(self) -> str:
        """Return the code before it was made machine code, for reading."""
        return str(self._module)
