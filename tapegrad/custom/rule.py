"""Functions with rules: called as they are, and calls of blocks while they're recorded."""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

import numpy as np

from tapegrad.blocks import Block
from tapegrad.custom import plainly
from tapegrad.custom.block import RuleBlock, formed
from tapegrad.custom.conventions import Rules
from tapegrad.custom.derived import no_rule
from tapegrad.custom.differentiated_calls import Binding, Keys, Layout, several, takes_self
from tapegrad.custom.embedded import form_for_compiled_code
from tapegrad.custom.first_use import check, check_forward
from tapegrad.custom.sparsity import Pattern, tape_of
from tapegrad.derivatives.pickling import reduced
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.content import is_active
from tapegrad.function.environment import Environment
from tapegrad.record.active import guard_all
from tapegrad.record.array import as_active_data
from tapegrad.record.called import call
from tapegrad.record.interception import original_of
from tapegrad.record.nesting import is_recording


class Options(NamedTuple):
    """What is said of a rule beside its functions."""

    nondiff: Any
    sparsity: Any
    check: bool


P = ParamSpec("P")
R = TypeVar("R")


class FunctionWithRule(Generic[P, R]):
    """A function with a derivative of its own.

    Attributes
    ----------
    options : Options
    nondiff : frozenset of int and str
        The arguments that aren't differentiated, by position and by name.
    """

    _by_position = False

    def __init__(self, function: Callable[P, R], options: Options,
                 parts: dict[str, Any] | None = None) -> None:  # fmt: skip
        own: Any = original_of(getattr(function, "__func__", function))
        if not callable(own):
            raise TypeError(f"a function is needed, not {type(own).__name__}")
        functools.update_wrapper(self, own, updated=())
        if not hasattr(own, "__qualname__"):  # an object that is called, or a partial function
            self.__name__ = self.__qualname__ = type(own).__qualname__
        self.options = options
        nondiff: Keys = options.nondiff
        if not self._by_position and takes_self(own):
            nondiff = [*several(nondiff), 0]
        self._binding = Binding(own, nondiff, self._by_position)
        self.nondiff = self._binding.nondiff
        self._pattern = None if options.sparsity is None else Pattern(options.sparsity)
        self._parts: dict[str, Any] = {"function": own}
        self._lock = threading.RLock()
        self._checked: set[Any] = set()
        self._rules: Rules | None = None
        self._held: Environment | None = None
        self._version = 0
        self._watched: tuple[Any, ...] = ()
        self._give(**(parts or {}))

    def _give(self, **parts: Any) -> None:
        """Take functions of the user's, in place of those of the same kind."""
        for name, part in parts.items():
            for function in part if type(part) is tuple else (part,):
                if not callable(function) and function is not None:
                    raise TypeError(
                        f"the {name} of {self.__qualname__} must be a function, not a "
                        f"{type(function).__name__}"
                    )
        with self._lock:
            all_parts = {**self._parts, **parts}
            self._parts = {name: part for name, part in all_parts.items() if part is not None}
            self._rules, self._checked = None, set()

    @property
    def rules(self) -> Rules:
        """The rules as they are now."""
        with self._lock:
            if self._rules is None:
                self._rules = Rules(self, self._parts, self.nondiff, self._pattern)
            return self._rules

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the function's result; while it's recorded, one with the rule's derivative."""
        if not is_recording() and not any(map(is_active, (*args, *kwargs.values()))):
            return self._parts["function"](*args, **kwargs)
        args, kwargs = self._binding.bound(args, kwargs)
        layout, numbers = self._binding.laid_out(args, kwargs)
        rules = self.rules
        plainly.refuse_actives(rules.name, rules.holding)
        rules = rules.as_now()
        tape = tape_of(*numbers)
        plain = [_plain(number) for number in numbers]
        if tape is None or not any(map(_depends, numbers)):
            self._hold()
            return self._called(rules.name, rules.function, layout, plain)
        return self._recorded(rules, layout, numbers, plain, tape)

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Return the function's result."""

    else:
        __call__ = _call

    def _called(self, name: str, function: Callable[..., Any], layout: Layout,
                plain: Sequence[Any]) -> Any:  # fmt: skip
        """Return what a function makes of plain numbers, which it may only read."""
        args, kwargs = layout.arguments(plain)
        found = plainly.run(name, lambda: function(*args, **kwargs))
        self._refuse_stores(name, layout, plain, (args, kwargs))
        return found

    def _refuse_stores(self, name: str, layout: Layout, plain: Sequence[Any],
                       given: Any) -> None:  # fmt: skip
        if not layout.can_change:
            return
        args, kwargs = given
        again, now = self._binding.laid_out(args, kwargs)
        if again != layout or not all(
            np.array_equal(x, y, equal_nan=True) for x, y in zip(plain, now, strict=True)
        ):
            raise UnsupportedFunctionError(
                f"{name} writes into its arguments, which are copies where it's recorded: have it "
                "return what it computes"
            )

    def _recorded(self, rules: Rules, layout: Layout, numbers: Sequence[Any],
                  plain: Sequence[Any], tape: Any) -> Any:  # fmt: skip
        args, kwargs = layout.arguments(plain)
        found = plainly.run(rules.name, rules.forward, args, kwargs)
        self._refuse_stores(rules.name, layout, plain, (args, kwargs))
        if rules.push is None and rules.pull is None and rules.jacobian is None:
            raise no_rule(rules.name)
        result, residuals, values = formed(rules, found)
        if tape_of(*values) is not None:
            raise plainly.closes_over(rules.name, "an active number, which it returns")

        def made(is_active: tuple[bool, ...]) -> Block:
            block: RuleBlock = rules.block(RuleBlock, layout, result, residuals, is_active)
            self._check(block, plain, values)
            return block

        is_anchored = result.has_more or residuals.has_more or not result.shapes
        outputs = call(made, numbers, tape, [*values, np.zeros(1)] if is_anchored else values)
        if is_anchored:  # what is no number is only right while the call finds the same
            anchor = as_active_data(outputs[-1].tape, outputs[-1])
            guard_all(outputs[-1].tape, anchor["slot"], anchor["value"])
        return result.tree(outputs[: len(result.shapes)])

    def _check(self, block: RuleBlock, operands: Sequence[Any], values: Sequence[Any]) -> None:
        """Try the rules, the first time that they're used for such a call."""
        kind = block.layout, block.is_active
        if kind in self._checked:
            return
        with self._lock:
            self._checked.add(kind)
        try:
            if block.rules.keeps and self.options.check:
                plainly.run(
                    block.name, check_forward, block, operands, block.rules.function, values
                )
            plainly.run(block.name, check, block, operands, values, self.options.check)
        except BaseException:
            self._checked.discard(kind)
            raise

    # --- what recordings hold of it ---------------------------------------------------------------

    def _hold(self) -> None:
        """Note that a recording holds what the function returned, so that what it reads counts."""
        with self._lock:
            if self._held is None or self._held.changed() is not None:
                self._version += self._held is not None
                self._held = Environment(self._parts["function"], are_called=True)

    @property
    def watched(self) -> tuple[Any, ...]:
        """What recordings that call it depend on: the same object as long as that is unchanged."""
        held = self._held
        if held is not None and (held.unwatched or (not held.holds() and held.changed())):
            self._hold()
            self._version += bool(held.unwatched)
        now = (self._version, *self._parts.items())
        if now != self._watched:
            self._watched = now
        return self._watched

    # --- in compiled functions --------------------------------------------------------------------

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        made: Callable[..., Any] = self._parts["function"]
        return made

    has_compiled_form = True

    @functools.cached_property
    def njit(self) -> Any:
        """What compiled functions call in its place, where they name it."""
        return form_for_compiled_code(self)

    # --- what it is to others ---------------------------------------------------------------------

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce_ex__(self, protocol: Any) -> Any:
        parts = {name: part for name, part in self._parts.items() if name != "function"}
        function = self._parts["function"]
        return reduced(self, function, (function, self.options, parts))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.__qualname__}>"

    __name__: str
    __qualname__: str


def _plain(number: Any) -> Any:
    if not is_active(number):
        return np.asarray(number, np.float64)
    return np.array(as_active_data(number.tape, number)["value"])


def _depends(number: Any) -> bool:
    return is_active(number) and bool(np.any(as_active_data(number.tape, number)["slot"]))
