"""SciPy's own Python code on active arrays: the same functions, in which names mean stand-ins.

A function of SciPy's gets a twin over a copy of its module's names: there NumPy's makers make
arrays that can hold active numbers, functions of SciPy's are their twins, and what runs one of
several formulas by a mask is a choice among them, on the tape. Distributions have twins of their
classes, so that their methods and `super()` find twins. They last as long as the process, but
for a user's subclasses', whose methods are twins of one recording.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.libraries import in_library
from tapegrad.record.distributions import scipy_private
from tapegrad.record.functions.operands import is_active, truth
from tapegrad.record.interception import ModuleView, is_interceptable, switch_of
from tapegrad.record.namespaces import EMPTY, contents_of, names_in
from tapegrad.record.nesting import THREAD
from tapegrad.record.trampolines import code_of, is_standing

NO_FORMULA = (TypeError, AttributeError, ArithmeticError)
"""What is raised where code can't be recorded: functions without rules, and compiled code."""

FORMULAS: dict[tuple[str, str], Callable[..., Any]] = {}
"""What stands for methods of SciPy's classes, by the class's and the method's name."""


def formula(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function for methods, named as ``"norm_gen._ppf"``."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            kind, _, method = name.partition(".")
            FORMULAS[kind, method] = function
        return function

    return register


# --- choices ----------------------------------------------------------------------------------


def apply_where(cond: Any, args: Any, f1: Any, f2: Any = None, /, *, fill_value: Any = None,
                **options: Any) -> Any:  # fmt: skip
    """Choose between two formulas, both of which are recorded, or between one and a number."""
    args = args if isinstance(args, tuple | list) else (args,)
    return _chosen(cond, lambda: f1(*args),
                   (lambda: fill_value) if f2 is None else lambda: f2(*args))  # fmt: skip


def _lazy_where(cond: Any, arrays: Any, f: Any, fillvalue: Any = None, f2: Any = None) -> Any:
    return apply_where(cond, arrays, f, f2, fill_value=fillvalue)


def _lazy_select(condlist: Any, choicelist: Any, arrays: Any, default: Any = 0) -> Any:
    chosen: Callable[[], Any] = lambda: default + 0.0 * arrays[0]  # noqa: E731  # NaN of NaN
    # A later condition that holds wins.
    for condition, choice in zip(condlist, choicelist, strict=False):
        chosen = _either(condition, lambda choice=choice: choice(*arrays), chosen)
    return chosen()


def _either(condition: Any, one: Any, other: Any) -> Callable[[], Any]:
    return lambda: _chosen(condition, one, other)


def _chosen(condition: Any, one: Callable[[], Any], other: Callable[[], Any]) -> Any:
    if not is_active(condition):
        condition = np.asarray(condition)
        if condition.all():
            return one()
        if not condition.any():
            return other()
    with np.errstate(all="ignore"):  # outside of where they're meant, too
        try:
            return np.where(condition, one(), other())
        except UnsupportedFunctionError:
            mask = truth(condition)
            if mask.all():
                return one()
            if mask.any():
                raise
            return other()


_CHOICES = {"apply_where": apply_where, "lazy_where": _lazy_where, "lazy_select": _lazy_select}

# --- functions --------------------------------------------------------------------------------


class _Code:
    """The twins of functions and modules, and copies of modules' names."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}
        self._names: dict[int, dict[str, Any]] = {}
        self._keep: list[Any] = []

    def of(self, thing: Any) -> Any:
        """Return what stands for what SciPy's code names."""
        if isinstance(thing, FunctionType):
            kind = scipy_private.choosing().get(thing)
            if kind is not None:
                return _CHOICES[kind]
            if is_interceptable(thing):
                return switch_of(thing)
            if is_standing(thing):  # it has a rule, as scipy.integrate.quad has
                return thing
            return self.function(thing) if _is_scipys(thing) else thing
        if isinstance(thing, ModuleType):
            is_viewed = is_interceptable(thing) or thing.__name__.startswith("scipy.")
            return self._view(thing) if is_viewed else thing
        if scipy_private.is_generic(thing):
            return recorded(thing)
        try:
            return switch_of(thing) if is_interceptable(thing) else thing
        except TypeError:  # it can't be hashed
            return thing

    def _view(self, module: ModuleType) -> ModuleType:
        if module not in self._made:
            self._made[module] = ModuleView(module, self.of, keeps=True)
        return self._made[module]  # type: ignore[no-any-return]

    def function(self, function: FunctionType, owner: CellType | None = None) -> FunctionType:
        """Return a function's twin; `owner` is the cell of the class that it's a method of."""
        key = (function, id(owner))
        if key not in self._made:
            code = code_of(function)
            real = function.__globals__
            names = self._names.setdefault(id(real), dict(real))
            self._keep += [real, owner]  # so that their identities stay their own
            twin = self._made[key] = FunctionType(code, names, function.__name__, None,
                                                  function.__closure__)  # fmt: skip
            self._made[key] = _with_cells(twin, function, owner, self.of)
            self._learn(names, real, code)
        return self._made[key]  # type: ignore[no-any-return]

    def _learn(self, names: dict[str, Any], real: dict[str, Any], code: CodeType) -> None:
        for name in names_in(code):
            if name in real and names[name] is real[name]:
                names[name] = self.of(real[name])


def _with_cells(twin: FunctionType, function: FunctionType, owner: CellType | None,
                of: Callable[[Any], Any]) -> FunctionType:  # fmt: skip
    """Return a function with cells of its own, which hold what stands for what they held."""
    cells = []
    for name, cell in zip(twin.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name == "__class__" and owner is not None:
            cells.append(owner)
            continue
        held = contents_of(cell)
        cells.append(cell if held is EMPTY or of(held) is held else CellType(of(held)))
    made = FunctionType(twin.__code__, twin.__globals__, twin.__name__, function.__defaults__,
                        tuple(cells))  # fmt: skip
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    return made


def _is_scipys(function: FunctionType) -> bool:
    return function.__module__ is not None and function.__module__.startswith("scipy.")


CODE = _Code()

# --- classes ----------------------------------------------------------------------------------


class _Method:
    """A method of a class's twin until it's first used: then its twin takes its place."""

    def __init__(self, function: FunctionType, owner: CellType, name: str) -> None:
        self._function, self._owner, self._name = function, owner, name

    def __get__(self, thing: Any, kind: Any = None) -> Any:
        function = self._function
        if _is_scipys(function):
            twin = CODE.function(function, self._owner)
        else:
            found = THREAD.twins.of(function) if _is_users(function) else function  # type: ignore[attr-defined]
            twin = _with_cells(found, found, self._owner, lambda held: held)
        setattr(self._owner.cell_contents, self._name, twin)
        return twin.__get__(thing, kind)


def _is_users(function: FunctionType) -> bool:
    return not in_library(code_of(function).co_filename)


def _integral(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedFunctionError(f"{name} is an integral or a root that SciPy finds "
                                       "numerically")  # fmt: skip

    return refuse


_twins: dict[type, type] = {}


def _class(kind: type) -> type:
    """Return the twin of a distribution's class."""
    if kind not in _twins:
        made = _made(kind)
        if not kind.__module__.startswith("scipy."):
            return made
        _twins[kind] = made
    return _twins[kind]


def _made(kind: type) -> type:
    owner = CellType()
    names: dict[str, Any] = {}
    for name, thing in vars(kind).items():
        if isinstance(thing, FunctionType):
            names[name] = _Method(thing, owner, name)
        elif isinstance(thing, staticmethod) and isinstance(thing.__func__, FunctionType):
            names[name] = staticmethod(CODE.of(thing.__func__))
        elif name not in ("__dict__", "__weakref__"):
            names[name] = thing
    if kind.__module__.startswith("scipy."):
        for (of, name), own in FORMULAS.items():
            if of == kind.__name__:
                if name in names:
                    names[f"scipys{name}"] = _Method(vars(kind)[name], owner, f"scipys{name}")
                names[name] = own
    bases = tuple(base if base is object else _class(base) for base in kind.__bases__)
    owner.cell_contents = type(kind.__name__, bases, names)
    return owner.cell_contents  # type: ignore[no-any-return]


def scipys(twin: Any, method: str) -> Any:
    """Return SciPy's own method, as it's recorded, in place of which a formula stands."""
    return getattr(twin, f"scipys{method}")


def each(function: Callable[..., Any], *operands: Any) -> Any:
    """Return a function of numbers for the elements of arrays that broadcast."""
    shape = np.broadcast_shapes(*map(np.shape, operands))
    rows = [np.reshape(np.broadcast_to(operand, shape), -1) for operand in operands]
    found = [function(*[row[k] for row in rows]) for k in range(int(np.prod(shape)))]
    return np.reshape(np.stack(found), shape) if any(map(is_active, found)) else (
        np.reshape(np.array(found), shape)
    )  # fmt: skip


def _density_moment(twin: Any) -> Callable[..., Any]:
    return lambda x, m, *shapes: x**m * twin._pdf(x, *shapes)


def _moments(twin: Any) -> Callable[..., Any]:
    return lambda m, *shapes: each(lambda *s: twin._mom0_sc(int(np.ravel(m)[0]), *s), *shapes)


def _cumulative(twin: Any) -> Callable[..., Any]:
    def cumulative(x: Any, *shapes: Any) -> Any:
        if not any(map(is_active, shapes)):
            raise UnsupportedFunctionError("its cdf by the point alone is known otherwise")
        return each(twin._cdf_single, x, *shapes)

    return cumulative


_NUMERICAL = {
    "_cdfvec": _cumulative, "generic_moment": _moments, "_mom_integ0": _density_moment,
}  # fmt: skip
"""What stands for what SciPy has made for arrays of functions of numbers: mostly integrals."""


def recorded(dist: Any) -> Any:
    """Return a distribution whose private methods record their formulas."""
    twin: Any = object.__new__(_class(type(dist)))
    own = vars(dist).copy()
    own.update({name: make(twin) for name, make in _NUMERICAL.items()})
    own["_ppfvec"] = _integral("its ppf")
    own["scipys"] = dist
    own["vecentropy"] = lambda *shapes: twin._entropy(*shapes)
    vars(twin).update(own)
    return twin
