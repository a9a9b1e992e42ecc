"""A search for what is used of a library whose versions differ: is it there, and called so."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any, Protocol


class _Nothing(Protocol):
    """What every protocol has."""


class Search:
    """Looks for interfaces, and notes which are missing or take other parameters.

    Attributes
    ----------
    faults : list of str
        What is missing or otherwise, in words.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def find(self, module: str, name: str, *parameters: str) -> Any:
        """Return what a module has under a name; if parameters are named, it takes these first."""
        try:
            found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except (ImportError, AttributeError):
            self.faults.append(f"{module}.{name} is missing")
            return None
        if parameters:
            self._compare(f"{module}.{name}", found, parameters)
        return found

    def find_class(self, module: str, name: str, used: type) -> Any:
        """Return a class whose objects have what a protocol lists."""
        found = self.find(module, name)
        if found is None:
            return None
        constructors = [vars(kind).get("__init__") for kind in found.__mro__]
        codes = [getattr(constructor, "__code__", None) for constructor in constructors]
        set_at_first = {name for code in codes if code is not None for name in code.co_names}
        for member in _members(used):
            if not hasattr(found, member):
                if member not in set_at_first:
                    self.faults.append(f"{module}.{name}.{member} is missing")
            elif inspect.isfunction(wanted := inspect.getattr_static(used, member, None)):
                self._compare(
                    f"{module}.{name}.{member}", getattr(found, member), _parameters(wanted)
                )
        return found

    def _compare(self, path: str, found: Any, wanted: tuple[str, ...]) -> None:
        taken = _parameters(found)
        if taken[: len(wanted)] != wanted:
            self.faults.append(f"{path} takes ({', '.join(taken)}), not ({', '.join(wanted)})")


def _parameters(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters, or of a class's."""
    if inspect.isfunction(function) and not hasattr(function, "__wrapped__"):
        code = function.__code__  # a tenth of the time that a signature takes
        stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(
            code.co_flags & inspect.CO_VARKEYWORDS
        )
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars]
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _members(protocol: type) -> list[str]:
    """Return the names of the attributes and methods that a protocol lists."""
    names = {n for kind in protocol.__mro__ for n in (*vars(kind), *inspect.get_annotations(kind))}
    return sorted(n for n in names - set(dir(_Nothing)) if not n.startswith("__"))
