"""Functions that ask for shapes and types only, and what they answer for active arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.operands import array_on, is_active, is_boolean, tape_of, truth
from tapegrad.record.functions.registry import RULES, rule

_OF_SHAPES: tuple[Callable[..., Any], ...] = (
    np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast,
    np.common_type, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
    np.einsum_path,
)  # fmt: skip


def _plain(operand: Any) -> Any:
    """Return a plain number or array of an operand's shape and type, without memory for it."""
    if not isinstance(operand, Active | ActiveArray):
        return operand
    zero = operand.dtype.type()
    return np.broadcast_to(zero, operand.shape) if operand.shape else zero


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    def answer(*args: Any, **kwargs: Any) -> Any:
        plain = {name: _plain(value) for name, value in kwargs.items()}
        return function(*map(_plain, args), **plain)

    return answer


@rule(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return a.shape  # type: ignore[no-any-return]


@rule(np.ndim)
def _ndim(a: Any) -> int:
    return len(a.shape)


for _function in _OF_SHAPES:
    RULES[_function] = _of_shape(_function)


@rule(np.ix_)
def _ix(*args: Any) -> Any:
    """Read masks, as positions along an axis; other sequences keep their elements."""
    axes = []
    for k, sequence in enumerate(args):
        part = (
            array_on(tape_of(sequence), sequence) if is_active(sequence) else np.asarray(sequence)
        )
        if part.ndim != 1:
            raise ValueError("Cross index must be 1 dimensional")
        if is_boolean(part):
            (part,) = np.nonzero(truth(part))
        elif not is_active(part) and part.size == 0:
            part = part.astype(np.intp)
        axes.append(part.reshape((1,) * k + (part.size,) + (1,) * (len(args) - k - 1)))
    return tuple(axes)


def _all_of(answer: bool) -> Callable[[Any], Any]:
    def of_real_numbers(x: Any) -> Any:
        return np.full(np.shape(x), answer) if np.ndim(x) else np.bool_(answer)

    return of_real_numbers


rule(np.iscomplex)(_all_of(False))
rule(np.isreal)(_all_of(True))


# --- how an array lies in memory --------------------------------------------------------------


def _flags(self: ActiveArray) -> Any:
    """How the elements lie in memory, and whether they may be written."""
    return self.data.flags


def _strides(self: ActiveArray) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis of the array it stands for."""
    return tuple(step * self.itemsize // self.data.itemsize for step in self.data.strides)


for _name, _question in {"flags": _flags, "strides": _strides}.items():
    setattr(ActiveArray, _name, property(_question))
