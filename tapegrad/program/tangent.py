"""The tangent of a program: value, and products of the Jacobian with directions.

Every statement is joined by what it does to tangents. Programs that run backward have tangents as
others do, so that the tangent of a reverse computes products of the Hessian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tapegrad.program.activity import Activity
from tapegrad.program.calls import Derivatives
from tapegrad.program.chain import ZERO, Rules
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Element,
    Guard,
    Loop,
    Past,
    Program,
    Region,
    Statement,
    Store,
    Value,
    Variable,
    leaves,
    regions_set,
    statements,
)

TANGENT = "_dot"


def tangent_of(name: str) -> str:
    """Return the name of the tangent of a variable or a region."""
    return name + TANGENT


def tangent(program: Program, has_zero_rule: bool = False) -> Program:
    """Return a program that computes what another one does, and its Jacobian times directions.

    Parameters
    ----------
    program : Program
    has_zero_rule : bool, optional
        Whether a product is zero where a factor is.

    Returns
    -------
    Program
        Its further input are directions of the first, its further results their tangents.
    """
    return _Tangent(program, Rules(program.is_strict, has_zero_rule)).program()


class _Tangent:
    def __init__(self, program: Program, rules: Rules) -> None:
        self._program, self._rules = program, rules
        results = [region.name for region in program.of_role("output")]
        self._activity = Activity(program, [program.of_role("input")[0].name], results)
        self._calls = Derivatives(self._activity, TANGENT)
        self._set_by_passive_calls = {
            name
            for s in statements(program.body)
            if isinstance(s, Call) and not self._calls.is_active(s)
            for name in regions_set(s)
        }

    def program(self) -> Program:
        body = self._of(self._program.body)
        return replace(
            self._program,
            regions=(*self._program.regions, *self._regions(), *self._calls.regions()),
            body=body,
        )

    def _regions(self) -> Iterator[Region]:
        for region in self._program.regions:
            is_first = region.name == self._program.of_role("input")[0].name
            if region.name in self._activity.names or region.role == "output" or is_first:
                yield replace(
                    region,
                    name=tangent_of(region.name),
                    is_zeroed=region.is_zeroed or self._may_lack(region),
                    within=tangent_of(region.within) if region.within else "",
                )

    def _may_lack(self, region: Region) -> bool:
        """Whether some elements of a region's tangent may be set by nothing."""
        if region.role == "input":
            return False
        has_parts = any(part.within == region.name for part in self._program.regions)
        return (
            has_parts
            or region.name in self._set_by_passive_calls
            or (region.role == "output" and region.name not in self._activity.names)
        )

    # --- statements -----------------------------------------------------------------------------

    def _of(self, body: Body) -> Body:
        return tuple(s for statement in body for s in self._joined(statement))

    def _joined(self, statement: Statement) -> Iterator[Statement]:
        match statement:
            case Guard():
                yield statement
            case Loop(body=body):
                yield replace(statement, body=self._of(body))
            case Compute(target=target, value=value) if self._activity.has(target):
                moved = self._moved(value) or ZERO
                is_read_before = any(leaf == target for leaf in leaves(value))
                joined = Compute(Variable(tangent_of(target.name)), moved)
                if is_read_before:
                    yield joined
                    yield statement
                else:
                    yield statement
                    yield replace(joined, value=_with_made(moved, value, target))
            case Store(target=target, value=value) if self._activity.has(target):
                yield statement
                yield Store(self._element(target), self._resulting(target, self._moved(value)))
            case Accumulate(target=target, value=value) if self._activity.has(target):
                change = self._moved(value)
                if change is not None:
                    moved_target = self._of_leaf(target)
                    assert isinstance(moved_target, Variable | Element)
                    yield Accumulate(moved_target, change, statement.rounding)
                yield statement
            case Call():
                yield statement
                yield from self._calls.pushforward(statement)
            case _:
                yield statement

    def _resulting(self, target: Element, moved: Value | None) -> Value:
        """Return what a tangent is stored as, which in a result is never -0.0.

        The sweeps begin every sum with zero. Tangents are only ever multiplied and added, so that
        the sign of a zero shows nowhere but in a result.
        """
        is_result = self._program.region[target.region].role == "output"
        if moved is None or not (self._program.is_strict and is_result):
            return moved or ZERO
        return Apply("add", (ZERO, moved), self._rules.of_sums)

    def _moved(self, value: Value) -> Value | None:
        return self._rules.tangent(value, self._of_leaf)

    def _of_leaf(self, leaf: Value) -> Value | None:
        if not self._activity.has(leaf):
            return None
        if isinstance(leaf, Element):
            return self._element(leaf)
        assert isinstance(leaf, Variable | Past)
        return replace(leaf, name=tangent_of(leaf.name))

    def _element(self, element: Element) -> Element:
        return Element(tangent_of(element.region), element.index)


def _with_made(moved: Value, value: Value, target: Variable) -> Value:
    """Return a tangent in which what the statement has made is read from its variable."""
    if not isinstance(moved, Apply):
        return moved
    if moved is value:
        return target
    operands = tuple(_with_made(operand, value, target) for operand in moved.operands)
    return Apply(moved.op, operands, moved.rounding)
