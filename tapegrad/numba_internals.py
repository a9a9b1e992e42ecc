"""What isn't public of Numba and llvmlite: found, checked, and named for what it does here.

No other module reaches for it. It's looked up when this module is imported, with the parameters
that it's called with; what Numba itself imports late, when it's needed first. Where something
is missing or takes other parameters, one error names it, before anything could go wrong in the
middle of a computation. What another version of Numba changed is mended here.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import llvmlite
import numba
from numba import types

from tapegrad import numba_protocols as protocols
from tapegrad.interfaces import Search
from tapegrad.numba_protocols import (
    Builder,
    CFunction,
    CodeLibrary,
    Dispatcher,
    Function,
    FunctionIR,
    Instruction,
    Kind,
    LoweringContext,
    Module,
    Value,
)

OLDEST, NEWEST = "0.63", "0.68"
"""The versions of Numba between which the tests pass."""


def _know_all(search: Search) -> None:
    """Raise an error if something wasn't found."""
    if search.faults:
        major, minor = NEWEST.split(".")
        raise ImportError(
            f"tapegrad doesn't know its way about Numba {numba.__version__} and llvmlite "
            f"{llvmlite.__version__}: {'; '.join(search.faults)}. It does about Numba {OLDEST} to "
            f"{NEWEST}: pip install 'numba>={OLDEST},<{major}.{int(minor) + 1}'"
        )


_early = Search()
_find, _find_class = _early.find, _early.find_class

# --- compiling and caching ---------------------------------------------------------------------

compiler_lock = _find("numba.core.compiler_lock", "global_compiler_lock")
llvm_lock = _find("llvmlite.binding.ffi", "lib._lock")
dumps = _find("numba.core.serialize", "dumps", "obj")
CFunc = _find_class("numba.core.ccallback", "CFunc", CFunction)
_config = _find("numba.core", "config")
_find("numba.core.config", "CACHE_DIR")
_AppDirs = _find("numba.misc.appdirs", "AppDirs", "appname", "appauthor")
_NoCache = _find("numba.core.caching", "NullCache")
CacheLocator: Any = _find_class("numba.core.caching", "_CacheLocator", protocols.CacheLocator)
FunctionCache: Any = _find_class("numba.core.caching", "FunctionCache", protocols.FunctionCache)
_find("numba.core.caching", "FunctionCache._guard_against_spurious_io_errors", "self")
_find("numba.core.caching", "FunctionCache._load_overload", "self", "sig", "target_context")
start_runtime = _find("numba.core.runtime", "rtsys.initialize", "ctx")
CacheContent: Any = _find_class(
    "numba.core.caching", "CompileResultCacheImpl", protocols.CacheContent
)
_Dispatcher = _find_class("numba.core.dispatcher", "Dispatcher", Dispatcher)
_find("numba.core.compiler", "CompileResult.library")
_find("numba.core.compiler", "CompileResult.reload_init")
_find_class("numba.core.codegen", "CPUCodeLibrary", CodeLibrary)
_no_disposal = _find("llvmlite.binding.ffi", "ObjectRef._dispose", "self")
_find("llvmlite.binding.ffi", "ObjectRef.detach", "self")

# --- typing and lowering -----------------------------------------------------------------------

signature = _find("numba.core.typing.templates", "signature", "return_type")
Conversion = _find("numba.core.typeconv", "Conversion")
_AbstractTemplate = _find("numba.core.typing.templates", "AbstractTemplate", "context")
_infer_global = _find("numba.core.typing.templates", "infer_global", "val", "typ")
_InPlace = _find("numba.core.typing.npydecl", "NumpyRulesInplaceArrayOperator")
_find("numba.core.typing.npydecl", "NumpyRulesInplaceArrayOperator.generic", "self", "args", "kws")
_find("numba.core.types", "number_domain")
_find_class("numba.core.types", "Type", protocols.Convertible)
_find_class("numba.core.typing.templates", "Signature", protocols.Signature)
_find_class("numba.core.typing.context", "Context", protocols.TypingContext)
_find_class("numba.core.cpu", "CPUContext", LoweringContext)
_find_class("numba.core.callconv", "CPUCallConv", protocols.CallConvention)
alloca_once = _find("numba.core.cgutils", "alloca_once", "builder", "ty")
alloca_once_value = _find("numba.core.cgutils", "alloca_once_value", "builder", "value")
declare = _find("numba.core.cgutils", "get_or_insert_function", "module", "fnty", "name")
if_unlikely = _find("numba.core.cgutils", "if_unlikely", "builder", "pred")
is_null = _find("numba.core.cgutils", "is_null", "builder", "val")
unpack_tuple = _find("numba.core.cgutils", "unpack_tuple", "builder", "tup", "count")
_add_variable = _find("numba.core.cgutils", "add_global_variable", "module", "ty", "name")
_add_constant = _find("numba.core.cgutils", "global_constant", "builder_or_module", "name", "value")
_bytes = _find("numba.core.cgutils", "make_bytearray", "buf")
_struct_proxy = _find("numba.core.cgutils", "create_struct_proxy", "fe_type")
_find("numba.core.lowering", "Lower.lower_inst", "self", "inst")
_find_class("numba.core.lowering", "Lower", protocols.Lowering)
_find("numba.core.lowering", "Lower._lower_call_ObjModeDispatcher", "self")
tuple_setitem = _find("numba.cpython.unsafe.tuple", "tuple_setitem")

# --- Numba's intermediate form, boxing ---------------------------------------------------------

ir = _find("numba.core", "ir")
Rewrite: Any = _find_class("numba.core.rewrites", "Rewrite", protocols.Rewrite)
register_rewrite = _find("numba.core.rewrites", "register_rewrite", "kind")
_get_definition = _find("numba.core.ir_utils", "get_definition", "func_ir", "name")
_guard = _find("numba.core.ir_utils", "guard", "func")
_find_class("numba.core.ir", "FunctionIR", FunctionIR)
_find_class("numba.core.ir", "Block", protocols.Block)
_find("numba.core.ir", "Scope.make_temp", "self", "loc")
_find("numba.core.ir", "Stmt.list_vars", "self")
_find("numba.core.ir", "Assign", "value", "target", "loc")
_find("numba.core.ir", "Global", "name", "value", "loc")
_find("numba.core.ir", "FreeVar", "index", "name", "value", "loc")
_find("numba.core.ir", "Var", "scope", "name", "loc")
_find("numba.core.ir", "Expr.call", "func", "args", "kws", "loc")
_find("numba.core.ir", "Expr.build_tuple", "items", "loc")
_boxers = _find("numba.core.pythonapi", "_boxers.functions")
_unboxers = _find("numba.core.pythonapi", "_unboxers.functions")
_find_class("numba.core.pythonapi", "PythonAPI", protocols.PythonApi)
_find_class("numba.core.pythonapi", "_UnboxContext", protocols.UnboxContext)
_find_class("numba.core.pythonapi", "_BoxContext", protocols.BoxContext)
_find_class("numba.core.pythonapi", "EnvironmentManager", protocols.Constants)

_know_all(_early)


@functools.cache
def _arrays() -> Any:
    """Return the module of array code, which Numba imports when it compiles for the first time."""
    late = Search()
    for kind, value in (("array", "obj"), ("list", "obj")):
        late.find("numba.core.boxing", f"unbox_{kind}", "typ", value, "c")
    late.find("numba.core.boxing", "box_array", "typ", "val", "c")
    late.find("numba.core.boxing", "box_generator", "typ", "val", "c")
    late.find("numba.typed.typedlist", "unbox_listtype", "typ", "val", "c")
    late.find("numba.typed.typeddict", "unbox_dicttype", "typ", "val", "c")
    late.find("numba.np.arrayobj", "load_item", "context", "builder", "arrayty", "ptr")
    late.find_class("numba.core.runtime.context", "NRTContext", protocols.ReferenceCounting)
    _know_all(late)
    return sys.modules["numba.np.arrayobj"]


# --- compiled functions ------------------------------------------------------------------------


def is_compiled(function: Function) -> TypeGuard[Dispatcher]:
    """Whether a function is one that Numba compiles."""
    return isinstance(function, _Dispatcher)


def takes_new_types(function: Dispatcher) -> bool:
    """Whether a function is compiled for whatever it's called with, or for declared types."""
    return function._can_compile


def is_cached(function: Dispatcher) -> bool:
    """Whether a function's code is kept on disk."""
    return not isinstance(function._cache, _NoCache)


def wrap_compiling(function: Dispatcher, wrap: Callable[[Any], Callable[..., Any]]) -> None:
    """Replace what a call of a function does for types that are new."""
    vars(function)["_compile_for_args"] = wrap(function._compile_for_args)


# --- files -------------------------------------------------------------------------------------


def cache_folder() -> str:
    """Return the folder that the user wants for what is cached, or an empty string."""
    return str(_config.CACHE_DIR)


def user_cache_folder(name: str) -> str:
    """Return a program's folder among the user's caches."""
    return str(_AppDirs(appname=name, appauthor=False).user_cache_dir)


def set_cache(function: Dispatcher | CFunction, cache: protocols.FunctionCache) -> None:
    """Have a function's code kept in a cache."""
    function._cache = cache


def when_loaded(library: CodeLibrary, action: Callable[[], Any]) -> None:
    """Have something done before code that is in a cache is loaded from there."""
    library._reload_init.add(action)


def to_do_before_loading(library: CodeLibrary) -> Any:
    """Return what is done before code that is in a cache is loaded from there."""
    return library._reload_init


# --- typing ------------------------------------------------------------------------------------


def type_calls(
    function: Function, typing: protocols.Typing, key: Any = None, literally: bool = False
) -> None:
    """Have Numba type calls of a function by the types of its arguments.

    Parameters
    ----------
    function : object
        A ufunc, an operator, a type or a function.
    typing : callable
        Returns a signature, or None for types that it's not about.
    key : object, optional
        What lowers the calls, as it's registered; by default the function.
    literally : bool, optional
        Whether the types of constants are tried first as such.
    """

    def generic(self: Any, args: Any, kws: Any) -> Any:
        return None if kws else typing(*args)

    members: dict[str, Any] = {"key": function, "generic": generic, "prefer_literal": literally}
    if key is not None:
        members["get_impl_key"] = lambda self, sig: key
    # Given alone, a ufunc is looked for in its module, which NumPy before 2.2 doesn't tell.
    _infer_global(function, types.Function(type("Typing", (_AbstractTemplate,), members)))


def leave_in_place_operators(are_ours: Callable[..., bool]) -> None:
    """Have Numba's typing of in-place operators leave some operands' types to others."""
    plain = _InPlace.generic

    def generic(self: Any, args: Any, kws: Any) -> Any:
        return None if are_ours(*args) else plain(self, args, kws)

    _InPlace.generic = generic


def count_as_numbers(*kinds: Kind) -> None:
    """Have Numba take types for those of scalars in loops over arrays."""
    types.number_domain |= set(kinds)


# --- lowering ----------------------------------------------------------------------------------


def make_struct(context: LoweringContext, builder: Builder, kind: Kind, **members: Value) -> Value:
    """Emit a value of a type that has members."""
    struct = _struct_proxy(kind)(context, builder)
    for name, value in members.items():
        setattr(struct, name, value)
    return struct._getvalue()


def only_element(context: LoweringContext, builder: Builder, kind: Kind, array: Value) -> Value:
    """Emit the first element of an array."""
    place = context.make_array(kind)(context, builder, array).data
    return _arrays().load_item(context, builder, kind, place)


def variable(module: Module, kind: protocols.LLVMType, name: str) -> Value:
    """Return a module's variable, which is declared if it isn't yet."""
    return module.globals.get(name) or _add_variable(module, kind, name)


def text(module: Module, name: str, content: str) -> Value:
    """Return a text that a module holds, which ends with a null byte."""
    return _add_constant(module, name, _bytes(content.encode() + b"\0"))


def lines_being_lowered() -> Iterator[Any]:
    """Yield the places that are being lowered, with file and line, from the innermost one.

    What lowers a call isn't told for which line; what walks through the function is up the stack.
    """
    for frame in _callers():
        if frame.f_code.co_name == "lower_inst":
            lowering: protocols.Lowering = frame.f_locals["self"]
            # What Numba makes of operators of arrays is a function of its own, from line 1 on.
            if not lowering.func_ir.func_id.func_name.startswith("__numba_array_expr"):
                yield lowering.loc


def is_entering_object_mode() -> bool:
    """Whether what hands values over to object mode is being lowered."""
    return any("ObjModeDispatcher" in frame.f_code.co_name for frame in _callers())


def _callers() -> Iterator[Any]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


def unboxing() -> dict[type, Callable[..., Any]]:
    """Return what unboxes values, by the classes of their types: it may be replaced there."""
    _arrays()
    return _unboxers  # type: ignore[no-any-return]


def boxing() -> dict[type, Callable[..., Any]]:
    """Return what boxes values, by the classes of their types: it may be replaced there."""
    _arrays()
    return _boxers  # type: ignore[no-any-return]


# --- Numba's intermediate form -----------------------------------------------------------------


def definition(function: FunctionIR, value: Instruction) -> Any:
    """Return what a variable is assigned, if that's one thing, or None."""
    return _guard(_get_definition, function, value)


def set_definition(function: FunctionIR, name: str, value: Instruction) -> None:
    """State what a variable is assigned now."""
    function._definitions[name] = [value]


# --- LLVM --------------------------------------------------------------------------------------


def free_passes(manager: Any) -> None:
    """Free a pass manager, which inherits two ways of being freed: the first does nothing."""
    ways = [vars(kind).get("_dispose") for kind in type(manager).__mro__]
    next(way for way in ways if way not in (None, _no_disposal))(manager)
    manager.detach()
