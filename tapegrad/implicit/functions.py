"""The user's functions as inner functions: recorded, recognised, and recorded again.

Calls of one function with arguments of one kind share an inner function, even where a closure is
made anew each time: what counts is its code and what it closes over, as long as nothing that it
reads has changed. So blocks in a loop are one block, called often.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tapegrad.errors import OutdatedBlockError, UnsupportedFunctionError
from tapegrad.function.arguments import FLOAT, Fixed, shape_of, size_of, sort_arguments
from tapegrad.function.content import is_active
from tapegrad.function.environment import Environment, is_watched
from tapegrad.function.places import Places, primal_of
from tapegrad.function.plan import Plan
from tapegrad.function.recording import Recording, is_truth, name_of, record
from tapegrad.function.vectors import Vector
from tapegrad.function.watch.draws import drawn_between, shared_states
from tapegrad.implicit.inner import OPTIONS, MoreCapturedError, Recorded
from tapegrad.implicit.lifting import Lifted, lift
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.nesting import THREAD, current, is_recording, slot_on, unsettle
from tapegrad.record.numba.rewriting import taking_active
from tapegrad.record.twins import Twins
from tapegrad.tree import flatten

T = TypeVar("T")

Finish = Callable[[Any, Any], Any]
"""Makes, of the unknowns and what a function returns, what is recorded as its result."""


class Use(NamedTuple):
    """What a function is called for.

    Attributes
    ----------
    verb : str
        What does so, for messages.
    finish : callable
    has_effects : bool
        Whether it may do more than return something.
    is_kept : bool
        Whether recordings are worth the memory.
    way_out : str
        What to write in place of an effect, where it may have none.
    """

    verb: str
    finish: Finish
    has_effects: bool = False
    is_kept: bool = True
    way_out: str = "return them, with has_aux=True, as in `return residual, more`"


class Function(Recorded):
    """An inner function that is the user's.

    Attributes
    ----------
    result : Result
        How to make what it returns of the outputs.
    effects : sequence of Effect
        What it does beside; their operands are outputs, too, after the others.
    captured : list of Active
        The last inputs: numbers it reads from where they can't be taken out of.
    is_shared : bool
        Whether it stands for all calls of the same kind.
    may_branch : bool
        Whether it takes other ways elsewhere.
    """

    def __init__(self, lifted: Lifted, use: Use, plan: Plan, leaves: Sequence[Any],
                 captured: Sequence[Active] = ()) -> None:  # fmt: skip
        plain = tuple(map(primal_of, lifted.leaves))  # so that no recording is held by it
        self._lifted, self._use, self._plan = lifted._replace(leaves=()), use, plan
        self._template = lifted.holding(plain)
        self._truths = truths_in(leaves)
        self._fixed = plan.fixed(leaves)
        self._callers: set[int] = set()
        self.captured = list(captured)
        self._environments = [Environment(self._template, are_called=True)]
        if any(map(is_watched, self._fixed)):
            names = self._environments[0].names
            self._environments.append(Environment(*self._fixed, names=names))
            self._environments[0].mention(self._environments[1].names)
        before = shared_states()
        first, found = self._recording(leaves)
        self.captured += found
        drawn = drawn_between(before, shared_states(), {})
        watched = all(e.unwatched is None and e.drawn_from() is None for e in self._environments)
        is_repeatable = lifted.is_repeatable and watched and drawn is None
        self.result, self.effects = first.result, first.effects
        self.may_branch = bool(len(first.tape.guard_slot) or first.tape.blocks)
        self.is_shared = is_repeatable and not self.captured and not self.effects
        name = f"{use.verb} of {name_of(self._template)}"
        super().__init__(name, _plainly(first), self.is_shared, use.is_kept)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Be what this thread calls: what the function reads is what it is to read."""
        thread = threading.get_ident()
        self._callers.add(thread)
        try:
            yield
        finally:
            self._callers.discard(thread)

    def holds(self) -> bool:
        """Whether nothing that it reads has changed."""
        return all(e.holds() or e.changed() is None for e in self._environments)

    # --- recordings -------------------------------------------------------------------------------

    def _recording(self, leaves: Sequence[Any]) -> tuple[Recording, list[Active]]:
        """Return a new recording, and which other numbers than those known it captured."""
        methods = [m for environment in self._environments for m in environment.methods]
        roots = [root for environment in self._environments for root in environment.roots]
        places = Places(roots) if roots and not is_recording() else None
        function = self._called()
        found = record(function, self._plan, leaves, methods if not is_recording() else (),
                       OPTIONS, places)  # fmt: skip
        if found.effects and not self._use.has_effects:
            raise UnsupportedFunctionError(
                f"{name_of(function)}, of which {self._use.verb} is taken, taps values or leaves "
                "them in an object, and it's called at points that are no result: "
                f"{self._use.way_out}"
            )
        known = {(id(number.tape), number.slot) for number in self.captured}
        return found, [n for n in found.captured if (id(n.tape), n.slot) not in known]

    def _called(self) -> Callable[..., Any]:
        lifted, captured = self._lifted, self.captured
        verb, finish = self._use.verb, self._use.finish

        def call(x: Any, args: Any, kwargs: Any, numbers: Any) -> Any:
            for number in captured:  # these first, in this order
                slot_on(current(), number)
            twins = THREAD.twins
            assert isinstance(twins, Twins), "it's called while it's recorded"
            function = twins.of(lifted.holding(numbers))
            before = _state_of((args, kwargs, numbers))
            result = taking_active(function)(*x, *args, **kwargs)
            if _state_of((args, kwargs, numbers)) != before:
                raise UnsupportedFunctionError(
                    f"{name_of(call)} changes what it's called with, or closes over, which is a "
                    f"copy where {verb} of it is taken: let it return what it makes"
                )
            return finish(x, result)

        return functools.update_wrapper(call, self._template, updated=())

    def _record(self, inputs: Vector) -> Recording:
        if not hasattr(self, "_lifted"):  # it was pickled
            return super()._record(inputs)
        is_called = threading.get_ident() in self._callers
        if self.captured and not is_called:
            raise OutdatedBlockError(
                f"{self.name} takes another way here, and reads active numbers of a recording "
                "that has ended: pass them to it as arguments"
            )
        if not is_called and not (self.is_shared and self.holds()):
            raise OutdatedBlockError(
                f"{self.name} is to be recorded again, and what it reads has changed since it was "
                "called, or can't be seen: pass that to it as an argument"
            )
        recording, more = self._recording(list(self._unpacked(inputs)))
        if more:
            self.captured += more
            raise MoreCapturedError(self)
        if self.effects or recording.effects or recording.result != self.result:
            raise OutdatedBlockError(
                f"{self.name} returns something else here than numbers and arrays as before, or "
                "does something beside"
            )
        return _plainly(recording)

    def _unpacked(self, inputs: Vector) -> Iterator[Any]:
        """Yield a call's leaves."""
        start, fixed = 0, iter(self._fixed)
        for position, spec in enumerate(self._plan.specs):
            if isinstance(spec, Fixed):
                yield next(fixed)
                continue
            stop = start + size_of(spec)
            part = inputs[start:stop]
            if position in self._truths:
                part = part != 0.0
            yield part[0] if spec is FLOAT else part.reshape(shape_of(spec)).copy()
            start = stop

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        own = ("_lifted", "_template", "_use", "_plan", "_fixed", "_truths", "_callers", "captured",
               "_environments", "result", "effects", "may_branch")  # fmt: skip
        return {name: value for name, value in state.items() if name not in own}


def _state_of(tree: Any) -> Any:
    """Return what a tree is made of, and the slots in its arrays."""
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    return structure, [
        leaf.data["slot"].tobytes() if isinstance(leaf, ActiveArray) else id(leaf)
        for leaf in leaves
    ]


def truths_in(leaves: Sequence[Any]) -> tuple[int, ...]:
    """Return which of a call's inputs are truth values."""
    return tuple([k for k, leaf in enumerate(leaves) if is_active(leaf) and is_truth(leaf)])


def _plainly(recording: Recording) -> Recording:
    """Return a recording that does nothing beside: what its effects need are outputs."""
    if not recording.effects:
        recording.captured = []
        return recording
    operands = [recording.tape.outputs, *(e.operands.astype(np.int32) for e in recording.effects)]
    tape = dataclasses.replace(recording.tape, outputs=np.concatenate(operands))
    return Recording(tape, recording.result, [], [], recording.function, OPTIONS)


# --- calls ----------------------------------------------------------------------------------------

_shared: weakref.WeakValueDictionary[Any, Function] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def with_inner(function: Any, use: Use, x: tuple[Any, ...], args: tuple[Any, ...],
               kwargs: dict[str, Any], body: Callable[[Function, list[Any]], T]) -> T:  # fmt: skip
    """Return what `body` makes of a function of the user's as an inner one, and its operands.

    The operands are numbers and arrays, active ones among them, that are its inputs together; `x`
    are the arguments that are unknowns, if there are any: they come first.
    """
    lifted = lift(function, keep=False)
    structure, specs, leaves = sort_arguments((x, args, kwargs, lifted.leaves), {}, (0,))
    plan = Plan(structure, specs, (0,), True)
    inputs = plan.inputs(leaves)
    kind = structure, specs, truths_in(leaves)
    with _lock:
        shared = _shared.get((use, lifted.key, kind)) if lifted.is_repeatable else None
    if shared is not None and shared.holds():
        try:
            # It may turn out to return something else.
            with contextlib.suppress(OutdatedBlockError), shared.calling():
                return body(shared, inputs)
        except MoreCapturedError as error:
            if error.function is not shared:
                raise
    lifted, captured = lift(function), list[Active]()
    while True:
        own = Function(lifted, use, plan, leaves, captured)
        if own.is_shared:
            with _lock:
                _shared[use, lifted.key, kind] = own
        try:
            with own.calling():
                return body(own, [*inputs, *own.captured])
        except MoreCapturedError as error:
            if error.function is not own:  # of a call around this one
                raise
            captured = own.captured
        except OutdatedBlockError:
            unsettle()  # the program may catch this
            raise
