"""The arithmetic of active arrays: their operators, generated from the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.ops import CODE, OPERATORS
from tapegrad.record import elementwise
from tapegrad.record.active import Active, at_whole, binary, product
from tapegrad.record.array import ActiveArray, as_data, is_boolean, tapes_in, wrap
from tapegrad.record.labelled import PRIORITY, by_position, is_labelled
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import Pair, is_complex, of_complex
from tapegrad.rules import IS_BOOLEAN

_POWER, _MULTIPLY = CODE["power"], CODE["multiply"]
_MISSING = object()


# What NumPy's arithmetic of truth values is; it has no differences of them.
_OF_BOOLEANS = {CODE["add"]: CODE["logical_or"], CODE["multiply"]: CODE["logical_and"],
                CODE["maximum"]: CODE["logical_or"], CODE["minimum"]: CODE["logical_and"],
                CODE["fmax"]: CODE["logical_or"], CODE["fmin"]: CODE["logical_and"]}  # fmt: skip
_WITHOUT_BOOLEANS = {CODE["subtract"]: "a != b", CODE["negative"]: "~a"}


def _code_for(code: int, operands: tuple[Any, ...]) -> int:
    """Return the operation that one of these operands is, which differs for truth values."""
    if not all(map(is_boolean, operands)):
        return code
    if code in _WITHOUT_BOOLEANS:
        raise TypeError(
            f"boolean arrays can't be subtracted or negated: write {_WITHOUT_BOOLEANS[code]}, or "
            "a.astype(float) for numbers"
        )
    return _OF_BOOLEANS.get(code, code)


def apply(code: int, *operands: Any) -> Any:
    """Record an operation on arrays and numbers, and return its result."""
    if len(operands) == 1 and isinstance(operands[0], ActiveArray):
        (array,) = operands
        code = _code_for(code, operands)
        return wrap(array.tape, elementwise.unary(array.tape, code, array.data), IS_BOOLEAN[code])
    if any(map(is_complex, operands)):
        return of_complex(code, *operands)
    tape = innermost(tapes_in(*operands))
    if any(is_labelled(type(operand)) for operand in operands):
        operands = tuple(by_position(tape, operands))
    code = _code_for(code, operands)
    if len(operands) == 1:
        result = elementwise.unary(tape, code, as_data(tape, *operands))
    else:
        code, x, y = at_whole(code, *operands)
        data = as_data(tape, x)
        result = elementwise.binary(tape, code, data, data if y is x else as_data(tape, y))
    return wrap(tape, result, IS_BOOLEAN[code])


def any_operands(code: int, x: Any, y: Any) -> Any:
    """Record what an operator of a number means: a list or a tuple is an array, as to NumPy's."""
    result = binary(code, x, y)
    if result is NotImplemented and any(type(operand) in (list, tuple) for operand in (x, y)):
        return apply(code, x, y)
    return _or_of_labelled(result, code, x, y)


def _or_of_labelled(result: Any, code: int, x: Any, y: Any) -> Any:
    """Return a result, or that of arrays where there's none for what has labels."""
    if result is NotImplemented and (is_labelled(type(x)) or is_labelled(type(y))):
        return apply(code, x, y)
    return result


def any_product(x: Any, y: Any) -> Any:
    """Record what a product with a number means, which repeats no list."""
    return _or_of_labelled(product(x, y), _MULTIPLY, x, y)


def any_comparison(code: int, x: Any, y: Any) -> Any:
    """Record what a comparison with a number for equality means: a list is never equal."""
    return _or_of_labelled(binary(code, x, y), code, x, y)


@functools.cache
def takes_over(kind: Any) -> bool:
    """Whether operators of arrays are left to those of a class, as NumPy leaves them."""
    if issubclass(kind, np.ndarray | np.generic | Active | ActiveArray):
        return False
    ufunc = getattr(kind, "__array_ufunc__", _MISSING)
    if ufunc is not _MISSING:
        return ufunc is None
    return bool(getattr(kind, "__array_priority__", 0.0) > 0.0)


def _array_operator(code: int, reflected: bool = False) -> Callable[[Any, Any], Any]:
    gives_booleans = IS_BOOLEAN[code]
    may_be_whole = code == _POWER and not reflected

    def method(self: Any, other: Any) -> Any:
        kind: Any = type(other)
        if self.is_bool and is_boolean(other):
            return apply(code, other, self) if reflected else apply(code, self, other)
        if kind is ActiveArray and other.tape is self.tape:
            data = other.data
        elif may_be_whole and at_whole(code, self, other)[0] == _MULTIPLY:
            return self * self
        elif (kind is float or kind is int) and code != _POWER:
            result = elementwise.with_number(self.tape, code, self.data, float(other), reflected)
            return wrap(self.tape, result, gives_booleans)
        elif isinstance(other, str | bytes | dict | None.__class__) or takes_over(kind):
            return NotImplemented
        else:
            return apply(code, other, self) if reflected else apply(code, self, other)
        operands = (data, self.data) if reflected else (self.data, data)
        result = elementwise.binary(self.tape, code, *operands)
        return wrap(self.tape, result, gives_booleans)

    return method


# --- of truth values --------------------------------------------------------------------------

_LOGICAL = {np.bitwise_and: "logical_and", np.bitwise_or: "logical_or",
            np.bitwise_xor: "logical_xor", np.invert: "logical_not"}  # fmt: skip


def is_bitwise(ufunc: Any) -> bool:
    """Whether a ufunc is for integers and truth values only."""
    return ufunc in _LOGICAL


def check_bits(ufunc: np.ufunc, *operands: Any) -> bool:
    """Return whether all operands are truth values, others being integers.

    Raises
    ------
    TypeError
        For floats, as NumPy does.
    """
    kinds = [x.dtype if isinstance(x, Active | ActiveArray) else np.asarray(x).dtype
             for x in operands]  # fmt: skip
    if any(kind.kind not in "biu" for kind in kinds):
        raise TypeError(
            f"ufunc '{ufunc.__name__}' not supported for floats: compare them first, or write "
            f"np.{_LOGICAL[ufunc]}, which takes any number but zero for true"
        )
    return all(kind == np.bool_ for kind in kinds)


def of_bits(ufunc: np.ufunc, *operands: Any) -> Any:
    """Record a bitwise operation of truth values; beside integers they are read, under guards."""
    if not check_bits(ufunc, *operands):
        return ufunc(*map(_read, operands))
    code = CODE[_LOGICAL[ufunc]]
    if any(isinstance(x, ActiveArray | np.ndarray) for x in operands) or len(operands) == 1:
        return apply(code, *operands)
    return binary(code, *operands)


def _read(operand: Any) -> Any:
    if isinstance(operand, Active):
        return np.bool_(bool(operand))
    return operand.truth() if isinstance(operand, ActiveArray) else operand


def bits_operator(ufunc: np.ufunc, reflected: bool = False) -> Callable[[Any, Any], Any]:
    """Return the method for an operator that is a bitwise ufunc."""
    if reflected:
        return lambda self, other: of_bits(ufunc, other, self)
    return lambda self, other: of_bits(ufunc, self, other)


BITS = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
"""The ufuncs that operators of truth values are."""


def _in_place(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def in_place(self: ActiveArray, other: Any) -> Any:
        result = method(self, other)
        if isinstance(result, Pair):
            raise TypeError(
                "an array of floats can't hold complex numbers: write y = y * z in place of "
                "y *= z, or make y with dtype=complex"
            )
        self[...] = result
        return self

    return in_place


for _kind in (Active, ActiveArray):
    setattr(_kind, "__pandas_priority__", PRIORITY)  # noqa: B010  # it's pandas' protocol

_INVERSES = {"invert": np.invert}

for _short, _op in OPERATORS.items():
    if _op.arity == 1:
        setattr(ActiveArray, f"__{_short}__", lambda self, code=_op.code: apply(code, self))
        continue
    _method = _array_operator(_op.code)
    setattr(ActiveArray, f"__{_short}__", _method)
    if not _op.boolean:
        setattr(ActiveArray, f"__i{_short}__", _in_place(_method))
        setattr(ActiveArray, f"__r{_short}__", _array_operator(_op.code, reflected=True))
for _short, _inverse in _INVERSES.items():
    setattr(ActiveArray, f"__{_short}__", lambda self, ufunc=_inverse: of_bits(ufunc, self))
for _short, _ufunc in BITS.items():
    _method = bits_operator(_ufunc)
    setattr(ActiveArray, f"__{_short}__", _method)
    setattr(ActiveArray, f"__i{_short}__", _in_place(_method))
    setattr(ActiveArray, f"__r{_short}__", bits_operator(_ufunc, reflected=True))
