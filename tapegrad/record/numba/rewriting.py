"""Before Numba infers types: names in a function that is given active numbers.

In such a function `np.zeros` makes an array that can hold active numbers, as it does in Python,
and a helper it calls is one in which it does too, whatever its own arguments are.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba import UnsupportedError, njit

from tapegrad.libraries import PACKAGE
from tapegrad.numba_internals import (
    Rewrite,
    definition,
    ir,
    is_cached,
    is_compiled,
    register_rewrite,
    set_definition,
    takes_new_types,
)
from tapegrad.numba_protocols import (
    Block,
    CompilerState,
    Dispatcher,
    Function,
    FunctionIR,
    Instruction,
    Kind,
)
from tapegrad.record import stand_ins
from tapegrad.record.interception import original_of
from tapegrad.record.kinds import active, kind_in
from tapegrad.record.numba.kept import KEEPERS, Stores
from tapegrad.record.numba.sites import guards_before, place_guards

_twins: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()
_kind_of_twin: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_original_of_twin: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def twin(dispatcher: Dispatcher, kind: Kind) -> Dispatcher:
    """Return a compiled function's twin, whose arrays can hold active numbers of a type."""
    if dispatcher.py_func in _kind_of_twin:
        return dispatcher
    twins = _twins.setdefault(dispatcher, {})
    if kind not in twins:
        original = dispatcher.py_func
        function = FunctionType(original.__code__, original.__globals__, original.__name__,
                                original.__defaults__, original.__closure__)  # fmt: skip
        function.__kwdefaults__ = original.__kwdefaults__
        function.__module__ = original.__module__
        # Its name in Numba's cache.
        function.__qualname__ = f"{original.__qualname__}.{kind.name.rpartition(' ')[2]}"
        _kind_of_twin[function] = kind
        _original_of_twin[function] = dispatcher
        options = {k: v for k, v in dispatcher.targetoptions.items() if k != "nopython"}
        copy = njit(**options)(function)
        if is_cached(dispatcher):
            copy.enable_caching()
        twins[kind] = copy
    return twins[kind]


def original_dispatcher(dispatcher: Dispatcher) -> Dispatcher:
    """Return the compiled function of the user's that a compiled function is the twin of."""
    return _original_of_twin.get(dispatcher.py_func, dispatcher)


def taking_active(function: Function) -> Function:
    """Return what to call with active numbers; of a function with declared types, its twin."""
    is_closed = is_compiled(function) and not takes_new_types(function)
    return twin(function, active) if is_closed else function


def _stand_in(thing: Any, kind: Kind) -> Function | None:
    """Return what stands for a function of NumPy or the user in such functions, or None."""
    if is_compiled(thing):
        other = twin(thing, kind)
        return None if other is thing else other
    try:
        return stand_ins.MAKERS[kind].get(thing) or stand_ins.FUNCTIONS.get(thing)
    except TypeError:  # unhashable
        return None


_INTERNAL = (str(Path(numba.__file__ or "").parent), PACKAGE)


forms: weakref.WeakSet[Any] = weakref.WeakSet()
"""The compiled forms of derivatives."""


@register_rewrite("before-inference")
class NamedThings(Rewrite):  # type: ignore[misc]
    """Replaces a derivative, and its attribute `njit`, by its compiled form.

    In a function that was defined while recording, also what stands for a thing by the thing.
    """

    def match(self, func_ir: FunctionIR, block: Block, typemap: Any, calltypes: Any) -> bool:
        """Find the things that a function names."""
        self._ir, self._block = func_ir, block
        self._found = {}
        for instruction in block.find_insts(ir.Assign):
            meant = self._meant(instruction.value)
            if meant is not None:
                self._found[id(instruction)] = ir.Global("njit", meant, instruction.loc)
        return bool(self._found)

    def _meant(self, value: Instruction) -> Any:
        if isinstance(value, ir.Global | ir.FreeVar):
            thing = original_of(value.value)
            if hasattr(type(thing), "has_compiled_form"):
                return thing.njit if thing.has_compiled_form else None
            return None if thing is value.value else thing
        if isinstance(value, ir.Expr) and value.op == "getattr" and value.attr == "njit":
            owner = definition(self._ir, value.value)
            if isinstance(owner, ir.Global) and owner.value in forms:
                return owner.value
        return None

    def apply(self) -> Block:
        """Return the block with what they mean."""
        block = self._block.copy()
        block.clear()
        for instruction in self._block.body:
            meant = self._found.get(id(instruction))
            new = instruction if meant is None else _assign(instruction, meant)
            if meant is not None:
                set_definition(self._ir, new.target.name, meant)
            block.append(new)
        return block


def constant_of(func_ir: FunctionIR, value: Instruction) -> Any:
    """Return the object that a global name or a module's attribute is, or None."""
    if isinstance(value, ir.Var):
        return constant_of(func_ir, definition(func_ir, value))
    if isinstance(value, ir.Global | ir.FreeVar):
        return value.value
    if isinstance(value, ir.Expr) and value.op == "getattr":
        owner = constant_of(func_ir, value.value)
        if isinstance(owner, ModuleType):
            return getattr(owner, value.attr, None)
    return None


def kind_to_record(state: CompilerState) -> Kind | None:
    """Return the type of active number that a function being compiled works on, or None."""
    identity = getattr(state, "func_id", None)
    if identity is None:
        return None
    if identity.func in _kind_of_twin:
        return _kind_of_twin[identity.func]
    is_internal = identity.func.__code__.co_filename.startswith(_INTERNAL)
    if is_internal and identity.func not in stand_ins.REWRITTEN:
        return None
    return kind_in(*state.args)


@register_rewrite("before-inference")
class ActiveNames(Rewrite):  # type: ignore[misc]
    """Replaces functions by their stand-ins, and methods of arrays by functions."""

    def __init__(self, state: CompilerState) -> None:
        # What is inlined has no identity of its own: it's rewritten as part of its caller.
        self._kind = kind_to_record(state)
        self._arguments = state.args
        self._stores: Stores | None = None
        if self._kind is not None and state.flags.auto_parallel.enabled:
            raise UnsupportedError("parallel=True is not possible with active numbers")

    def match(self, func_ir: FunctionIR, block: Block, typemap: Any, calltypes: Any) -> bool:
        """Find the assignments to replace."""
        self._ir, self._block = func_ir, block
        self._found: dict[int, list[Instruction]] = {}
        if self._kind is not None:
            if self._stores is None:
                self._stores = Stores(func_ir, self._arguments, self._constant)
            for instruction in block.find_insts(ir.Assign):
                replacement = self._replacement(instruction)
                if self._stores.is_kept(instruction):
                    replacement = self._kept(instruction, replacement or [instruction])
                if replacement:
                    self._found.setdefault(id(instruction), replacement)
        return bool(self._found)

    def apply(self) -> Block:
        """Return the block with the replacements."""
        block = self._block.copy()
        block.clear()
        for instruction in self._block.body:
            for new in self._found.get(id(instruction), [instruction]):
                block.append(new)
                if new is not instruction:
                    set_definition(self._ir, new.target.name, new.value)
        return block

    def _replacement(self, instruction: Instruction) -> list[Instruction]:
        """Return the instructions that replace an assignment; none if it stays."""
        value = instruction.value
        is_name = isinstance(value, ir.Global | ir.FreeVar)
        is_attribute = isinstance(value, ir.Expr) and value.op == "getattr"
        if is_name or is_attribute:
            other = _stand_in(self._constant(value), self._kind)
            if other is None:
                return []
            name = value.name if is_name else value.attr
            return [_assign(instruction, ir.Global(name, other, value.loc))]
        if isinstance(value, ir.Expr) and value.op == "call":
            return self._rows(instruction, value) or self._function_call(instruction, value)
        return []

    def _kept(self, instruction: Instruction, made: list[Instruction]) -> list[Instruction]:
        """Return instructions that make an array or a list, with those that have it stored into."""
        assert self._kind is not None
        target, place = instruction.target, instruction.loc
        fresh = ir.Var(target.scope, f"$fresh.{id(instruction)}", place)
        function = ir.Var(target.scope, f"$kept.{id(instruction)}", place)
        return [
            *made[:-1],
            ir.Assign(made[-1].value, fresh, place),
            ir.Assign(ir.Global("kept", KEEPERS[self._kind], place), function, place),
            _assign(instruction, ir.Expr.call(function, [fresh], (), place)),
        ]

    def _rows(self, instruction: Instruction, call: Instruction) -> list[Instruction]:
        """Return `numpy.array` of a tuple of tuples for one of a list of lists.

        Numba's lists of lists need numbers of one type; tuples may hold active ones and others.
        """
        if self._constant(call.func) not in (np.array, stand_ins.MAKERS[self._kind].get(np.array)):
            return []
        outer: Any = definition(self._ir, call.args[0]) if call.args else None
        if not _is_list(outer) or not outer.items:
            return []
        rows = [definition(self._ir, item) for item in outer.items]
        if not all(map(_is_list, rows)):
            return []
        lists = {id(outer), *map(id, rows)}
        for old in self._block.find_insts(ir.Assign):
            if id(old.value) in lists:
                items = old.value.items
                self._found[id(old)] = [_assign(old, ir.Expr.build_tuple(items, old.loc))]
        return []

    def _constant(self, value: Instruction) -> Any:
        return constant_of(self._ir, value)

    def _function_call(self, instruction: Instruction, call: Instruction) -> list[Instruction]:
        """Return a call of what stands for an array's method or for a type that is called."""
        arguments = call.args
        function = stand_ins.CALLED.get(self._constant(call.func))
        if function is None:
            named = definition(self._ir, call.func)
            if not isinstance(named, ir.Expr) or named.op != "getattr":
                return []
            function = stand_ins.METHODS.get(named.attr)
            if function is None or isinstance(self._constant(named.value), ModuleType):
                return []
            arguments = [named.value, *call.args]
        name = ir.Var(call.func.scope, f"${function.__name__}.{id(call)}", call.loc)
        return [
            ir.Assign(ir.Global(function.__name__, function, call.loc), name, call.loc),
            _assign(instruction, ir.Expr.call(name, arguments, call.kws, call.loc)),
        ]


@register_rewrite("before-inference")
class ReadingCalls(Rewrite):  # type: ignore[misc]
    """Gives the guards that a call leaves, of what stands for a function that reads, its place."""

    def __init__(self, state: CompilerState) -> None:
        self._is_guarded = kind_to_record(state) is active
        self._done: dict[int, Instruction] = {}

    def match(self, func_ir: FunctionIR, block: Block, typemap: Any, calltypes: Any) -> bool:
        """Find the assignments that call them."""
        self._ir, self._block = func_ir, block
        assigned = block.find_insts(ir.Assign) if self._is_guarded else ()
        self._found = {id(x): x.value for x in assigned if self._reads(x.value)}
        return bool(self._found)

    def _reads(self, value: Instruction) -> bool:
        if not isinstance(value, ir.Expr) or value.op != "call" or id(value) in self._done:
            return False
        function = constant_of(self._ir, value.func)
        if function is min or function is max:
            return len(value.args) == 1
        return isinstance(function, Hashable) and function in stand_ins.READING

    def apply(self) -> Block:
        """Return the block in which guards are counted before the calls, and placed after them."""
        block = self._block.copy()
        block.clear()
        for instruction in self._block.body:
            call = self._found.get(id(instruction))
            if call is None:
                block.append(instruction)
                continue
            self._done[id(call)] = call
            things = [*call.args, *(value for _, value in call.kws)]
            before = self._call(guards_before, things, instruction)
            after = self._call(place_guards, [before[-1].target], instruction)
            for new in (*before, instruction, *after):
                block.append(new)
        return block

    def _call(self, function: Function, arguments: list[Instruction],
              near: Instruction) -> list[Instruction]:  # fmt: skip
        """Return instructions that call a function."""
        name, scope, place = f"${function.__name__}.{id(near)}", near.target.scope, near.loc
        callee, result = ir.Var(scope, name, place), ir.Var(scope, f"{name}.result", place)
        values = {callee: ir.Global(function.__name__, function, place),
                  result: ir.Expr.call(callee, arguments, (), place)}  # fmt: skip
        for variable, value in values.items():
            set_definition(self._ir, variable.name, value)
        return [ir.Assign(value, variable, place) for variable, value in values.items()]


def _is_list(value: Instruction) -> bool:
    return isinstance(value, ir.Expr) and value.op == "build_list"


def _assign(instruction: Instruction, value: Instruction) -> Instruction:
    return ir.Assign(value, instruction.target, instruction.loc)
