"""The reverse of a program: value, and products of seeds with the Jacobian.

Every variable has an adjoint for what it holds at the moment, and every region one for each
element. The loops run backward through the statements; a statement passes the adjoint of what it
sets to what it reads, and leaves zero. What the statements read by then is said as `Past`: it's
for `stored` to decide what of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tapegrad.program.activity import Activity
from tapegrad.program.calls import Derivatives
from tapegrad.program.chain import ZERO, Rules, differentiated
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Constant,
    Counter,
    Element,
    Guard,
    Index,
    Loop,
    Program,
    Region,
    Span,
    Statement,
    Store,
    Value,
    Variable,
    leaves,
    mapped,
    regions_read,
    statements,
    targets_of,
    with_values,
)
from tapegrad.program.iterations import counted_outside
from tapegrad.program.scope import Scope

ADJOINT = "_bar"


def adjoint(name: str) -> str:
    """Return the name of the adjoint of a variable or a region."""
    return name + ADJOINT


def reverse(program: Program, seed: float | None = None, has_zero_rule: bool = False) -> Program:
    """Return a program that computes what another one does, and products with its Jacobian.

    Parameters
    ----------
    program : Program
        One without loops that run backward.
    seed : float, optional
        The adjoint of every result. By default adjoints are an input, named as those of the
        results' region are.
    has_zero_rule : bool, optional
        Whether a product is zero where a factor is.

    Returns
    -------
    Program
        Its further results are the adjoints of the inputs.

    Raises
    ------
    ValueError
        If a loop runs backward: such a program is differentiated by `tangent`. If it reads results,
        whose adjoints are given and can't be added to.
    """
    if any(isinstance(s, Loop) and s.backward for s in statements(program.body)):
        raise ValueError("a program that runs backward has no reverse; its tangent is what to take")
    results = program.of_role("output")[0].name
    if any(results in regions_read(s) for s in statements(program.body)):
        raise ValueError(
            f"a program that reads its results {results!r} has no reverse, as their adjoints are "
            "given; let it put in memory what it reads, and in the results what it read"
        )
    program = replace(program, body=_computed(program.body))
    return _Reverse(program, seed, Rules(program.is_strict, has_zero_rule)).program()


class _Reverse:
    def __init__(self, program: Program, seed: float | None, rules: Rules) -> None:
        self._program, self._seed, self._rules = program, seed, rules
        self._inputs = program.of_role("input")[0].name
        self._results = program.of_role("output")[0].name
        self._activity = Activity(program, [self._inputs], [self._results])
        self._calls = Derivatives(self._activity, ADJOINT)
        self._counted_outside = set(counted_outside(program.body))
        self._next_loop = max(program.loops, default=0) + 1

    def program(self) -> Program:
        body = self._program.body
        n_results = next(
            (k for k, s in enumerate(reversed(body)) if not self._is_result(s)), len(body)
        )
        rest, results = body[: len(body) - n_results], body[len(body) - n_results :]
        self._is_set_before = any(
            not isinstance(target, Variable) and target.region == self._results
            for s in statements(rest)
            for target in targets_of(s)
        )
        scope = Scope(rest)
        backward = [s for r in results for s in self._of(r, scope.after(), is_result=True)]
        for k in range(len(rest) - 1, -1, -1):
            backward += self._of(rest[k], scope.at(k))
        zeros = tuple(
            Compute(Variable(adjoint(name.name)), ZERO)
            for name in sorted(self._activity.names, key=str)
            if isinstance(name, Variable)
        )
        return replace(
            self._program,
            regions=(*self._program.regions, *self._regions(), *self._calls.regions()),
            body=(*body, *zeros, *self._seeded(), *backward),
        )

    def _is_result(self, statement: Statement) -> bool:
        if isinstance(statement, Loop):
            return all(map(self._is_result, statement.body))
        return isinstance(statement, Store) and statement.target.region == self._results

    def _regions(self) -> Iterator[Region]:
        for region in self._program.regions:
            name = adjoint(region.name)
            if region.name == self._results:
                if self._seed is None:
                    yield Region(name, region.size, "input")
                elif self._is_set_before:
                    yield Region(name, region.size)
            elif region.name == self._inputs:
                yield Region(name, region.size, "output", is_zeroed=True)
            elif region.name in self._activity.names:
                within = adjoint(region.within) if region.within else ""
                yield Region(
                    name, region.size, is_zeroed=not within, within=within, offset=region.offset
                )

    def _seeded(self) -> Iterator[Statement]:
        """Yield what puts the seed in memory, for statements before those that set results only."""
        if self._seed is not None and self._is_set_before:
            number, self._next_loop = self._next_loop, self._next_loop + 1
            place = Element(adjoint(self._results), Index(terms=((Counter(number, "step"), 1),)))
            size = self._program.region[self._results].size
            yield Loop(number, Index(size), (Store(place, Constant(self._seed)),))

    # --- statements -----------------------------------------------------------------------------

    def _of(self, statement: Statement, scope: Scope, is_result: bool = False) -> Body:
        match statement:
            case Guard():
                return ()
            case Loop():
                return self._of_loop(statement, scope, is_result)
            case Accumulate(target=target, value=value):
                w = self._adjoint_of(target)
                return tuple(self._passed(value, w, scope)) if self._activity.has(target) else ()
            case Store(target=target, value=value):
                if is_result:
                    return tuple(self._passed(value, self._seed_at(target.index), scope))
                if not self._activity.has(target):
                    return ()
                return tuple(self._passed(value, self._adjoint_of(target), scope))
            case Compute(target=target, value=value):
                return self._of_variable(target, value, scope)
            case Call():
                return tuple(self._calls.pullback(statement))

    def _of_loop(self, loop: Loop, scope: Scope, is_result: bool) -> Body:
        body: list[Statement] = []
        if is_result:
            # Results are seeded in their order, as the sweeps do.
            number, self._next_loop = self._next_loop, self._next_loop + 1
            for s in renumbered(loop.body, loop.number, number):
                body += self._of(s, scope, is_result=True)
            return (Loop(number, loop.count, tuple(body)),) if body else ()
        inside = scope.inside(loop)
        for k in range(len(loop.body) - 1, -1, -1):
            body += self._of(loop.body[k], inside.at(k))
        # Where its count is read it's taken back, though there be nothing else to do.
        is_needed = body or loop.number in self._counted_outside
        return (Loop(loop.number, loop.count, tuple(body), backward=True),) if is_needed else ()

    def _of_variable(self, target: Variable, value: Value, scope: Scope) -> Body:
        if not self._activity.has(target):
            return ()
        w, zero = Variable(adjoint(target.name)), Compute(Variable(adjoint(target.name)), ZERO)
        if any(leaf == target for leaf in leaves(value)):
            taken = Variable(f"{target.name}_w")
            return Compute(taken, w), zero, *self._passed(value, taken, scope, made=target)
        # Outside of loops nothing adds to it again.
        last = (zero,) if scope.is_in_loop else ()
        return *self._passed(value, w, scope, made=target), *last

    def _adjoint_of(self, leaf: Variable | Element) -> Variable | Element:
        if isinstance(leaf, Variable):
            return Variable(adjoint(leaf.name))
        return Element(adjoint(leaf.region), leaf.index)

    def _seed_at(self, index: Index) -> Value:
        if self._seed is not None:
            return Constant(self._seed)
        return Element(adjoint(self._results), index)

    def _passed(self, value: Value, w: Value, scope: Scope,
                made: Variable | None = None) -> Iterator[Statement]:  # fmt: skip
        """Yield what a value's leaves gather; `made` is the variable that was set to the value."""
        if isinstance(value, Apply):
            applied = mapped(value, scope.past)
            assert isinstance(applied, Apply)
            z = None if made is None else scope.made(made)
            yield from self._spread(value, applied, w, z)
        elif self._activity.has(value):
            assert isinstance(value, Variable | Element)
            yield Accumulate(self._adjoint_of(value), w, self._rules.of_sums)

    def _spread(self, value: Apply, past: Apply, w: Value, z: Value | None) -> Iterator[Statement]:
        for place, operand in differentiated(value):
            if not self._is_active(operand):
                continue
            contribution = self._rules.product(w, past, place)
            if z is not None:
                contribution = _replaced(contribution, past, z)
            inner = past.operands[place]
            if isinstance(operand, Apply):
                assert isinstance(inner, Apply)
                yield from self._spread(operand, inner, contribution, None)
            else:
                assert isinstance(operand, Variable | Element)
                sums = self._rules.of_sums
                yield Accumulate(self._adjoint_of(operand), contribution, sums)

    def _is_active(self, value: Value) -> bool:
        if isinstance(value, Apply):
            return any(self._is_active(operand) for _, operand in differentiated(value))
        return self._activity.has(value)


def _computed(body: Body) -> Body:
    """Return a body in which variables are set to sums where they were added to."""

    def one(statement: Statement) -> Statement:
        match statement:
            case Loop(body=inner):
                return replace(statement, body=_computed(inner))
            case Accumulate(target=Variable() as target, value=value, rounding=rounding):
                return Compute(target, Apply("add", (target, value), rounding))
        return statement

    return tuple(map(one, body))


def _replaced(value: Value, old: Value, new: Value) -> Value:
    """Return a value with a subtree replaced."""
    if value is old:
        return new
    if isinstance(value, Apply):
        operands = tuple(_replaced(operand, old, new) for operand in value.operands)
        return Apply(value.op, operands, value.rounding)
    return value


def renumbered(body: Body, old: int, new: int) -> Body:
    """Return statements with a loop's counters those of another one."""

    def counter(c: Counter) -> Counter:
        return replace(c, loop=new) if c.loop == old else c

    def index(i: Index) -> Index:
        terms = tuple((counter(c), factor) for c, factor in i.terms)
        return replace(i, terms=terms, at=None if i.at is None else counter(i.at))

    def leaf(value: Value) -> Value:
        return replace(value, index=index(value.index)) if isinstance(value, Element) else value

    def spans(old: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple(replace(span, start=index(span.start)) for span in old)

    found: list[Statement] = []
    for statement in body:
        changed = with_values(statement, lambda value: mapped(value, leaf))
        if isinstance(changed, Store | Accumulate) and isinstance(changed.target, Element):
            target = replace(changed.target, index=index(changed.target.index))
            changed = replace(changed, target=target)
        elif isinstance(changed, Call):
            changed = replace(changed, reads=spans(changed.reads), writes=spans(changed.writes))
        elif isinstance(changed, Loop):
            inner = renumbered(changed.body, old, new)
            changed = replace(changed, count=index(changed.count), body=inner)
        found.append(changed)
    return tuple(found)
