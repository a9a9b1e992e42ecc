"""SciPy's functions with rules, and how they're recognised, however a function reaches them.

`scipy_rule` and `sparse_method` add rows. SciPy is optional and may be imported at any time: what
has been by the time of a recording is found then. While one is open, the functions found are
replaced by neutral ones, which ask only whether an argument holds active numbers: if none does,
the call is SciPy's own. What is known here of SciPy's insides is how its modules and classes are
laid out, nothing else.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.active import Active, ActiveBool
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.frames import Site
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.nesting import THREAD
from tapegrad.record.pairs import Pair
from tapegrad.record.plain import plain_arguments
from tapegrad.record.trampolines import stand_for

F = TypeVar("F", bound=Callable[..., Any])
Rule = Callable[..., Any]

FUNCTIONS: dict[str, Rule] = {}
"""The rules of SciPy's functions, by their full names."""

_ROWS: dict[str, Callable[[str, FunctionType, Rule], Row]] = {}
"""What makes the rows of functions that aren't called active by their arguments alone."""

SPARSE_METHODS: dict[str, Rule] = {}
"""The rules of methods of every class of sparse matrices and arrays, by name."""

SPARSE = "scipy.sparse"


FOUND_IN: dict[str, str] = {}
"""The modules that have what SciPy's functions call, where they are no functions of Python's."""


def scipy_rule(
    *names: str, row: Callable[[str, FunctionType, Rule], Row] | None = None, found_in: str = ""
) -> Callable[[F], F]:
    """Register the decorated function as the rule of SciPy's functions of these full names.

    Its parameters are called as SciPy's are; those it lacks must be left at their defaults.
    """

    def register(recorder: F) -> F:
        FUNCTIONS.update(dict.fromkeys(names, recorder))
        FOUND_IN.update(dict.fromkeys(names, found_in) if found_in else {})
        NAMED.update(names)
        if row is not None:
            _ROWS.update(dict.fromkeys(names, row))
        return recorder

    return register


def sparse_method(*names: str) -> Callable[[F], F]:
    """Register the decorated function as the rule of methods of sparse matrices and arrays."""

    def register(recorder: F) -> F:
        SPARSE_METHODS.update(dict.fromkeys(names, recorder))
        return recorder

    return register


def on_import(module: str) -> Callable[[F], F]:
    """Register what is called with a module when it's found to be imported."""

    def register(prepare: F) -> F:
        _PREPARING[module] = prepare
        return prepare

    return register


_PREPARING: dict[str, Callable[[ModuleType], None]] = {}


STAND_INS: set[type] = set()
"""The classes of objects that stand for SciPy's and hold active numbers."""


HOLDERS: set[type] = set()
"""The classes of SciPy's objects that may hold active numbers in their attributes."""


# --- what is active ---------------------------------------------------------------------------

_ACTIVES = frozenset([Active, ActiveBool, ActiveArray])
_sparse_kinds: set[type] = set()


def is_held(thing: Any) -> bool:
    """Whether an argument is active, or holds what is."""
    kind = type(thing)
    if kind in _ACTIVES or kind in STAND_INS or issubclass(kind, Pair):
        return True
    if kind is list or issubclass(kind, tuple):
        return any(map(is_held, thing))
    if kind in _sparse_kinds:  # somebody may have given it other numbers
        return type(vars(thing).get("data")) is ActiveArray
    if kind in HOLDERS:
        return any(map(is_held, _held_by(thing)))
    return kind is np.ndarray and thing.dtype == object and any(True for _ in tapes_in(thing))


def _held_by(thing: Any) -> Iterator[Any]:
    """Yield what an object has in its attributes and slots."""
    yield from vars(thing).values()
    for base in type(thing).__mro__:
        for name in vars(base).get("__slots__", ()):
            yield getattr(thing, name, None)


def _stands_in(thing: Any) -> bool:
    """Whether an argument holds objects that stand for SciPy's, or SciPy's of active numbers."""
    kind = type(thing)
    if kind in (list, tuple):
        return any(map(_stands_in, thing))
    return kind in STAND_INS or (kind in HOLDERS and is_held(thing))


def is_passive(thing: Any) -> bool:
    """Whether nothing in an argument depends on an input."""
    if type(thing) is ActiveArray:
        return thing.is_passive
    if isinstance(thing, Pair):
        return is_passive(thing.re) and is_passive(thing.im)
    if isinstance(thing, list | tuple):
        return all(map(is_passive, thing))
    return not is_held(thing)


def without_actives(thing: Any) -> Any:
    """Return an argument in which nothing is active, with plain arrays."""
    kind: Any = type(thing)
    if kind is ActiveArray or issubclass(kind, Pair):
        return thing.primal.copy()
    return type(thing)(map(without_actives, thing)) if type(thing) in (list, tuple) else thing


def _settled(thing: Any) -> Any:
    """Return an argument as a plain one, if it only might have held active numbers."""
    return without_actives(thing) if is_held(thing) and is_passive(thing) else thing


# --- neutral functions ------------------------------------------------------------------------

_SIMPLE = (bool, int, float, str, type(None))


def _is_default(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return isinstance(value, _SIMPLE) and type(value) is type(default) and value == default


class Row:
    """A function of SciPy's and its rule."""

    def __init__(self, name: str, function: Rule, rule: Rule) -> None:
        self.name, self.rule = name, rule
        parameters = inspect.signature(function).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        kinds |= {parameter.kind for parameter in inspect.signature(rule).parameters.values()}
        self._is_variadic = inspect.Parameter.VAR_POSITIONAL in kinds
        self._parameters = list(parameters)
        # A decorator's own parameters, too, which its function's signature hasn't.
        self._defaults = {
            **(getattr(function, "__kwdefaults__", None) or {}),
            **{key: parameter.default for key, parameter in parameters.items()},
        }
        self._taken: frozenset[str] | None = frozenset(inspect.signature(rule).parameters)

    def neutral(self, plain: FunctionType) -> Any:
        """Return what is the function as it was, or its rule if it's called with active numbers."""
        makes = plain.__name__ == "__init__"

        def call(*args: Any, **kwargs: Any) -> Any:
            if makes:
                THREAD.twins.made[id(args[0])] = args[0]
            if not is_held(args) and not (kwargs and is_held([*kwargs.values()])):
                return plain(*args, **kwargs)
            if is_passive(args) and is_passive([*kwargs.values()]):
                return plain(
                    *without_actives(args), **{k: without_actives(x) for k, x in kwargs.items()}
                )
            try:
                return self.recorded(args, kwargs)
            except UnsupportedFunctionError:
                stands_in = _stands_in([*args, *kwargs.values()])
                found = None if stands_in else plain_arguments((args, kwargs))
                if found is None:
                    raise
            return plain(*found[0], **found[1])

        call.__name__, call.__qualname__ = plain.__name__, plain.__qualname__
        return call

    def recorded(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the rule makes of arguments, or raise for those that it has none for."""
        args, kwargs = tuple(map(_settled, args)), {k: _settled(x) for k, x in kwargs.items()}
        if self._is_variadic:
            return self.rule(*args, **kwargs)
        given = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        defaults = self._defaults
        wanted = {
            key: value
            for key, value in given.items()
            if key not in defaults or not _is_default(value, defaults[key])
        }
        for key in wanted:
            if self._taken is not None and key not in self._taken:
                raise no_rule(f"{self.name} with {key}=", "leave it out, or ")
        return self.rule(**wanted)


def is_made_here(thing: Any) -> bool:
    """Whether an object of SciPy's was made while this thread records."""
    return THREAD.twins.made.get(id(thing)) is thing


def no_rule(what: str, way_out: str = "") -> UnsupportedFunctionError:
    """Return the error for a call of SciPy's that can't be recorded, and what to write instead."""
    return UnsupportedFunctionError(
        f"{what} has no rule for active arguments, at {Site().place}{way_out}write it with "
        "functions that have one (tapegrad.supported() lists them), give it a derivative of your "
        "own with tapegrad.custom_rule, or apply it to tapegrad.stop_gradient(x) if its "
        "derivative is not wanted"
    )


# --- finding them -----------------------------------------------------------------------------

_found: set[str] = set()


def find_functions() -> None:
    """Have the functions replaced that are of modules imported since this was asked last."""
    for name in _modules() - _found:
        module = sys.modules.get(name)
        # One that is being imported, by another thread, may lack any of its names.
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            rows = list(_rows_of(name, module))
            stand_for({function: row.neutral for function, row in rows})
            if name in _PREPARING:
                _PREPARING[name](module)
            _found.add(name)


@functools.cache
def _modules() -> frozenset[str]:
    owners = set(map(_owner_of, FUNCTIONS))
    return frozenset(owners | {SPARSE} | set(_PREPARING))


def _owner_of(full: str) -> str:
    return FOUND_IN.get(full) or full.rpartition(".")[0]


def _rows_of(name: str, module: ModuleType) -> Iterator[tuple[FunctionType, Row]]:
    for full, rule in FUNCTIONS.items():
        own = full.rpartition(".")[2]
        thing = getattr(module, own, None) if _owner_of(full) == name else None
        if isinstance(thing, type):
            thing = thing.__dict__.get("__init__")
        if isinstance(thing, FunctionType):
            yield thing, _ROWS.get(full, Row)(full, thing, rule)
    if name == SPARSE:
        _sparse_kinds.update(_classes(module))
        for kind in _bases(_sparse_kinds):
            for own, rule in SPARSE_METHODS.items():
                method = vars(kind).get(own)
                if isinstance(method, FunctionType):
                    yield method, Row(f"{SPARSE}.{kind.__name__}.{own}", method, rule)


def _classes(module: ModuleType) -> Iterator[type]:
    roots = tuple(vars(module)[name] for name in ("sparray", "spmatrix") if name in vars(module))
    for thing in vars(module).values():
        if isinstance(thing, type) and issubclass(thing, roots):
            yield thing


def _bases(kinds: Iterable[type]) -> dict[type, None]:
    return {
        base: None for kind in kinds for base in kind.__mro__ if base.__module__.startswith(SPARSE)
    }


def is_sparse(thing: Any) -> bool:
    """Whether a thing is one of SciPy's sparse matrices and arrays, or stands for one."""
    module = sys.modules.get(SPARSE)
    return module is not None and bool(module.issparse(thing))
