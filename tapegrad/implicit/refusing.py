"""What compiled functions are told that call a solver or a checkpoint.

A solver of the user's own and a recording that is made again are Python; compiled code calls none.
"""

from __future__ import annotations

from typing import Any, NoReturn

from numba import TypingError, types
from numba.extending import overload, typeof_impl

from tapegrad.implicit.wrapping import Wrapping
from tapegrad.numba_protocols import Kind


def refuse(name: str) -> NoReturn:
    """Raise the error that says what to do."""
    raise TypingError(
        f"{name} can't be called in a function that is compiled: call it in plain Python, and "
        "compiled functions from there, as in `def loss(p): return compiled(solve(p), p)`"
    )


class WrappingType(types.Callable):  # type: ignore[misc]  # numba is untyped
    """The type of what wraps a function: one that says what to do where it's called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def get_call_type(self, context: Any, args: Any, kws: Any) -> NoReturn:
        """Refuse a call."""
        refuse(self.name)

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """Return none."""
        return [], False

    def get_impl_key(self, signature: Any) -> Any:
        """Return what a call would be compiled by."""
        return self.name


@typeof_impl.register(Wrapping)  # type: ignore[untyped-decorator]
def _(wrapping: Wrapping, context: Any) -> WrappingType:
    return WrappingType(f"tapegrad.{wrapping.maker}")


def refuse_in_compiled_code(maker: Any) -> None:
    """Have compiled code refuse what makes such things."""

    @overload(maker, strict=False)  # type: ignore[untyped-decorator]
    def _(function: Kind, *args: Kind) -> NoReturn:
        refuse(f"tapegrad.{maker.__name__}")
