"""The table's rows as compiled code: one function a row, and the switches the sweeps run.

`FUNCTIONS[name]` is a row as a function of numbers; `evaluate`, `pull` and `push` choose the
row by its code. All are generated from `ops` as one readable module. They are generic in the
number type: whoever brings another one than float64 overloads the rows' functions, `evaluate`,
`accumulate`, `is_zero` and `primal` for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from numba import types
from numba.extending import overload

from tapegrad import generated
from tapegrad.ops import BY_NAME, CONSTANTS, OPS, Op

_PREAMBLE = '''\
"""Elementary operations as compiled code; generated from tapegrad.ops."""
import math

import numpy as np
from numba import float64, int64

from tapegrad import special
from tapegrad.jit import Symbol, jit_inline

'''


# The first rows of the table share an arm of their own: the switch is an indirect jump, which is
# mispredicted more often than the few conditional ones that tell these apart.
_COMMON = [BY_NAME[name] for name in ("add", "subtract", "multiply")]


_SMALL = ("powi", "cbrt", "exp2", "exp10", "logaddexp", "logaddexp2", "expit")
_OUTLINED = [op for op in OPS if op.value.startswith("special.") and op.name not in _SMALL]
"""Functions so large that the switches call one copy of them all, compiled apart."""


def _value(op: Op) -> str:
    if op in _OUTLINED:
        return f"outlined({op.code}, x, {'y' if op.arity == 2 else '0.0'})"
    return f"1.0 if {op.value} else 0.0" if op.boolean else op.value


def _functions() -> Iterator[str]:
    yield "def special_function(code, x, y):\n"
    yield from (f"    if code == {op.code}:\n        return {op.value}\n" for op in _OUTLINED)
    yield "    return x\n\n\n"
    yield "_signature = float64(int64, float64, float64)\n"
    yield "outlined = Symbol('tapegrad_special', special_function, _signature).external\n\n"
    for op in OPS:
        if op.arity:
            yield f"def {op.name}({', '.join('xy'[: op.arity])}):\n    return {_value(op)}\n\n"
    yield "def evaluate(code, x, y):\n    return x\n\n"
    yield "def accumulate(s, t):\n    return s + t\n\n"
    yield "def is_zero(s):\n    return s == 0.0\n\n"
    yield "def primal(s):\n    return s\n\n"
    yield "def wants_adjoint(operand, w):\n    return True\n\n"


def _switch(header: str, arms: Iterator[list[str]], last: str) -> Iterator[str]:
    yield f"@jit_inline\ndef {header}:\n"
    for arm in arms:
        yield f"    if {arm[0]}:\n"
        yield from (f"        {line}\n" for line in arm[1:])
    yield f"    {last}\n\n\n"


def _choice(expressions: list[str]) -> str:
    """Return an expression that chooses among the common operations' by `code`."""
    chosen = expressions[-1]
    for op, expression in reversed(list(zip(_COMMON[:-1], expressions, strict=False))):
        chosen = f"{expression} if code == {op.code} else ({chosen})"
    return chosen


_IS_COMMON = f"code <= {_COMMON[-1].code}"


def _evaluate_arms() -> Iterator[list[str]]:
    yield [_IS_COMMON, f"return {_choice([op.value for op in _COMMON])}"]
    for op in OPS:
        if op.arity and op not in _COMMON:
            yield [f"code == {op.code}", f"return {_value(op)}  # {op.name}"]


def _needed_names(op: Op) -> list[str]:
    used = " ".join(op.partials)
    return [f"{k} = {v}" for k, v in op.where.items() if re.search(rf"\b{k}\b", used)]


def _contribution(factor: str, partial: str) -> str:
    return {"1": factor, "-1": f"-{factor}"}.get(partial, f"chain({factor}, {partial})")


def _common_partials() -> list[str]:
    return [
        f"{name} = {_choice([f'{op.partials[operand]}' for op in _COMMON])}"
        for operand, name in enumerate("pq")
    ]


def _pull_arms() -> Iterator[list[str]]:
    arm = [_IS_COMMON, *_common_partials()]
    for operand, partial in zip("ab", "pq", strict=True):
        arm.append(f"if wants_adjoint({operand}, w):")
        arm.append(f"    adjoint[{operand}] = accumulate(adjoint[{operand}], chain(w, {partial}))")
    yield [*arm, "return"]
    for op in OPS:
        if op.arity and not op.is_piecewise_constant and op not in _COMMON:
            arm = [f"code == {op.code}", *_needed_names(op)]
            for operand, partial in zip("ab", op.partials, strict=False):
                if partial != "0":
                    arm.append(f"if {operand} > 0:  # {op.name}")
                    arm.append(
                        f"    adjoint[{operand}] = "
                        f"accumulate(adjoint[{operand}], {_contribution('w', partial)})"
                    )
            yield [*arm, "return"]


def _push_arms() -> Iterator[list[str]]:
    for op in OPS:
        if op.arity and not op.is_piecewise_constant:
            arm = [f"code == {op.code}", *_needed_names(op)]
            for tangent, partial in zip("tu", op.partials, strict=False):
                if partial != "0":
                    arm.append(f"if not is_zero({tangent}):  # {op.name}")
                    arm.append(f"    s = accumulate(s, {_contribution(tangent, partial)})")
            yield [*arm, "return s"]


def _partials() -> Iterator[str]:
    """Yield a function a row that returns its partials, given the operands and the value."""
    for op in OPS:
        if op.arity and not op.is_piecewise_constant:
            yield f"def {op.name}_partials({', '.join('xy'[: op.arity])}, z):\n"
            yield from (f"    {line}\n" for line in _needed_names(op))
            yield f"    return ({', '.join(f'1.0 * ({partial})' for partial in op.partials)},)\n\n"


def source() -> str:
    """Return the generated module's source."""
    constants = "".join(f"{name} = {value!r}\n" for name, value in CONSTANTS.items())
    return "".join(
        [
            _PREAMBLE,
            constants + "\n\n",
            *_functions(),
            *_switch("evaluate_float(code, x, y)", _evaluate_arms(), "return x"),
            *_switch("pull(code, x, y, z, w, a, b, adjoint)", _pull_arms(), "return"),
            *_switch("push(code, x, y, z, t, u, s)", _push_arms(), "return s"),
            *_partials(),
        ]
    )


_module: Any = generated.load("rules", source())

FUNCTIONS: dict[str, Callable[..., float]] = {
    op.name: getattr(_module, op.name) for op in OPS if op.arity
}
evaluate: Callable[..., Any] = _module.evaluate
accumulate: Callable[..., Any] = _module.accumulate
is_zero: Callable[..., Any] = _module.is_zero
primal: Callable[..., Any] = _module.primal
wants_adjoint: Callable[..., Any] = _module.wants_adjoint
pull: Callable[..., Any] = _module.pull
push: Callable[..., Any] = _module.push
evaluate_float: Callable[..., Any] = _module.evaluate_float

IS_BOOLEAN: tuple[bool, ...] = tuple(op.boolean for op in OPS)

_FLOAT_OPTIONS = {"error_model": "numpy", "nogil": True, "forceinline": True}


def _is_float(*numbers: Any) -> bool:
    return all(isinstance(number, types.Float | types.Integer) for number in numbers)


def calling(function: Callable[..., Any], arity: int) -> Callable[..., Any]:
    """Return a function for Numba to compile that calls one of the rules' functions.

    What compiles it may have another error model; a call keeps that of the rules.
    """
    if arity == 1:
        return lambda x: function(x)
    return (lambda x, y: function(x, y)) if arity == 2 else lambda x, y, z: function(x, y, z)


def _overload_for_floats(function: Callable[..., Any], arity: int) -> None:
    if arity == 1:
        overload(function, jit_options=_FLOAT_OPTIONS)(lambda x: function if _is_float(x) else None)
    elif arity == 2:
        overload(function, jit_options=_FLOAT_OPTIONS, strict=False)(
            lambda x, y: function if _is_float(x, y) else None
        )
    else:
        overload(function, jit_options=_FLOAT_OPTIONS)(
            lambda x, y, z: function if _is_float(x, y, z) else None
        )


for _op in OPS:
    if _op.arity:
        _overload_for_floats(FUNCTIONS[_op.name], _op.arity)


@functools.cache
def partials(name: str) -> Callable[..., Any]:
    """Return a row's function of operands and value that returns its partial derivatives."""
    function: Callable[..., Any] = getattr(_module, f"{name}_partials")
    _overload_for_floats(function, BY_NAME[name].arity + 1)
    return function


@overload(evaluate, jit_options=_FLOAT_OPTIONS)
def _(code, x, y):
    return (lambda code, x, y: evaluate_float(code, x, y)) if _is_float(x, y) else None


@overload(accumulate, jit_options=_FLOAT_OPTIONS)
def _(s, t):
    return accumulate if _is_float(s, t) else None


@overload(is_zero, jit_options=_FLOAT_OPTIONS)
def _(s):
    return is_zero if _is_float(s) else None


@overload(primal, jit_options=_FLOAT_OPTIONS)
def _(s):
    return primal if _is_float(s) else None


@overload(wants_adjoint, jit_options=_FLOAT_OPTIONS)
def _(operand, w):
    return wants_adjoint if _is_float(w) else None
