"""Solvers called in compiled functions of the user's, by way of Python.

A compiled function that is run, or recorded from Python, calls back: with plain numbers and slots,
and is given the solution. What has no such way is refused by name: forms of derivatives in which
no Python runs, solutions that are no number or array, and checkpoints.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NoReturn

import numpy as np
from llvmlite import ir
from numba import TypingError, njit, objmode, typeof, types
from numba.extending import intrinsic, models, overload, register_model, typeof_impl

from tapegrad.function.compiled_taps import _active as as_recorded
from tapegrad.function.compiled_taps import _plain, _slots
from tapegrad.implicit.solvers import Implicit
from tapegrad.implicit.wrapping import Wrapping
from tapegrad.numba_protocols import (
    Builder,
    Function,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)
from tapegrad.record.array import as_active_data
from tapegrad.record.kinds import active, kind_in
from tapegrad.record.nesting import current

_ACTIVES = types.Array(active, 1, "C")

_tokens = itertools.count(1)
_called: dict[int, Wrapping] = {}
"""What compiled code calls, by token; it's kept, as what compiled code reads is frozen in it."""


def _refuse(name: str, why: str) -> NoReturn:
    raise TypingError(
        f"{name} can't be called in a function that is compiled: {why}; call it in plain Python, "
        "and compiled functions from there, as in `def loss(p): return compiled(solve(p), p)`"
    )


class WrappingType(types.Callable, types.Opaque):  # type: ignore[misc]  # numba is untyped
    """The type of what wraps a function: of one object, as a function's type is."""

    def __init__(self, wrapping: Wrapping) -> None:
        self._wrapping, self._token = wrapping, next(_tokens)
        _called[self._token] = wrapping
        self._chosen: dict[Any, Any] = {}
        super().__init__(f"tapegrad.{wrapping.maker} {self._token}")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """Return the signature of a call, compiled for it."""
        name = f"tapegrad.{self._wrapping.maker}"
        if not isinstance(self._wrapping, Implicit) or self._wrapping.shape is None:
            _refuse(name, "only solutions that are a number or one array can")
        if kws:
            _refuse(name, "not with keywords")
        kind = kind_in(*args)
        if kind not in (None, active):
            _refuse(name, "no Python runs in this one")
        chosen = typeof(_calling(self._token, self._wrapping.shape, kind is active))
        signature = chosen.get_call_type(context, args, kws)
        self._chosen[signature.args] = chosen
        return signature

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """Return none."""
        return [], False

    def get_impl_key(self, signature: Any) -> Any:
        """Return what a call is compiled by."""
        return self._chosen[signature.args].get_impl_key(signature)


register_model(WrappingType)(models.OpaqueModel)


_type_of = functools.cache(WrappingType)


@typeof_impl.register(Wrapping)  # type: ignore[untyped-decorator]
def _(wrapping: Wrapping, context: Any) -> WrappingType:
    return _type_of(wrapping)


@functools.cache
def _calling(token: int, shape: tuple[int, ...], has_active: bool) -> Function:
    """Return a compiled function that calls what a token means, with numbers or active ones."""
    n_dimensions = len(shape)

    @intrinsic  # type: ignore[untyped-decorator]
    def own_token(typing_context: TypingContext) -> Intrinsic:
        """Return the token, as an address of this process: what has one isn't cached on disk."""

        def codegen(context: LoweringContext, builder: Builder, sig: Signature,
                    args: Values) -> Value:  # fmt: skip
            address = context.add_dynamic_addr(builder, token, "tapegrad_solver")
            return builder.ptrtoint(address, ir.IntType(64))

        return types.int64(), codegen

    @njit  # type: ignore[untyped-decorator]
    def with_active(*values: Any) -> Any:
        number, plain, slots = own_token(), _plain(values), _slots(values)
        with objmode(found=_ACTIVES):
            found = _solved(number, plain, slots)
        return found[0] if n_dimensions == 0 else found.reshape(shape)

    @njit  # type: ignore[untyped-decorator]
    def with_numbers(*values: Any) -> Any:
        number = own_token()
        with objmode(found="float64[::1]"):
            found = _solved_plainly(number, values)
        return found[0] if n_dimensions == 0 else found.reshape(shape)

    return with_active if has_active else with_numbers


def _solved(token: int, plain: tuple[Any, ...], slots: tuple[Any, ...]) -> Any:
    """Return the elements of a solution for numbers of the tape being recorded."""
    tape = current()
    tape.take_note()
    found = _called[token](*map(as_recorded, plain, slots))
    data = np.ascontiguousarray(as_active_data(tape, found).reshape(-1))
    tape.flush()
    return data


def _solved_plainly(token: int, values: tuple[Any, ...]) -> Any:
    return np.ascontiguousarray(np.ravel(np.asarray(_called[token](*values), np.float64)))


def refuse_in_compiled_code(maker: Any) -> None:
    """Have compiled code refuse what makes such things."""

    @overload(maker, strict=False)  # type: ignore[untyped-decorator]
    def _(function: Kind, *args: Kind) -> NoReturn:
        _refuse(f"tapegrad.{maker.__name__}", "make it outside")
