"""The registry of NumPy's functions, and NumPy's two protocols that consult it.

`RULES` maps a function to the one that records it; `rule` adds a row. Ufuncs are looked up in
the table of elementary operations by NumPy's and scipy.special's own names; one that is made
of several operations is a row of `RULES` too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import OPS
from tapegrad.record import operators, stand_ins
from tapegrad.record.active import Active, binary, unary
from tapegrad.record.arithmetic import apply, check_bits, is_bitwise, of_bits
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.frames import Site
from tapegrad.record.functions.operands import is_active, is_boolean
from tapegrad.record.kinds import active
from tapegrad.record.labelled import by_position, is_labelled
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import Pair, is_complex
from tapegrad.record.plain import plain_arguments
from tapegrad.record.refusals import no_store, no_type

F = TypeVar("F", bound=Callable[..., Any])
RULES: dict[Callable[..., Any], Callable[..., Any]] = {}


def rule(*functions: Callable[..., Any], method: str = "",
         is_compiled: bool = False) -> Callable[[F], F]:  # fmt: skip
    """Register the decorated function as the rule of NumPy's `functions`.

    With `method`, it's also the method of that name of active arrays, and of active numbers if
    NumPy's scalars have it. One that `is_compiled` stands for them in compiled code too: it's
    compiled there as a function of the user's would be.
    """

    def register(recorder: F) -> F:
        RULES.update(dict.fromkeys(functions, recorder))
        if is_compiled:
            stand_ins.stand_in(*functions, of_numbers=True, reads=True)(stand_ins.itself(recorder))
        if method:
            setattr(ActiveArray, method, recorder)
            if hasattr(np.float64, method) and not method.startswith("__"):
                setattr(Active, method, recorder)
        return recorder

    return register


COMPLEX_RULES: dict[Callable[..., Any], Callable[..., Any]] = {}
"""The same where an argument is complex."""


def complex_rule(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register the decorated function as the rule of NumPy's functions for complex arguments."""

    def register(recorder: F) -> F:
        COMPLEX_RULES.update(dict.fromkeys(functions, recorder))
        return recorder

    return register


# --- ufuncs -----------------------------------------------------------------------------------


SPECIAL_RULES: dict[str, Callable[..., Any]] = {}
"""The rules of scipy.special's functions, by name: SciPy may be imported later, or never."""


COMPLEX_SPECIAL_RULES: dict[str, Callable[..., Any]] = {}
"""Those of complex numbers."""


def special_rule(*names: str) -> Callable[[F], F]:
    """Register the decorated function as the rule of functions of scipy.special."""

    def register(recorder: F) -> F:
        SPECIAL_RULES.update(dict.fromkeys(names, recorder))
        return recorder

    return register


NAMED: set[str] = set()
"""The full names of functions whose rules are found by them, when they're called."""


_codes: dict[np.ufunc, int | None] = {}


def _learn(ufunc: np.ufunc) -> None:
    """Find the operation that a ufunc of NumPy or scipy.special is, or its rule."""
    name = ufunc.__name__
    _codes[ufunc] = None
    if getattr(np, name, None) is ufunc:
        _codes[ufunc] = next((op.code for op in OPS if name in op.ufuncs), None)
    elif getattr(sys.modules.get("scipy.special"), name, None) is ufunc:
        _codes[ufunc] = next((op.code for op in OPS if name in op.special), None)
    for rules, special in ((RULES, SPECIAL_RULES), (COMPLEX_RULES, COMPLEX_SPECIAL_RULES)):
        if name in special and any(
            getattr(sys.modules.get(module), name, None) is ufunc
            for module in ("scipy.special", "scipy.special._ufuncs")
        ):
            rules[ufunc] = special[name]


def known_code(ufunc: np.ufunc) -> int | None:
    """Return the operation that a ufunc is, or None."""
    if ufunc not in _codes:
        _learn(ufunc)
    return _codes[ufunc]


def code_of(ufunc: np.ufunc) -> int:
    """Return the operation that a ufunc is."""
    code = known_code(ufunc)
    if code is None:
        raise no_rule(ufunc.__name__)
    return code


UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
"""What records `reduce`, `accumulate`, ..., and a call with keyword arguments, of a ufunc."""


def ufunc_method(name: str) -> Callable[[F], F]:
    """Register the decorated function as what records a method of ufuncs."""

    def register(recorder: F) -> F:
        UFUNC_METHODS[name] = recorder
        return recorder

    return register


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Record a ufunc or a method of one; NumPy's `__array_ufunc__` protocol."""
    if any(is_labelled(type(x)) for x in inputs):
        inputs = tuple(by_position(innermost(tapes_in(*inputs)), inputs))
    try:
        if any(map(is_complex, inputs)) or ("out" in kwargs and is_complex(kwargs["out"])):
            return UFUNC_METHODS[f"complex {method}"](ufunc, *inputs, **kwargs)
        if method != "__call__" and is_bitwise(ufunc):
            check_bits(ufunc, *inputs[::2])  # without the indices
        if method == "__call__" and not kwargs:
            return call_ufunc(ufunc, inputs)
        return UFUNC_METHODS[method](ufunc, *inputs, **kwargs)
    except UnsupportedFunctionError:
        plain = plain_arguments((inputs, kwargs))
        if plain is None:
            raise
    return getattr(ufunc, method)(*plain[0], **plain[1])


def call_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """Record a ufunc of positional arguments."""
    if ufunc not in _codes:
        _learn(ufunc)
    recorder = RULES.get(ufunc)
    if recorder is not None:
        return recorder(*inputs)
    if is_bitwise(ufunc):
        return of_bits(ufunc, *inputs)
    return record(code_of(ufunc), *inputs)


def record(code: int, *inputs: Any) -> Any:
    """Record an operation on numbers or arrays, one of them active."""
    if len(inputs) == 1:
        return unary(code, inputs[0]) if isinstance(inputs[0], Active) else apply(code, *inputs)
    if len(inputs) == 2 and not any(isinstance(x, ActiveArray | np.ndarray) for x in inputs):
        recorded = binary(code, *inputs)
        if recorded is not NotImplemented:
            return recorded
    return apply(code, *inputs)


def check_dtype(dtype: Any, name: str) -> None:
    """Raise for a result of any other type than float64."""
    if dtype is not None and np.dtype(dtype) != np.float64:
        raise UnsupportedFunctionError(no_type(name, dtype))


def store(out: Any, result: Any, name: str, where: Any = True) -> Any:
    """Return `result`, or `out` with the result in it if that is not None.

    Where a mask doesn't hold, `out` keeps what it has; without `out`, there are zeros.
    """
    if where is not True and (is_active(where) or is_active(result) or is_active(out)):
        other = (False if is_boolean(result) else 0.0) if out is None else out
        result = RULES[np.where](where, result, other)
        where = True
    if out is None:
        return result
    if isinstance(out, ActiveArray):
        out[...] = result
        return out
    if isinstance(result, Active) or (isinstance(result, ActiveArray) and not result.is_passive):
        raise no_store(name)
    np.copyto(out, np.asarray(result), where=where)
    return out


def array_function(self: Any, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
    """Record a NumPy function; NumPy's `__array_function__` protocol."""
    try:
        has_complex = any(map(is_complex, args)) or any(map(is_complex, kwargs.values()))
        recorder = (COMPLEX_RULES if has_complex else RULES).get(function)
        if recorder is None:
            raise no_rule(_name(function), has_complex)
        return recorder(*args, **kwargs)
    except UnsupportedFunctionError:
        plain = plain_arguments((args, kwargs))
        if plain is None:
            raise
    return function(*plain[0], **plain[1])


def no_rule(name: str, of_complex: bool = False) -> UnsupportedFunctionError:
    """Return the error for a function that has no rule."""
    if of_complex:
        return UnsupportedFunctionError(
            f"{name} has no rule for complex numbers that depend on the input, at {Site().place}"
            "write it with functions that have one, or with z.real and z.imag"
        )
    return UnsupportedFunctionError(
        f"{name} has no rule for active arguments, at {Site().place}write it with functions that "
        "have one (tapegrad.supported() lists them), or apply it to tapegrad.stop_gradient(x) if "
        "its derivative is not wanted"
    )


operators.install()
for _kind in (Active, ActiveArray, Pair):
    _kind.__array_ufunc__ = array_ufunc  # type: ignore[union-attr]
    _kind.__array_function__ = array_function  # type: ignore[union-attr]


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', 'numpy')}.{function.__name__}"


def _names_in_numba() -> set[str]:
    """Return the names of the functions that compiled code of active numbers may call."""
    named = {name for op in OPS for name in op.ufuncs if not is_bitwise(getattr(np, name, None))}
    stands_for = {*stand_ins.FUNCTIONS, *stand_ins.MAKERS[active], *stand_ins.NUMBAS_OWN}
    return {f"numpy.{name}" for name in named} | {_name(function) for function in stands_for}


def supported() -> dict[str, tuple[str, ...]]:
    """Return the NumPy and SciPy functions that can be recorded, and where.

    Returns
    -------
    dict
        By name, in alphabetical order: ``("python",)``, or ``("python", "njit")`` if functions
        that Numba compiles may call it too.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.supported()["numpy.median"]
    ('python', 'njit')
    >>> tg.supported()["numpy.histogram"]
    ('python',)
    """
    names = {f"numpy.{name}" for op in OPS for name in op.ufuncs}
    special = {name for op in OPS for name in op.special} | set(SPECIAL_RULES)
    names |= {f"scipy.special.{name}" for name in special if not name.startswith("_")}
    names |= {_name(function) for function in RULES if function.__name__ not in SPECIAL_RULES}
    names |= NAMED
    in_numba = _names_in_numba()
    return {name: ("python", "njit")[: 1 + (name in in_numba)] for name in sorted(names)}
