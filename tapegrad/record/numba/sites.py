"""Where in the user's source guards of compiled code stand.

What reads a number asks for the line that is being lowered. Code of NumPy's functions, which is
compiled once for all that call it, leaves guards without a place; its callers give them theirs.
"""

from __future__ import annotations

from numba import int64, types
from numba.extending import lower_builtin

from tapegrad.layout import UNPLACED
from tapegrad.libraries import in_library
from tapegrad.memory import guard_sites
from tapegrad.numba_internals import lines_being_lowered, signature, type_calls
from tapegrad.numba_protocols import Builder, LoweringContext, Signature, Value, Values
from tapegrad.record import emission
from tapegrad.record.kinds import ActiveValue, Array, Structure, active


def place() -> str:
    """Return file and line of the user's code that Numba is lowering now, or an empty string."""
    for line in lines_being_lowered():
        if line is not None and not in_library(line.filename):
            return f"{line.filename}:{line.line}"
    return ""


def guards_before(*things: Structure) -> tuple[int, int]:
    """Return the address of the tape of what is read, and its number of guards; compiled."""
    raise NotImplementedError


def place_guards(before: tuple[int, int]) -> None:
    """Give the guards that were left since then, and have no place, the caller's; compiled."""


def _of_number(number: ActiveValue) -> int:
    return number.tape


def _of_sequence(numbers: list[ActiveValue]) -> int:
    for number in numbers:
        if number.tape != 0:
            return number.tape
    return 0


def _of_array(array: Array) -> int:
    for number in array.flat:
        if number.tape != 0:
            return int(number.tape)
    return 0


def _lower_before(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values
) -> Value:
    tape = context.get_constant(int64, 0)
    for kind, thing in zip(sig.args, args, strict=True):
        if kind == active or getattr(kind, "dtype", None) == active:
            is_array = isinstance(kind, types.Array)
            find = _of_number if kind == active else _of_array if is_array else _of_sequence
            found = context.compile_internal(builder, find, signature(int64, kind), [thing])
            tape = builder.or_(tape, found)  # they are on one tape
    count = context.compile_internal(builder, _count, signature(int64, int64), [tape])
    return context.make_tuple(builder, sig.return_type, [tape, count])


def _count(tape: int) -> int:
    return guard_sites(tape)[0] if tape != 0 else 0


def _place(before: tuple[int, int], site: int) -> None:
    tape, count = before
    if tape != 0:
        n_guards, sites = guard_sites(tape)
        for k in range(count, n_guards):
            if sites[k] == UNPLACED:
                sites[k] = site


def _lower_place(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    site = emission.site_number(builder, place())
    inner = signature(types.none, *sig.args, int64)
    return context.compile_internal(builder, _place, inner, [*args, site])


_PAIR = types.UniTuple(int64, 2)
type_calls(guards_before, lambda *args: signature(_PAIR, *args), guards_before.__name__)
lower_builtin(guards_before.__name__, types.VarArg(types.Any))(_lower_before)
type_calls(place_guards, lambda before: signature(types.none, before), place_guards.__name__)
lower_builtin(place_guards.__name__, _PAIR)(_lower_place)
