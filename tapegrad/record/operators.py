"""The operators of active numbers: straight code, generated from the table.

Between two numbers of one tape, or a number and a float, an operator appends its record itself
(0.4 us); all other combinations take `active.binary`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from tapegrad import generated
from tapegrad.expression import INSTRUCTIONS
from tapegrad.ops import CODE, OPERATORS, OPS, Op
from tapegrad.record.active import (
    Active,
    ActiveBool,
    at_whole,
    binary,
    evaluate,
    make,
    unary,
)
from tapegrad.record.arithmetic import (
    BITS,
    any_comparison,
    any_operands,
    any_product,
    bits_operator,
)
from tapegrad.rows import VALUE_SIGN

_POWER, _MULTIPLY = CODE["power"], CODE["multiply"]

_OPERATOR = """
def {dunder}(self, other):
    tape = self.tape
    if tape.thread != get_ident():
        tape.refuse()
    kind = type(other)
    if kind is Active and other.tape is tape:
        {compute_active}
        {b} = other.slot
    elif {is_number}:
        {compute_float}
        tape.new_constants.append(other)
        {b} = tape.next_constant
        tape.next_constant = {b} - 1
    else:
        return {otherwise}
    {a} = self.slot
    tape.new_a.append(a)
    tape.new_b.append(b)
    tape.new_value.append(value)
    tape.new_op.append({code})
    result = {result}()
    result.primal = value
    result.tape = tape
    slot = tape.n
    result.slot = slot
    tape.n = slot + 1
    return result

"""


def _operator(dunder: str, op: Op, reflected: bool) -> str:
    operands = ("other", "self") if reflected else ("self", "other")

    def compute(other: str) -> str:
        x, y = (side if side == "other" and not other else f"{side}.primal" for side in operands)
        expression = f"value = {x} {op.symbol} {y}"
        if op.boolean:
            return f"value = 1.0 if {x} {op.symbol} {y} else 0.0"
        if op.symbol != "/":
            return expression
        return (
            f"try:\n            {expression}\n        except ZeroDivisionError:\n"
            f"            value = evaluate({op.code}, {x}, {y})"
        )

    x, y = operands
    return _OPERATOR.format(
        dunder=dunder,
        code=op.code,
        # Python compares integers as what they are, not as floats.
        is_number=f"kind is float or kind is int{' and -LARGE <= other <= LARGE' * op.boolean}",
        compute_active=compute("primal"),
        compute_float=compute(""),
        a="b" if reflected else "a",
        b="a" if reflected else "b",
        otherwise=_OTHERWISE.get(op.symbol, "any_operands({code}, {x}, {y})").format(
            code=op.code, x=x, y=y
        ),
        result="ActiveBool" if op.boolean else "Active",
    )


# A list is no factor, and equals no number.
_OTHERWISE = {"*": "any_product({x}, {y})", "==": "any_comparison({code}, {x}, {y})",
              "!=": "any_comparison({code}, {x}, {y})"}  # fmt: skip
_BINARY = {short: op for short, op in OPERATORS.items() if op.arity == 2 and op.code != _POWER}
_COMPARISONS = {short: op for short, op in _BINARY.items() if op.boolean}
_STRAIGHT = {s: op for s, op in _BINARY.items() if VALUE_SIGN.get(op.name) in INSTRUCTIONS}
_SLOW = _BINARY.keys() - _COMPARISONS.keys() - _STRAIGHT.keys()


def _source() -> str:
    parts = ['"""Operators of active numbers; generated from tapegrad.ops."""\n']
    for short, op in _STRAIGHT.items():
        parts.append(_operator(f"__{short}__", op, reflected=False))
        parts.append(_operator(f"__r{short}__", op, reflected=True))
    for short, op in _COMPARISONS.items():
        parts.append(_operator(f"__{short}__", op, reflected=False))
    return "".join(parts)


def _method(op: Op) -> Callable[..., Any]:
    return lambda self, *other: binary(op.code, self, *other) if other else unary(op.code, self)


def _slow_operator(code: int, reflected: bool) -> Callable[[Any, Any], Any]:
    if reflected:
        return lambda self, other: any_operands(code, other, self)
    return lambda self, other: any_operands(code, self, other)


def _power(self: Active, other: Any, modulo: None = None) -> Any:
    code, x, y = at_whole(_POWER, self, other)
    if code == _MULTIPLY:
        return x * y
    kind = type(y)
    if kind is not int and kind is not float:
        return any_operands(code, x, y)
    value = evaluate.run(code, x.primal, float(y))
    tape = x.tape
    return make(tape, tape.append(code, x.slot, tape.constant(y), value), value)


def _evaluate(code: int, x: float, y: float) -> float:
    """Return an operation's value where Python's own operator would raise."""
    return evaluate.run(code, float(x), float(y))  # type: ignore[no-any-return]


def install() -> None:
    """Give the active numbers their operators."""
    module = generated.load("operators", _source())
    vars(module).update(
        Active=Active,
        ActiveBool=ActiveBool,
        any_operands=any_operands,
        LARGE=2**53,
        any_comparison=any_comparison,
        any_product=any_product,
        evaluate=_evaluate,
        get_ident=get_ident,
    )
    straight = [*_STRAIGHT, *(f"r{short}" for short in _STRAIGHT), *_COMPARISONS]
    for short in straight:
        setattr(Active, f"__{short}__", getattr(module, f"__{short}__"))
    for op in OPS:  # NumPy's loops over object arrays call methods of the ufuncs' names
        for name in op.ufuncs:
            if not hasattr(Active, name):
                setattr(Active, name, _method(op))
    for short in _SLOW:
        for prefix in ("", "r"):
            method = _slow_operator(_BINARY[short].code, reflected=bool(prefix))
            setattr(Active, f"__{prefix}{short}__", method)
    powers = {"__pow__": _power, "__rpow__": _slow_operator(_POWER, reflected=True)}
    for dunder, method in powers.items():
        setattr(Active, dunder, method)
    for short, ufunc in BITS.items():
        setattr(ActiveBool, f"__{short}__", bits_operator(ufunc))
        setattr(ActiveBool, f"__r{short}__", bits_operator(ufunc, reflected=True))
