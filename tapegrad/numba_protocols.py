"""What Numba's objects are to the code that lowers: the attributes and methods it uses, no more.

LLVM's are llvmlite's own classes. That the installed Numba's classes have what is listed here,
with parameters of these names, is what `numba_internals` looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from llvmlite import ir
from numba import types

Kind: TypeAlias = types.Type
"""A Numba type, as the typing of functions has it."""

Builder: TypeAlias = ir.IRBuilder
Module: TypeAlias = ir.Module

Value: TypeAlias = ir.Value
"""What instructions make, or a constant."""

Values: TypeAlias = Sequence[ir.Value]

LLVMType: TypeAlias = ir.Type

Implementation: TypeAlias = Callable[..., Any]
"""A function for Numba to compile."""

Choose: TypeAlias = Callable[..., Implementation | None]
"""What is given the types of arguments, and returns what is compiled for them."""


Typing: TypeAlias = "Callable[..., Signature | None]"
"""What is given the types of arguments, and returns a signature if it's about them."""


Function: TypeAlias = Any
"""What may be called in code that Numba compiles: a function, an operator, a ufunc, a type."""


class Signature(Protocol):
    """The types of a function's arguments and of its result."""

    @property
    def args(self) -> Sequence[Kind]: ...
    @property
    def return_type(self) -> Kind: ...


class TypingContext(Protocol):
    """What finds types."""

    def can_convert(self, fromty: Kind, toty: Kind) -> Any: ...
    def unify_pairs(self, first: Kind, second: Kind) -> Kind | None: ...


class Convertible(Protocol):
    """A Numba type, as what converts to another one."""

    def can_convert_from(self, typingctx: TypingContext, other: Kind) -> Any: ...
    def can_convert_to(self, typingctx: TypingContext, other: Kind) -> Any: ...
    def unify(self, typingctx: TypingContext, other: Kind) -> Kind | None: ...


class ReferenceCounting(Protocol):
    """What counts the references to memory."""

    def decref(self, builder: Builder, typ: Kind, value: Value) -> None: ...


class CallConvention(Protocol):
    """How functions that may raise are called."""

    def return_status_propagate(self, builder: Builder, status: Any) -> None: ...


class CodeLibrary(Protocol):
    """Code that is compiled and linked as one."""

    _reload_init: set[Callable[[], Any]]


class LoweringContext(Protocol):
    """What lowers types and calls to LLVM's."""

    @property
    def active_code_library(self) -> CodeLibrary: ...
    @property
    def call_conv(self) -> CallConvention: ...
    @property
    def nrt(self) -> ReferenceCounting: ...
    def add_dynamic_addr(self, builder: Builder, intaddr: int, info: str) -> Value: ...
    def call_internal_no_propagate(
        self, builder: Builder, fndesc: Any, sig: Signature, args: Values
    ) -> tuple[Any, Value]: ...
    def cast(self, builder: Builder, val: Value, fromty: Kind, toty: Kind) -> Value: ...
    def compile_internal(
        self, builder: Builder, impl: Implementation, sig: Signature, args: Values
    ) -> Value: ...
    def compile_subroutine(self, builder: Builder, impl: Implementation, sig: Signature) -> Any: ...
    def get_constant(self, ty: Kind, val: Any) -> Value: ...
    def get_constant_null(self, ty: Kind) -> Value: ...
    def get_dummy_value(self) -> Value: ...
    def get_function(self, fn: Any, sig: Signature) -> Callable[[Builder, Values], Value]: ...
    def get_value_type(self, ty: Kind) -> LLVMType: ...
    def make_array(self, typ: Kind) -> Callable[..., Any]: ...
    def make_tuple(self, builder: Builder, typ: Kind, values: Values) -> Value: ...


Lower: TypeAlias = Callable[[LoweringContext, Builder, Signature, Values], Value]
"""What emits a call."""


Intrinsic: TypeAlias = tuple[Signature, Lower]
"""What an intrinsic is, for types of arguments."""


class PythonApi(Protocol):
    """Python's C interface, as calls that are emitted."""

    def call_function_objargs(self, callee: Value, objargs: Values) -> Value: ...
    def decref(self, obj: Value) -> None: ...
    def err_push(self) -> AbstractContextManager[None]: ...
    def float_as_double(self, fobj: Value) -> Value: ...
    def float_from_double(self, fval: Value) -> Value: ...
    def get_c_object(self, name: str) -> Value: ...
    def get_type(self, obj: Value) -> Value: ...
    def long_as_longlong(self, numobj: Value) -> Value: ...
    def long_from_longlong(self, ival: Value) -> Value: ...
    def nrt_adapt_ndarray_to_python(self, aryty: Kind, ary: Value, dtypeptr: Value) -> Value: ...
    def serialize_object(self, obj: Any) -> Any: ...
    def tuple_getitem(self, tup: Value, idx: int) -> Value: ...
    def unserialize(self, structptr: Any) -> Value: ...


class Constants(Protocol):
    """What keeps Python objects for compiled code."""

    def add_const(self, const: Any) -> int: ...
    def read_const(self, index: int) -> Value: ...


class UnboxContext(Protocol):
    """Where what comes in is unboxed."""

    @property
    def builder(self) -> Builder: ...
    @property
    def context(self) -> LoweringContext: ...
    @property
    def pyapi(self) -> PythonApi: ...


class BoxContext(UnboxContext, Protocol):
    """Where what goes out is boxed."""

    @property
    def env_manager(self) -> Constants: ...


Instruction: TypeAlias = Any
"""What Numba's intermediate form is made of; its attributes depend on its class."""


class Block(Protocol):
    """Instructions of Numba's intermediate form that run one after the other."""

    body: list[Any]

    def append(self, inst: Any) -> None: ...
    def clear(self) -> None: ...
    def copy(self) -> Block: ...
    def find_insts(self, cls: Any) -> Iterator[Any]: ...


class FunctionIR(Protocol):
    """A function in Numba's intermediate form."""

    blocks: dict[int, Block]
    func_id: Any
    _definitions: dict[str, list[Any]]


class Lowering(Protocol):
    """What emits a function in that form."""

    func_ir: FunctionIR
    loc: Any


class Rewrite(Protocol):
    """What changes functions in Numba's intermediate form."""

    def apply(self) -> Block: ...
    def match(self, func_ir: FunctionIR, block: Block, typemap: Any, calltypes: Any) -> bool: ...


class CompilerState(Protocol):
    """What the stages of compiling a function hand on."""

    args: Iterable[Kind]
    flags: Any
    func_id: Any


class Dispatcher(Protocol):
    """A function of the user's that Numba compiles."""

    py_func: Any
    targetoptions: dict[str, Any]
    _cache: Any
    _can_compile: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def _compile_for_args(self, *args: Any, **kws: Any) -> Any: ...
    def compile(self, sig: Any) -> Callable[..., Any]: ...
    def enable_caching(self) -> None: ...


class CFunction(Protocol):
    """A function compiled for C to call."""

    _cache: Any

    @property
    def address(self) -> int: ...
    def compile(self) -> None: ...


class CacheLocator(Protocol):
    """Where a function is cached."""

    def ensure_cache_path(self) -> None: ...
    def get_cache_path(self) -> str: ...
    def get_disambiguator(self) -> str: ...
    def get_source_stamp(self) -> Any: ...


class CacheContent(Protocol):
    """What is cached of a function."""

    _locator_classes: Sequence[Any]

    @property
    def filename_base(self) -> str: ...
    def reduce(self, cres: Any) -> Any: ...


class FunctionCache(Protocol):
    """Numba's cache of a function on disk."""

    _cache_file: Any
    _cache_path: str
    _impl: CacheContent
    _impl_class: Any

    @property
    def cache_path(self) -> str: ...
    def disable(self) -> None: ...
    def load_overload(self, sig: Any, target_context: Any) -> Any: ...
    def save_overload(self, sig: Any, data: Any) -> None: ...
