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
from numba.core import cgutils, config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys
from numba.extending import intrinsic

from tapegrad.caching import Entries
from tapegrad.errors import JitDisabledError
from tapegrad.notice import notice

if config.DISABLE_JIT:
    raise JitDisabledError(
        "NUMBA_DISABLE_JIT is set, and what tapegrad records and sweeps tapes by is compiled by "
        "Numba: unset it; to step through a function @njit in a debugger, differentiate the plain "
        "one, f.py_func"
    )

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}

compiling: Any = global_compiler_lock
"""The lock that is held while anything is compiled: Numba's own, so that there is one order."""


def _before_fork() -> None:
    compiling.acquire()
    # Machine code is freed by whichever thread lets go of it, under LLVM's lock alone.
    llvm.ffi.lib._lock.__enter__()


def _after_fork() -> None:
    llvm.ffi.lib._lock.__exit__()
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


class _TemporaryLocator(_CacheLocator):  # type: ignore[misc]  # numba is untyped
    """The last place to cache in: a folder of the user's own where temporary files are."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else os.getenv("USERNAME", "cache")
        self._folder = Path(tempfile.gettempdir()) / f"tapegrad-{user}"
        self._part = hashlib.sha256(str(Path(py_file).parent).encode()).hexdigest()[:12]
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """Return where to cache."""
        return str(self._folder / self._part)

    def get_source_stamp(self) -> str:
        """Return a stamp, which is replaced."""
        return ""

    def get_disambiguator(self) -> str:
        """Return what tells functions of one name apart."""
        return str(self._lineno)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _TemporaryLocator | None:
        """Return a locator, or None where the folder isn't ours: what it holds would be run."""
        locator = cls(py_func, py_file)
        try:
            locator._folder.mkdir(mode=0o700, exist_ok=True)
            status = locator._folder.lstat()
            if hasattr(os, "getuid") and (status.st_uid, status.st_mode & 0o077) != (
                os.getuid(),
                0,
            ):
                return None
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator


class _StampedImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (*CompileResultCacheImpl._locator_classes, _TemporaryLocator)

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        stamp = functools.partial(source_stamp, py_func.__module__)
        self._locator.get_source_stamp = stamp

    def reduce(self, data: Any) -> Any:
        """Return what is written of a compiled function."""
        reduced = super().reduce(data)
        # What must be there before the code is loaded; Numba forgets it of C functions.
        data.reload_init[:] = data.library._reload_init
        return reduced


class _StampedCache(FunctionCache):  # type: ignore[misc]
    """Numba's function cache, stamped with all sources and forgiving of damaged files."""

    _impl_class = _StampedImpl

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = Entries(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            # All that ready code calls of Numba's: its own method would first import whatever
            # Numba compiles by, and scipy.linalg for it, which takes most of a second.
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception:  # what another version of a package wrote may be read otherwise
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:  # a full or read-only disk costs the next process time, nothing else
            self.disable()


def _wanted_folder() -> Path:
    """Return where kernels are cached if nothing is in the way."""
    return Path(config.CACHE_DIR) if config.CACHE_DIR else _PACKAGE


@contextlib.contextmanager
def _caching(compiler: Any, function: Callable[..., Any]) -> Iterator[None]:
    """Give what compiles a function a cache on disk, if a folder can be written, for a block."""
    with contextlib.suppress(RuntimeError):  # no such folder: compile in each process
        compiler._cache = _StampedCache(function)
    with notice.compiling(getattr(compiler._cache, "cache_path", None), _wanted_folder()):
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
    `address` before; one that is not `on_demand` is made by `provide`.

    Attributes
    ----------
    name : str
        What the linker knows it by.
    call : intrinsic
        What compiled code calls.
    """

    _all: ClassVar[dict[str, Symbol]] = {}

    def __init__(self, name: str, function: Callable[..., Any], signature: Any,
                 on_demand: bool = True) -> None:  # fmt: skip
        assert name not in Symbol._all, f"two symbols are called {name}"
        self.name, self._is_on_demand = name, on_demand
        self._python_function = function
        self._address, self._is_loading = 0, False
        self._function: Any = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
        self.call = _caller(self, signature)
        Symbol._all[name] = self

    @classmethod
    @functools.cache
    def provide(cls) -> None:
        """Compile or load the symbols that code with active numbers may name."""
        for symbol in cls._all.values():
            if not symbol._is_on_demand:
                symbol.address()

    @global_compiler_lock  # type: ignore[untyped-decorator]
    def address(self) -> int:
        """Compile or load the function, and return where it is; 0 while that is being done."""
        if not self._address and not self._is_loading:
            self._is_loading = True
            try:
                with _caching(self._function, self._python_function):
                    self._function.compile()
                llvm.add_symbol(self.name, self._function.address)
                self._address = int(self._function.address)
            finally:
                self._is_loading = False
        return self._address

    def require(self, library: Any) -> None:
        """Compile or load the function now, and wherever code of a library comes from a cache."""
        self.address()
        library._reload_init.add(
            functools.partial(_load_symbol, self._python_function.__module__, self.name)
        )


def _load_symbol(module: str, name: str) -> None:
    importlib.import_module(module)
    Symbol._all[name].address()


def _caller(symbol: Symbol, signature: Any) -> Any:
    """Return what compiled code calls a symbol by."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        symbol.require(context.active_code_library)
        is_void = sig.return_type == types.void
        result = ir.VoidType() if is_void else context.get_value_type(sig.return_type)
        kind = ir.FunctionType(result, [context.get_value_type(x) for x in sig.args])
        function = cgutils.get_or_insert_function(builder.module, kind, symbol.name)
        value = builder.call(function, args)
        return context.get_dummy_value() if is_void else value

    def call(typing_context: Any, *args: Any) -> Any:
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
