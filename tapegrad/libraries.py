"""Whose code a thing is: the user's, an installed library's, or this package's."""

from __future__ import annotations

import functools
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).parent)


@functools.cache
def in_library(file: str) -> bool:
    """Whether a source file belongs to an installed library, or to this package."""
    return file.startswith((*_LIBRARIES, _PACKAGE, "<frozen"))


def is_library_module(module: ModuleType) -> bool:
    """Whether a module is an installed library's; one without a file if Python brought it."""
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__.partition(".")[0] in sys.stdlib_module_names
    return module.__name__ != "__main__" and in_library(file)


def is_library_object(thing: Any) -> bool:
    """Whether a class, or the class of an object, is an installed library's."""
    kind = thing if isinstance(thing, type) else type(thing)
    module = sys.modules.get(kind.__module__)
    return is_of_this_package(kind.__module__) or (module is not None and is_library_module(module))


def is_compiler_object(thing: Any) -> bool:
    """Whether an object is part of a compiler, whose insides are endless and no user's data."""
    return type(thing).__module__.startswith(("numba.core", "numba.stencils", "llvmlite."))


def is_of_this_package(module: str | None) -> bool:
    """Whether a module of this name belongs to this package."""
    return (module or "").partition(".")[0] == "tapegrad"


def frames_to_user() -> int:
    """Return how many frames up, from the caller, the first one outside this package is."""
    count, frame = 0, sys._getframe(1)
    while frame.f_back is not None and is_of_this_package(frame.f_globals.get("__name__")):
        count, frame = count + 1, frame.f_back
    return count
