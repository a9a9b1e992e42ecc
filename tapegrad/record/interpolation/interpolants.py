"""Methods of SciPy's interpolants: which have rules, and how those are found.

A method is replaced where SciPy defines it, which may be a base class of several kinds: the rule
is chosen by the object's class, so that those which users derive are recognised too. Objects keep
their class and hold active numbers in SciPy's own attributes. What has no rule is refused by name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tapegrad.record.array import ActiveArray, wrap
from tapegrad.record.creation import as_array
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.interpolation import interpolate_private
from tapegrad.record.interpolation.interpolate_private import MODULE, hold
from tapegrad.record.nesting import unsettle
from tapegrad.record.scipy.recognised import HOLDERS, Row, is_held, no_rule, on_import
from tapegrad.record.trampolines import stand_for

Rule = Callable[..., Any]

_METHODS: dict[str, dict[str, Rule]] = {}
_FUNCTIONS: dict[str, Rule] = {}


def method(*names: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of methods, named as ``"PPoly.derivative"``."""

    def register(rule: Rule) -> Rule:
        for full in names:
            kind, _, name = full.partition(".")
            _METHODS.setdefault(kind, {})[name] = rule
            if not kind.startswith("_") and _is_public(name):
                NAMED.add(_without_dunders(f"{MODULE}.{full}"))
        return rule

    return register


def function(*names: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of functions of scipy.interpolate."""

    def register(rule: Rule) -> Rule:
        _FUNCTIONS.update(dict.fromkeys(names, rule))
        NAMED.update(f"{MODULE}.{name}" for name in names)
        return rule

    return register


@on_import(MODULE)
def _prepare(module: ModuleType) -> None:
    """Have methods and functions replaced, however they're reached."""
    public: dict[str, Any] = {
        name: thing for name, thing in vars(module).items()
        if getattr(thing, "__module__", "").startswith(f"{MODULE}.") and not name.startswith("_")
    }  # fmt: skip
    kinds = {name: thing for name, thing in public.items() if isinstance(thing, type)}
    found: dict[FunctionType, dict[type, str]] = {}
    for title, kind in sorted(kinds.items(), key=lambda item: -len(item[1].__mro__)):
        for name in dir(kind):
            own = _function_of(kind, name)
            rule = _rule_of(kind, name)
            if own is not None and (rule or _is_public(name)):
                found.setdefault(own, {})[kind] = f"{MODULE}.{title}.{name}"
    makers = {own: _row(own, titles).neutral for own, titles in found.items()}
    for name, thing in public.items():
        if isinstance(thing, FunctionType):
            rule = _FUNCTIONS.get(name)
            full = f"{MODULE}.{name}"
            makers[thing] = Row(full, thing, rule or _refusing(full, thing)).neutral
    stand_for(makers)


def _function_of(kind: type, name: str) -> FunctionType | None:
    thing = inspect.getattr_static(kind, name, None)
    thing = getattr(thing, "__func__", thing)
    if not isinstance(thing, FunctionType) or not thing.__module__.startswith(MODULE):
        return None
    # What stands for a compiled method already, for good, is asked there.
    return None if thing.__globals__["__name__"].startswith("tapegrad.") else thing


def _without_dunders(full: str) -> str:
    return full.removesuffix(".__call__").removesuffix(".__init__")


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__")


@functools.cache
def _rule_of(kind: type, name: str) -> Rule | None:
    """Return the rule of a method of SciPy's class, or of its base's, that a class derives from."""
    for base in (base for base in kind.__mro__ if base.__module__.startswith(MODULE)):
        rule = _METHODS.get(base.__name__, {}).get(name)
        if rule is not None or name in vars(base):
            return rule
    return None


def _refusing(full: str, function: FunctionType) -> Rule:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise no_rule(full)

    vars(refuse)["__signature__"] = inspect.signature(function)
    return refuse


@functools.cache
def _parameters(rule: Rule) -> frozenset[str]:
    return frozenset(inspect.signature(rule).parameters)


def _named(kind: type, titles: Mapping[type, str], name: str) -> str:
    """Return what a method is called in errors, by the public class that an object is of."""
    full = next((titles[base] for base in kind.__mro__ if base in titles), name)
    return _without_dunders(full)


def _row(function: FunctionType, titles: Mapping[type, str]) -> Row:
    """Return the row of a method, whose rule is that of the object's class."""
    parameters = inspect.signature(function).parameters
    first, *_ = parameters
    name = function.__name__
    is_variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())

    def chosen(*args: Any, **given: Any) -> Any:
        own = args[0] if args else given[first]
        kind = own if isinstance(own, type) else type(own)
        rule = _rule_of(kind, name)
        if rule is None or (args and not is_variadic):
            raise no_rule(_named(kind, titles, name))
        if is_variadic:
            return rule(*args, **given)
        for key in given:
            if key not in _parameters(rule):
                raise no_rule(f"{_named(kind, titles, name)} with {key}=", "leave it out, or ")
        return rule(**given)

    vars(chosen)["__signature__"] = inspect.signature(function)
    title, *_ = titles.values()
    return Row(title, function, chosen)


# --- objects that hold active numbers ---------------------------------------------------------


def keep(thing: Any, arrays: Mapping[str, Any], **attributes: Any) -> Any:
    """Have an interpolant hold arrays, some of them active, and what else it consists of."""
    HOLDERS.add(type(thing))
    hold(thing, **{name: settled(array) for name, array in arrays.items()})
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing


def settled(array: Any) -> Any:
    """Return an array that nothing changes from outside: a plain one if nothing in it is active."""
    if isinstance(array, ActiveArray):
        return array.data["value"].copy() if array.is_passive else array
    return np.array(array, np.float64)


def primal(thing: Any) -> Any:
    """Return the numbers at the recording's point, of structures too."""
    if isinstance(thing, tuple | list):
        return type(thing)(map(primal, thing))
    return thing.primal if is_held(thing) else thing


def places_of(x: Any) -> tuple[Any, tuple[int, ...]]:
    """Return places as a column, and the shape that they had."""
    x = as_array(x) if is_held(x) else np.asarray(x, np.float64)
    return x.reshape(-1, 1), x.shape


def shaped(found: Any, shape: tuple[int, ...], axis: int, n_before: int) -> Any:
    """Return values of places in their shape, places in place of the interpolation's axis.

    Parameters
    ----------
    found : array_like, shape (m, r)
    shape : tuple of int
        Of the places, and then of what belongs to each.
    axis, n_before : int
        Which axis the data had for the places, and how many axes those have.
    """
    found = found.reshape(shape)
    if axis:
        order = list(range(len(shape)))
        moved = order[n_before : n_before + axis]
        found = found.transpose([*moved, *order[:n_before], *order[n_before + axis :]])
    if isinstance(found, ActiveArray) and not found.ndim:
        return wrap(found.tape, found.data)
    return found


def plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call SciPy's function on the numbers at the recording's point; it raises what it raises."""
    try:
        return function(*map(primal, args), **{key: primal(x) for key, x in kwargs.items()})
    except Exception:
        if is_held([*args, *kwargs.values()]):
            unsettle()  # the program may catch this
        raise


def plain_class(name: str) -> Any:
    """Return one of SciPy's classes."""
    return getattr(interpolate_private.interpolate(), name)
