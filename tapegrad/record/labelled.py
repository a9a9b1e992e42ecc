"""Series, tables and labelled arrays of pandas, xarray and polars in arithmetic of active numbers.

A Series or an Index stands for its values, by position. That is what pandas makes of it as long as
labels say the same as positions do: where they may not, and for tables and arrays that have axes
by name, the error says to take the values first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tapegrad.errors import InputTypeError, UnsupportedFunctionError
from tapegrad.record.frames import Site
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.refusals import as_plain

PRIORITY = 10_000
"""Above that of pandas' own classes, whose operators leave to what is above them."""

_NO_POSITIONS = frozenset(
    ["string", "datetime64", "datetime", "date", "timedelta64", "timedelta", "period"]
)
"""The kinds of labels that can't be taken for positions, by pandas' names."""

_LIBRARIES = frozenset(["pandas", "xarray", "polars"])


def _has_labels(kind: type) -> bool:
    """Whether a class is one of an array or a table with labels."""
    return kind.__module__.partition(".")[0] in _LIBRARIES and any(
        callable(getattr(kind, name, None)) for name in ("to_numpy", "__array__")
    )


# Mypy takes no class for hashable.
is_labelled: Callable[[Any], bool] = functools.cache(_has_labels)


def by_position(tape: OpenTape, operands: Sequence[Any]) -> list[Any]:
    """Return the operands of an operation, values in place of what is labelled.

    Raises
    ------
    InputTypeError
        Where labels may mean something else than positions.
    """
    return [_values(tape, x) if is_labelled(type(x)) else x for x in operands]


def _values(tape: OpenTape, thing: Any) -> Any:
    kind = next(
        (base for base in type(thing).__mro__ if base.__module__.startswith("pandas")), None
    )
    name = getattr(kind, "__name__", "")
    index = getattr(thing, "index", None) if name == "Series" else None
    if kind is None or getattr(thing, "ndim", 0) != 1 or not (name == "Series" or "Index" in name):
        raise _refused(thing, "its axes have names, which operations and sums go by")
    if index is not None:
        _check_labels(tape, thing, index)
    tape.has_labels = True
    return thing.to_numpy()


def _check_labels(tape: OpenTape, thing: Any, index: Any) -> None:
    """Raise unless labels are the positions, or no numbers, and those met before."""
    if getattr(index, "start", None) == 0 and getattr(index, "step", None) == 1:
        return
    if getattr(index, "inferred_type", "") not in _NO_POSITIONS:
        raise _refused(thing, "its labels may be numbers and aren't its positions, so that what "
                              "is read by them would be others")  # fmt: skip
    if tape.labels is None:
        tape.labels = index
    elif not index.equals(tape.labels):
        raise _refused(thing, "its labels are others than those of what was met before, so that "
                              "pandas would align them")  # fmt: skip


def _refused(thing: Any, why: str) -> InputTypeError:
    remedy = as_plain([thing]) or f"write np.asarray(a) for the {type(thing).__name__} a"
    return InputTypeError(
        f"a {type(thing).__name__} can't be combined with active numbers as it is, since {why}, at "
        f"{Site().place}{remedy}"
    )


def no_attribute(array: Any, name: str) -> AttributeError:
    """Return the error for an attribute that arrays lack, a Series' perhaps."""
    text = f"'{type(array).__name__}' object has no attribute '{name}'"
    if name != "tape" and array.tape.has_labels:
        text += (
            ": what a Series and active numbers make is the array of its values; write "
            f"a.to_numpy() for the Series a, and with NumPy what its .{name} does"
        )
    return AttributeError(text, name=name, obj=array)


def check_deviation(tape: OpenTape, name: str, args: tuple[Any, ...], given: Any) -> None:
    """Raise if nothing says whether a deviation is pandas' or NumPy's, which differ."""
    if tape.has_labels and "ddof" not in given and len(args) < 4:
        raise UnsupportedFunctionError(
            f".{name}() of what may have been a Series divides by n - 1 in pandas and by n in "
            f"NumPy, at {Site().place}write a.{name}(ddof=1) or np.{name}(a)"
        )
