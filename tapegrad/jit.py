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
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
from llvmlite import binding as llvm
from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock

from tapegrad.caching import Entries

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


class _StampedImpl(CompileResultCacheImpl):  # type: ignore[misc]  # numba is untyped
    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        stamp = functools.partial(source_stamp, py_func.__module__)
        self._locator.get_source_stamp = stamp


class _StampedCache(FunctionCache):  # type: ignore[misc]
    """Numba's function cache, stamped with all sources and forgiving of damaged files."""

    _impl_class = _StampedImpl

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = Entries(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what another version of a package wrote may be read otherwise
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:  # a full or read-only disk costs the next process time, nothing else
            self.disable()


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

    For what is too large to be compiled again inside every kernel that may call it. One that is
    `on_demand` is compiled when its address is asked for: whoever compiles code that calls it
    asks first, and keeps that code out of caches, from which it would be loaded without.

    Attributes
    ----------
    name : str
        What the linker knows it by.
    external : ExternalFunction
        What compiled code calls.
    """

    _all: ClassVar[list[Symbol]] = []

    def __init__(self, name: str, function: Callable[..., Any], signature: Any,
                 on_demand: bool = False) -> None:  # fmt: skip
        self.name, self._is_on_demand = name, on_demand
        self._python_function = function
        self._function: Any = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
        self.external = types.ExternalFunction(name, signature)
        Symbol._all.append(self)

    @classmethod
    @functools.cache
    def provide(cls) -> None:
        """Compile or load the symbols that any code may name, so that it can be linked."""
        for symbol in cls._all:
            if not symbol._is_on_demand:
                symbol.address()

    @functools.cache  # noqa: B019  # a symbol is never freed
    def address(self) -> int:
        """Compile or load the function, and return where it is."""
        with contextlib.suppress(RuntimeError):  # no writable directory
            self._function._cache = _StampedCache(self._python_function)
        self._function.compile()
        llvm.add_symbol(self.name, self._function.address)
        return int(self._function.address)


class Kernel:
    """A compiled function called from Python with one fixed signature.

    Compiled at the first call. `run` is then Numba's bare entry point, which unboxes the
    arguments without the dispatcher's type lookup (about 1 us less for a few arrays); so the
    caller must pass exactly the types of the signature.
    """

    __slots__ = ("_dispatcher", "_signature", "run")

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self._dispatcher = numba.jit(**_OPTIONS)(getattr(function, "py_func", function))
        self._signature = signature
        self.run: Callable[..., Any] = self._compile_and_run

    def _compile_and_run(self, *args: Any) -> Any:
        self.compile()
        return self.run(*args)

    def compile(self) -> None:
        """Compile now, or load from the cache."""
        if self.run == self._compile_and_run:
            Symbol.provide()
            with contextlib.suppress(RuntimeError):  # no writable directory: compile each time
                self._dispatcher._cache = _StampedCache(self._dispatcher.py_func)
            signature = self._signature() if callable(self._signature) else self._signature
            self.run = self._dispatcher.compile(signature)
