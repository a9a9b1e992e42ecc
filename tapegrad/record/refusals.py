"""What to say where plain code asks an active number for a plain one.

C code, `math.sin` that was bound where recording can't replace it, `statistics.mean` or an
element of a plain array, calls a method such as `__float__`; the errors made here name it, the
user's line, and what to write instead.
"""

from __future__ import annotations

import ast
import builtins
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from tapegrad.errors import (
    InputTypeError,
    LostDerivativeError,
    UnhashableError,
    UnsupportedFunctionError,
)
from tapegrad.libraries import in_library
from tapegrad.ops import OPS
from tapegrad.record.frames import Site, public_name

MAKERS: set[Any] = set()
"""The functions that recording replaces by ones whose arrays hold active numbers."""

WITHOUT_RULE: list[Any] = []
"""The functions of `math` that can't be recorded."""

_PLAIN_ARRAYS = (np.ndarray, np.memmap)

_DROP = "to drop the derivative on purpose, write tapegrad.stop_gradient(x) for x"

_OTHERWISE = (
    "write it with recorded functions (tapegrad.supported() lists those of NumPy and SciPy), or "
    "x.value for x where a plain number is wanted"
)

_STANDARD_DRAWS = {
    "normal": "standard_normal", "uniform": "random", "exponential": "standard_exponential",
    "logistic": "logistic", "laplace": "laplace", "gumbel": "gumbel",
}  # fmt: skip
"""Random draws that are those of another one, moved and scaled."""

_TO_ARRAY = ("toarray", "to_numpy")
"""The methods by which libraries' own arrays and tables give plain ones."""


class _Latest(threading.local):
    message, place = "", ""


_latest = _Latest()


def lost_number(kind: str = "float") -> LostDerivativeError:
    """Return the error for a float, a fraction or a complex number asked of an active one."""
    site = Site()
    _latest.place = site.place
    _latest.message = (
        f"a plain number was asked of an active one, which would drop its derivative, at "
        f"{site.place}{_advice(site, kind)}; {_DROP}"
    )
    return LostDerivativeError(_latest.message)


def forget_refused() -> None:
    """Forget what was refused: another recording begins."""
    _latest.message = _latest.place = ""


def refused_at(place: str) -> LostDerivativeError | None:
    """Return the latest such error if it was of this place: C code may have put its own over it."""
    return LostDerivativeError(_latest.message) if _latest.place == place else None


def not_whole(value: float) -> TypeError:
    """Return the error for an index that isn't whole."""
    return TypeError(
        f"an active number used as an index must be whole, not {value!r}, at {Site().place}"
        "write int(x) to cut it off"
    )


def no_store(name: str) -> UnsupportedFunctionError:
    """Return the error for a function or an operator that would store into a plain array."""
    site = Site()
    array, otherwise = "a", ""
    if isinstance(site.node, ast.AugAssign):
        array = ast.unparse(site.node.target)
        left = ast.parse(array, mode="eval").body
        otherwise = f"y = {ast.unparse(ast.BinOp(left, site.node.op, site.node.value))}, or "
    elif isinstance(site.node, ast.Call):
        named = {keyword.arg: keyword.value for keyword in site.node.keywords}
        stored = named.get("out", next(iter(site.node.args), None))
        array = array if stored is None else ast.unparse(stored)
    return UnsupportedFunctionError(
        f"{name} can't store active numbers in a plain array, at {site.place}write {otherwise}"
        f"y = np.array({array}, float) in the recorded function, and store into y"
    )


def no_type(name: str, dtype: Any) -> str:
    """Return the message for a result of another type than float64."""
    kind = np.dtype(dtype)
    rounded = "y = np.zeros(np.shape(x), np.float32) and y[...] = x to round x to it, else "
    return (
        f"{name} of active numbers is float64, not {kind}, at {Site().place}"
        f"write {rounded if kind == np.float32 else ''}float64 or no type at all"
    )


def unhashable(thing: str, key: str) -> UnhashableError:
    """Return the error for an active thing used as a key; what stands for it may be one."""
    return UnhashableError(
        f"an active {thing} can't be a dictionary key or a member of a set: its value changes "
        f"from call to call, at {Site().place}use {key} as the key"
    )


def not_repeatable(sequence: Any) -> TypeError:
    """Return the error for a sequence that's repeated by a float."""
    name = type(sequence).__name__
    return TypeError(
        f"can't multiply a {name} by a float, at {Site().place}write np.array(...) around the "
        f"{name} to multiply its elements, or int(x) to repeat it"
    )


def check_kind(thing: Any) -> None:
    """Raise `InputTypeError` for an array whose type means more than its elements."""
    kind = type(thing)
    if issubclass(kind, np.ndarray) and kind not in _PLAIN_ARRAYS:
        raise _no_kind(kind, Site())


def as_plain(things: Iterable[Any]) -> str:
    """Return what to write for the first of them that is a library's own kind of array, or ""."""
    for thing in things:
        if isinstance(thing, type | np.ndarray):
            continue
        method = next((name for name in _TO_ARRAY if callable(getattr(thing, name, None))), None)
        if method is not None:
            return f"write a.{method}() for the {type(thing).__name__} a"
    return ""


def no_numbers(operand: Any, dtype: np.dtype[Any]) -> InputTypeError:
    """Return the error for an operand that is no array of real numbers."""
    kind = f"type {dtype}" if isinstance(operand, np.ndarray | np.generic) else (
        f"type {type(operand).__name__}"
    )  # fmt: skip
    if dtype.kind == "c":
        remedy = "pass z.real and z.imag, or write it with functions that take complex numbers"
    else:
        remedy = as_plain([operand]) or "convert it to an array of floats before"
    return InputTypeError(
        f"an operand of {kind} can't be combined with an active array: only real numbers can, at "
        f"{Site().place}{remedy}"
    )


def in_masked_arrays(error: TypeError) -> InputTypeError | None:
    """Return the error to raise for one of numpy.ma, which checks numbers as active ones can't be.

    None where it comes from elsewhere.
    """
    trace = user = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
        user = user if in_library(trace.tb_frame.f_code.co_filename) else trace
    module = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    if user is None or not module.startswith("numpy.ma."):
        return None
    return _no_kind(np.ma.MaskedArray, Site(user.tb_frame, user.tb_lasti, user.tb_lineno))


def _no_kind(kind: type[Any], site: Site) -> InputTypeError:
    meaning = {
        np.ma.MaskedArray: "its mask would be lost: pass y.filled(0.0) and the weights 1.0 - "
        "np.ma.getmaskarray(y), or y.compressed(), in place of y",
        np.matrix: "its products would become those of arrays: pass np.asarray(A) in place of A, "
        "and write @ for its products",
    }
    advice = next((text for known, text in meaning.items() if issubclass(kind, known)),
                  "what it means beside its elements would be lost: pass np.asarray(y) in place "
                  "of y")  # fmt: skip
    return InputTypeError(
        f"a {kind.__name__} can't be combined with active numbers, as {advice}, at {site.place}"
    )


def _advice(site: Site, kind: str) -> str:
    for function in site.callables:
        if any(function is one for one in WITHOUT_RULE):
            return f"math.{function.__name__} has no rule for active numbers"
        if getattr(function, "__module__", None) == "math":
            return _of_math(function.__name__, site)
        if getattr(function, "__module__", None) == "cmath":
            return (
                f"cmath.{function.__name__} was bound where recording can't replace it (a default "
                "argument, a container, a functools.partial); call it by its name in the function"
            )
    maker = next((f for f in site.callables if any(f is one for one in MAKERS)), None)
    if maker is not None:
        return (
            f"numpy.{maker.__name__} was bound where recording can't replace it (a default "
            "argument, a container, a functools.partial); call it by its name in the function"
        )
    if any(function is builtins.complex for function in site.callables):
        return "write x + 0j for a complex number"
    if any(function is builtins.float for function in site.callables):
        return "leave float() out: an active number is used as a float is"
    remedy = as_plain(site.things)
    if site.callables or site.function:
        name = public_name(site.callables[0]) if site.callables else site.function
        return (
            f"{name} can't take active numbers here; {remedy + ', or ' if remedy else ''}"
            f"{_drawn(site) or 'write it with functions that are recorded'}"
        )
    if site.is_element:
        array = site.expression.rpartition("[")[0]
        return (
            f"{site.expression} is an element of a plain array: write y = np.array({array}, {kind})"
            " in the recorded function, and store into y"
        )
    if isinstance(site.node, ast.BinOp) and isinstance(site.node.op, ast.Mod):
        text = 'f"{x:g}" for a text, or x.value for x'
        return f"{site.expression} asks for a plain float: write {text}"
    return f"{site.expression or 'it'} needs plain numbers; {remedy or _OTHERWISE}"


def _drawn(site: Site) -> str:
    """Return what to write for a random draw whose location or scale is active, or ""."""
    owner, _, name = site.function.rpartition(".")
    if not owner or name not in _STANDARD_DRAWS:
        return ""
    formulas = {"exponential": "scale * ", "uniform": "low + (high - low) * "}
    formula = formulas.get(name, "loc + scale * ")
    return (
        f"draw standard numbers and compute with them, {formula}{owner}.{_STANDARD_DRAWS[name]}"
        "(size=n)"
    )


def _of_math(name: str, site: Site) -> str:
    ufunc = next((op.ufuncs[0] for op in OPS if op.math == name and op.ufuncs), None)
    special = next((op.special[0] for op in OPS if op.math == name and op.special), None)
    other = f"np.{ufunc}" if ufunc else f"scipy.special.{special}" if special else ""
    instead = f"write {other}, or call math.{name}" if other else f"call math.{name}"
    return (
        f"math.{name}, called as {site.expression!r}, was bound where recording can't replace it "
        f"(a default argument, a container, a functools.partial); {instead} by its name in the "
        "function"
    )
