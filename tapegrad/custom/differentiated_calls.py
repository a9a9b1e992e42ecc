"""Calls of functions with rules: which arguments are differentiated, where their numbers are."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, SupportsIndex

from tapegrad.custom.tree_forms import Form, form_of
from tapegrad.errors import InputTypeError, LostDerivativeError
from tapegrad.function.arguments import Fixed
from tapegrad.function.content import can_change, duplicate, is_active
from tapegrad.function.watch.walk import items
from tapegrad.record.array import ActiveArray
from tapegrad.record.interception import original_of
from tapegrad.tree import LEAF

Key = int | str
Keys = SupportsIndex | str | Sequence[SupportsIndex | str]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Layout(NamedTuple):
    """A call without its numbers.

    Attributes
    ----------
    n_positional : int
    names : tuple of str
        Of the arguments that are passed by keyword.
    keys : tuple of int and str
        Of the arguments that are differentiated.
    form : Form
        Of the tuple of those.
    others : tuple of Fixed
        The other arguments.
    """

    n_positional: int
    names: tuple[str, ...]
    keys: tuple[Key, ...]
    form: Form
    others: tuple[Fixed, ...]

    @property
    def can_change(self) -> bool:
        """Whether a function could write into the arguments."""
        form = self.form
        is_flat = all(child is LEAF for child in form.structure[2])
        fixed = (*(spec for spec in form.specs if isinstance(spec, Fixed)), *self.others)
        return (
            not is_flat
            or any(type(spec) is tuple for spec in form.specs)
            or any(can_change(one.thing) for one in fixed)
        )

    def arguments(self, numbers: Sequence[Any]) -> Arguments:
        """Return the arguments with these numbers."""
        given = dict(zip(self.keys, self.form.tree(numbers), strict=True))
        others = iter(self.others)
        everything = [
            given[key] if key in given else duplicate(next(others).thing)
            for key in (*range(self.n_positional), *self.names)
        ]
        n = self.n_positional
        return tuple(everything[:n]), dict(zip(self.names, everything[n:], strict=True))


class Binding:
    """How a function's arguments are told apart.

    Parameters
    ----------
    function : callable
    nondiff : int, str, or sequence of them
        The arguments that aren't differentiated.
    by_position : bool
        Whether everything is passed by position, as JAX passes it.

    Raises
    ------
    InputTypeError
        If there is no such argument.
    """

    def __init__(self, function: Callable[..., Any], nondiff: Keys, by_position: bool) -> None:
        self._name = getattr(function, "__name__", "the function")
        self._by_position = by_position
        self._signature = _signature_of(function)
        parameters = {} if self._signature is None else self._signature.parameters
        self._positional = [p.name for p in parameters.values() if p.kind in _POSITIONAL]
        self._is_plain = len(self._positional) == len(parameters)
        self._has_more = self._signature is None or any(
            p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()
        )
        keys = (key for one in several(nondiff) for key in self._keys_of(one, parameters))
        self.nondiff = frozenset(keys)

    def _keys_of(self, given: SupportsIndex | str, parameters: Any) -> Iterator[Key]:
        """Yield what an argument may be called."""
        if isinstance(given, str):
            if given in self._positional:
                yield self._positional.index(given)
            elif not self._has_more and given not in parameters:
                raise self._no_such(repr(given))
            yield given
            return
        position = operator.index(given)
        count = len(self._positional)
        if not self._has_more and not -count <= position < count:
            raise self._no_such(str(position))
        position = position + count if position < 0 else position
        yield position
        if position < count:
            yield self._positional[position]

    def _no_such(self, given: str) -> InputTypeError:
        names = ", ".join(() if self._signature is None else self._signature.parameters)
        return InputTypeError(
            f"{self._name} has no argument {given} that could go without a derivative; its "
            f"parameters are {names}"
        )

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Return a call's arguments with defaults, by position where that can be.

        Raises
        ------
        TypeError
            As the function does, if they don't fit it.
        """
        if self._signature is None or (
            self._is_plain and not kwargs and len(args) == len(self._positional)
        ):
            return args, kwargs
        call = self._signature.bind(*args, **kwargs)
        call.apply_defaults()
        if call.kwargs and self._by_position:
            raise TypeError(
                f"{self._name} takes {', '.join(call.kwargs)} by keyword alone, which "
                "the rules of `custom_jvp` and `custom_vjp` can't be given: use "
                "tapegrad.custom_rule"
            )
        return call.args, call.kwargs

    def laid_out(self, args: tuple[Any, ...],
                 kwargs: dict[str, Any]) -> tuple[Layout, list[Any]]:  # fmt: skip
        """Return a bound call without its numbers, and those.

        Raises
        ------
        LostDerivativeError
            If an argument without derivative holds active numbers.
        """
        everything: dict[Key, Any] = dict([*enumerate(args), *kwargs.items()])
        keys = tuple(key for key in everything if key not in self.nondiff)
        form, numbers = form_of(tuple(everything[key] for key in keys))
        others = tuple(
            Fixed(duplicate(self._passive(key, thing)))
            for key, thing in everything.items()
            if key in self.nondiff
        )
        return Layout(len(args), tuple(kwargs), keys, form, others), numbers

    def _passive(self, key: Key, thing: Any) -> Any:
        """Return an argument that isn't differentiated."""
        thing = original_of(thing)
        if isinstance(thing, ActiveArray) and thing.is_passive:
            return thing.primal
        inside = [*items(thing), *vars(thing).values()] if hasattr(thing, "__dict__") else [
            *items(thing)]  # fmt: skip
        if any(map(is_active, inside)):
            name = self.name_of(key)
            raise LostDerivativeError(
                f"the argument {name} of {self._name} is one without derivative, by "
                f"`nondiff`, and holds active numbers: take {name!r} out of `nondiff` and have the "
                "rule return None for it if its derivative is zero, or pass "
                "x.value for a number or an array x whose value alone is wanted"
            )
        return thing

    def name_of(self, key: Key) -> str:
        """Return what an argument is called."""
        if isinstance(key, int):
            return self._positional[key] if key < len(self._positional) else f"number {key}"
        return key


def several(keys: Keys) -> list[SupportsIndex | str]:
    """Return what says which arguments are meant as a list."""
    return [keys] if isinstance(keys, str | SupportsIndex) else list(keys)


def _signature_of(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(getattr(function, "py_func", function))
    except (TypeError, ValueError):
        return None


@functools.lru_cache(maxsize=256)
def takes_self(function: Callable[..., Any]) -> bool:
    """Whether a function is written as a method is."""
    signature = _signature_of(function)
    names = () if signature is None else tuple(signature.parameters)
    return names[:1] in (("self",), ("cls",))
