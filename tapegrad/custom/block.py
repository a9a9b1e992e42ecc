"""The block that a call of a function with rules is on a tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block, Kind, Shapes
from tapegrad.blocks import _arrays as arrays_at
from tapegrad.custom import plainly
from tapegrad.custom.compiled_rules import compiled, context_of
from tapegrad.custom.conventions import Rules
from tapegrad.custom.derived import Case, RecordedCase, of_arguments, of_results, pulled, pushed
from tapegrad.custom.differentiated_calls import Layout
from tapegrad.custom.quick import Respond, responder
from tapegrad.custom.tree_forms import UNKNOWN, Form, described, form_of
from tapegrad.errors import BlockFailedError, InputTypeError
from tapegrad.function.arguments import Fixed
from tapegrad.function.content import is_active
from tapegrad.record.nesting import THREAD


class RuleBlock(Block):
    """A call of a function with rules.

    Its results are the numbers of the function's result, then those that are kept for its pullback.
    If the result has more than numbers, which is part of the block, another one that is always 0.

    Parameters
    ----------
    rules : Rules
    layout : Layout
    result, residuals : Form
    is_active : tuple of bool
    """

    def __init__(self, rules: Rules, layout: Layout, result: Form, residuals: Form,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        self.rules, self.layout, self.result, self.residuals = rules, layout, result, residuals
        self.is_anchored = result.has_more or residuals.has_more or not result.shapes
        results = *result.shapes, *residuals.shapes, *([(1,)] * self.is_anchored)
        super().__init__(rules.name, layout.form.shapes, results, is_active)
        self._identity = rules, layout, result, residuals, is_active
        self._hash = hash(self._identity)
        self._responders: dict[Kind, Respond | None] = {}
        self.takers = {"value": self._take_value, "pullback": self._take_adjoints,
                       "pushforward": self._take_tangents}  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleBlock) and self._identity == other._identity

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return type(self), self._identity, {"has_slots": self.has_slots}

    def differentiated_by(self, is_active: tuple[bool, ...]) -> Block:
        """Return a block like this one that is differentiated by other operands."""
        rules, layout, result, residuals, _ = self._identity
        return type(self)(rules, layout, result, residuals, is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results.

        Raises
        ------
        BlockFailedError
            If the function returns another structure, or other things that are no numbers, than
            it did where it was recorded.
        """
        args, kwargs = self.layout.arguments(operands)
        return self._numbers(plainly.run(self.name, self.rules.forward, args, kwargs))

    def _numbers(self, found: tuple[Any, Any]) -> Sequence[Any]:
        """Return the results in what a function returned, and what is kept of it."""
        result, residuals, numbers = formed(self.rules, found)
        if (result, residuals) != (self.result, self.residuals):
            raise BlockFailedError(
                f"{self.name} returns something else than where it was recorded: "
                f"{described(self.result)} there, {described(result)} here"
            )
        return [*numbers, np.zeros(1)] if self.is_anchored else numbers

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        return pulled(Case(self, operands, results), self._own(adjoints))

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        return self._with_kept(pushed(Case(self, operands, results), tangents))

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints, recorded."""
        return pulled(RecordedCase(self, operands, results), self._own(adjoints))

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents, recorded."""
        return self._with_kept(pushed(RecordedCase(self, operands, results), tangents))

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results; what the function raises, too, if it's compiled."""
        return [np.asarray(result, np.float64) for result in self.value(operands)]

    def compiled(self, kind: Kind) -> int:
        """Return the address of a compiled form, 0 where there is none."""
        return compiled(self, kind)

    @property
    def context(self) -> tuple[int, ...]:
        """The shapes of the arrays, one after another."""
        return context_of(self)

    # --- calls from compiled code -----------------------------------------------------------------

    def respond(self, kind: Kind, reads: int, writes: int) -> None:
        """Run a function of it on what two arrays of pointers point to."""
        if THREAD.tapes:  # they are set aside
            super().respond(kind, reads, writes)
            return
        try:
            respond = self._responders[kind]
        except KeyError:
            respond = self._responders[kind] = responder(self, kind)
        if respond is None:
            super().respond(kind, reads, writes)
        else:
            respond(reads, writes)

    def _take_value(self, found: Any, writes: int) -> None:
        found = self.rules.as_pair(found) if self.rules.direct("value") else found
        _write(self.result_shapes, self._numbers(found), writes)

    def _take_adjoints(self, found: Any, writes: int) -> None:
        places = arrays_at(writes, self.operand_shapes)
        adjoints = of_arguments(self, found, "vjp")
        for place, added, is_wanted in zip(places, adjoints, self.is_active, strict=True):
            if added is not None and is_wanted:
                place += added

    def _take_tangents(self, found: Any, writes: int) -> None:
        _write(self.result_shapes, self._with_kept(of_results(self, found)), writes)

    # --- parts ------------------------------------------------------------------------------------

    def _own(self, adjoints: Sequence[Any]) -> Sequence[Any]:
        return adjoints[: len(self.result.shapes)]

    def _with_kept(self, tangents: Sequence[Any]) -> Sequence[Any]:
        return [*tangents, *[None] * (len(self.result_shapes) - len(self.result.shapes))]


def _write(shapes: Shapes, found: Sequence[Any], writes: int) -> None:
    for place, result in zip(arrays_at(writes, shapes), found, strict=True):
        place[...] = 0.0 if result is None else result


def formed(rules: Rules, found: tuple[Any, Any]) -> tuple[Form, Form, list[Any]]:
    """Return the forms of a result and of what is kept with it, and the numbers of both."""
    result, numbers = form_of(found[0])
    if any(isinstance(spec, Fixed) and np.iscomplexobj(spec.thing) for spec in result.specs):
        raise InputTypeError(
            f"{rules.name} returns complex numbers, which are not supported: return the real and "
            "the imaginary part"
        )
    residuals, kept = form_of(found[1], keeps=False)
    if UNKNOWN in residuals.specs:  # then all of it is computed again
        residuals, kept = _COMPUTED_AGAIN, []
    arrays = [x if is_active(x) else np.asarray(x, np.float64) for x in (*numbers, *kept)]
    return result, residuals, arrays


_COMPUTED_AGAIN = Form(None, (UNKNOWN,))
