"""The one door to Numba: compiler options, error model and cache policy.

Every compiled function of the library goes through `jit` (called from other compiled code) or
`Kernel` (called from Python, with a fixed signature, cached on disk). A cache entry is valid
for exactly one content of the sources it's compiled from, and one that isn't as it was written is
compiled again. Whatever compiles holds one lock, and a fork waits for it, so that no process begins
with a compilation that nobody goes on with.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tapegrad import numba_internals as internals
from tapegrad.caching import Entries
from tapegrad.errors import JitDisabledError
from tapegrad.notice import notice
from tapegrad.numba_cache import DiskCache
from tapegrad.numba_protocols import (
    Builder,
    CFunction,
    CodeLibrary,
    Dispatcher,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)

if numba.config.DISABLE_JIT:
    raise JitDisabledError(
        "NUMBA_DISABLE_JIT is set, and what tapegrad records and sweeps tapes by is compiled by "
        "Numba: unset it; to step through a function @njit in a debugger, differentiate the plain "
        "one, f.py_func"
    )

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}

compiling: Any = internals.compiler_lock
"""The lock that is held while anything is compiled: Numba's own, so that there is one order."""


def _before_fork() -> None:
    compiling.acquire()
    # Machine code is freed by whichever thread lets go of it, under LLVM's lock alone.
    internals.llvm_lock.__enter__()


def _after_fork() -> None:
    internals.llvm_lock.__exit__()
    compiling.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )

_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(
    rb"^\s*(?:from\s+(tapegrad[\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+(tapegrad[\w.]*))",
    re.MULTILINE,
)


@functools.cache
def _digest_and_imports(module: str) -> tuple[bytes, tuple[str, ...]] | None:
    """Return a module's digest and the names it imports from this package; None if it's none."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) or _file_of(module)
    if file is None:
        return None
    source = Path(file).read_bytes()
    imported = []
    for parent, names, whole in _IMPORT.findall(source):
        origin = (whole or parent).decode()
        words = re.findall(r"\w+", re.sub(r"#[^\n]*| as \w+", "", names.decode())) or [""]
        parts = [f"{origin}.{word}" if word else origin for word in words]
        imported += [part if _file_of(part) else origin for part in parts]
    return hashlib.sha256(source).digest(), tuple(dict.fromkeys(imported))


@functools.cache
def _file_of(module: str) -> Path | None:
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@functools.cache
def source_stamp(*roots: str) -> str:
    """Digest of the source files that some modules and packages are made of.

    Numba's own stamp covers one file, but a kernel inlines functions from many: whatever its
    module imports, and what those import in turn. Of a package it's every module.
    """
    pending = list(roots)
    for root in roots:
        folder = _PACKAGE.joinpath(*root.split(".")[1:])
        pending += [f"{root}.{path.stem}" for path in folder.rglob("*.py") if folder.is_dir()]
    digests: dict[str, bytes] = {}
    while pending:
        module = pending.pop()
        found = None if module in digests else _digest_and_imports(module)
        if found is not None:
            digests[module] = found[0]
            pending.extend(found[1])
    digest = hashlib.sha256()
    for module in sorted(digests):
        digest.update(module.encode() + digests[module])
    return digest.hexdigest()


def _temporary_folder(file: str) -> Path | None:
    """Return where to cache the functions of a file if nowhere else can be written.

    That's a folder of the user's own where temporary files are. None where it isn't the user's:
    what it holds would be run.
    """
    user = os.getuid() if hasattr(os, "getuid") else os.getenv("USERNAME", "cache")
    folder = Path(tempfile.gettempdir()) / f"tapegrad-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if hasattr(os, "getuid") and (status.st_uid, status.st_mode & 0o077) != (os.getuid(), 0):
        return None
    return folder / hashlib.sha256(str(Path(file).parent).encode()).hexdigest()[:12]


def _wanted_folder() -> Path:
    """Return where kernels are cached if nothing is in the way."""
    return Path(internals.cache_folder() or _PACKAGE)


@contextlib.contextmanager
def _caching(compiler: Dispatcher | CFunction, function: Callable[..., Any]) -> Iterator[None]:
    """Give what compiles a function a cache on disk, if a folder can be written, for a block."""
    stamp = source_stamp(function.__module__)
    folder = None
    with contextlib.suppress(RuntimeError):  # no such folder: compile in each process
        cache = DiskCache(
            function, _temporary_folder, lambda folder, stem: Entries(folder, stem, stamp)
        )
        internals.set_cache(compiler, cache)
        folder = cache.cache_path
    with notice.compiling(folder, _wanted_folder()):
        yield


def jit(function: F) -> F:
    """Compile `function` with the library's options; for calls from other compiled code.

    Not cached on disk: the kernel it's inlined into is.
    """
    return cast(F, numba.jit(**_OPTIONS)(function))


def jit_inline(function: F) -> F:
    """Compile `function` like `jit`, and have LLVM inline it wherever it's called."""
    return cast(F, numba.jit(forceinline=True, **_OPTIONS)(function))


class Symbol:
    """A compiled function that other compiled code calls by name, and doesn't contain.

    For what is too large to be compiled again inside everything that may call it. It's compiled,
    or loaded from the cache, when code that calls it is. Code that names it otherwise asks for
    `address` before; one that is not `on_demand` is made by `provide`, before any that `records`
    operations of active numbers.

    Attributes
    ----------
    name : str
        What the linker knows it by.
    call : intrinsic
        What compiled code calls.
    """

    _all: ClassVar[dict[str, Symbol]] = {}

    def __init__(self, name: str, function: Callable[..., Any], signature: Any,
                 on_demand: bool = True, records: bool = False) -> None:  # fmt: skip
        assert name not in Symbol._all, f"two symbols are called {name}"
        self.name, self._is_on_demand, self._records = name, on_demand, records
        self._python_function = function
        self._address, self._is_loading = 0, False
        self._function: CFunction = internals.CFunc(
            function, (signature.args, signature.return_type), {}, _OPTIONS
        )
        self.call = _caller(self, signature)
        Symbol._all[name] = self

    @classmethod
    @functools.cache
    def provide(cls) -> None:
        """Compile or load the symbols that code with active numbers may name."""
        for symbol in cls._all.values():
            if not symbol._is_on_demand:
                symbol.address()

    def address(self) -> int:
        """Compile or load the function, and return where it is; 0 while that is being done."""
        return self._address or self._made()

    @internals.compiler_lock  # type: ignore[untyped-decorator]
    def _made(self) -> int:
        if not self._address and not self._is_loading:
            self._is_loading = True
            try:
                if self._records:
                    Symbol.provide()
                with _caching(self._function, self._python_function):
                    self._function.compile()
                llvm.add_symbol(self.name, self._function.address)
                self._address = int(self._function.address)
            finally:
                self._is_loading = False
        return self._address

    def require(self, library: CodeLibrary) -> None:
        """Compile or load the function now, and wherever code of a library comes from a cache."""
        self.address()
        load = functools.partial(_load_symbol, self._python_function.__module__, self.name)
        internals.when_loaded(library, load)


def _load_symbol(module: str, name: str) -> None:
    importlib.import_module(module)
    Symbol._all[name].address()


def _caller(symbol: Symbol, signature: Signature) -> Any:
    """Return what compiled code calls a symbol by."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        symbol.require(context.active_code_library)
        is_void = sig.return_type == types.void
        result = ir.VoidType() if is_void else context.get_value_type(sig.return_type)
        kind = ir.FunctionType(result, [context.get_value_type(x) for x in sig.args])
        function = internals.declare(builder.module, kind, symbol.name)
        value = builder.call(function, args)
        return context.get_dummy_value() if is_void else value

    def call(typing_context: TypingContext, *args: Kind) -> Intrinsic:
        return signature, codegen

    # Numba would pack what a star takes into a tuple, so it's told the names.
    names = ["typing_context", *inspect.signature(symbol._python_function).parameters]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    vars(call)["__signature__"] = inspect.Signature([inspect.Parameter(n, kind) for n in names])
    return intrinsic(call)


class Kernel:
    """A compiled function called from Python with one fixed signature.

    Compiled at the first call. `run` is then Numba's bare entry point, which unboxes the
    arguments without the dispatcher's type lookup (about 1 us less for a few arrays); so the
    caller must pass exactly the types of the signature. One that `records` operations of active
    numbers names the symbols that such code may name.
    """

    __slots__ = ("_dispatcher", "_records", "_signature", "run")

    def __init__(self, function: Callable[..., Any], signature: Any,
                 records: bool = False) -> None:  # fmt: skip
        self._records = records
        self._dispatcher = numba.jit(**_OPTIONS)(getattr(function, "py_func", function))
        self._signature = signature
        self.run: Callable[..., Any] = self._compile_and_run

    def _compile_and_run(self, *args: Any) -> Any:
        self.compile()
        return self.run(*args)

    def compile(self) -> None:
        """Compile now, or load from the cache."""
        if self.run == self._compile_and_run:
            if self._records:
                Symbol.provide()
            signature = self._signature() if callable(self._signature) else self._signature
            with _caching(self._dispatcher, self._dispatcher.py_func):
                self.run = self._dispatcher.compile(signature)
