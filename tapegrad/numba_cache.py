"""Numba's cache of compiled functions on disk, in files and folders of another's choice."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tapegrad.numba_internals import (
    CacheContent,
    CacheLocator,
    FunctionCache,
    start_runtime,
    to_do_before_loading,
)


class _Place(CacheLocator):  # type: ignore[misc]  # numba is untyped
    """A folder to cache a function in."""

    def __init__(self, function: Callable[..., Any], file: str, folder: Path) -> None:
        self._py_file, self._folder = file, folder
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return ""

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Kept(CacheContent):  # type: ignore[misc]
    """What is kept of a function, and where."""

    def __init__(self, function: Callable[..., Any], last: Callable[[str], Path | None]) -> None:
        def place(function: Callable[..., Any], file: str) -> _Place | None:
            if (folder := last(file)) is not None:
                found = _Place(function, file, folder)
                with contextlib.suppress(OSError):
                    found.ensure_cache_path()
                    return found
            return None

        last_place = SimpleNamespace(from_function=place)
        self._locator_classes = (*super()._locator_classes, last_place)
        super().__init__(function)

    def reduce(self, data: Any) -> Any:
        reduced = super().reduce(data)
        # What must be there before the code is loaded; Numba forgets it of C functions.
        data.reload_init[:] = to_do_before_loading(data.library)
        return reduced


class DiskCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function on disk, but for the files, and forgiving of damaged ones.

    Parameters
    ----------
    function : callable
    last : callable
        Returns a folder for a source file, where Numba's own can't be written.
    files : callable
        Returns, for a folder and what names begin with, what loads and saves by a key.
    """

    def __init__(self, function: Callable[..., Any], last: Callable[[str], Path | None],
                 files: Callable[[str, str], Any]) -> None:  # fmt: skip
        self._impl_class = functools.partial(_Kept, last=last)
        super().__init__(function)
        self._cache_file = files(self._cache_path, self._impl.filename_base)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was kept for a signature, or None."""
        try:
            # All that ready code calls of Numba's: its own method would first import whatever
            # Numba compiles by, and scipy.linalg for it, which takes most of a second.
            start_runtime(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception:  # what another version of a package wrote may be read otherwise
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if that's possible."""
        try:
            super().save_overload(sig, data)
        except OSError:  # a full or read-only disk costs the next process time, nothing else
            self.disable()
