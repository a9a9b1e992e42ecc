"""Programs as text: nested loops as a person would write them.

Loops are `i`, `j`, `k` by how deep they are. An index that is which iteration it is, of all, is
written with the letters of the loop and of those around it, as in `v0[i, j]`; where a count of
iterations is part of a sum, or is read outside of its loop, it's `n3`, which the loop's line says.

What a variable was when the program ran forward is `v1'`, `v1'(i begun)` as the iteration began,
and `v1'(j ended)` when the loop was over. A variable that is put in memory of its own name has one
line for both, and a guard on it is there too: `# is 1`. How operations are rounded isn't written.
A call is a function of spans, `z[3*i : 3*i + 3] = solve(A[0:9], b[0:3])`, or has `+=` if it adds.
"""

from __future__ import annotations

from tapegrad.ops import BY_NAME
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
    Past,
    Program,
    Span,
    Statement,
    Store,
    Value,
    Variable,
)

Path = tuple[int, ...]
"""Where a statement is: its position in the program, or in each of the loops around it."""

_LETTERS = "ijklmnopqrstuvw"
_COMPARED, _NEGATED, _RAISED, _WHOLE = 1, 7, 8, 9
_BINDS = {"|": 2, "^": 3, "&": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "//": 6, "**": _RAISED}


def text(program: Program) -> str:
    """Return a program as text.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str

    Examples
    --------
    >>> from tapegrad.program.ir import *
    >>> i = Counter(0, "step")
    >>> square = Apply("square", (Element("x", Index(1, ((i, 2),))),))
    >>> total = Apply("add", (Variable("s"), square))
    >>> body = (
    ...     Compute(Variable("s"), Constant(0.0)),
    ...     Loop(0, Index(5), (Compute(Variable("s"), total),)),
    ...     Store(Element("y", Index()), Variable("s")),
    ... )
    >>> print(text(Program((Region("x", 11, "input"), Region("y", 1, "output")), (), body)))
    s = 0
    for i in range(5):
        s = s + square(x[2*i + 1])
    return s
    """
    return "\n".join(Listing(program).lines)


class Listing:
    """Writes a program's lines.

    Attributes
    ----------
    lines : list of str
    line_of : dict
        The line that a statement is on, by where it is.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._around: list[int] = []
        self._level = dict(_levels(program.body, 1))
        self._counted: set[int] = set()
        self._headers: list[tuple[int, int]] = []
        self.lines: list[str] = []
        self.line_of: dict[Path, int] = {}
        returned = self._n_returned()
        n = len(program.body) - (returned or 0)
        self._write_body(program.body[:n], ())
        if returned is not None:
            self.line_of.update(((k,), len(self.lines)) for k in range(n, n + returned))
            self.lines.append(f"return {self._results(program.body[n:])}".rstrip())
        for line, number in self._headers:
            if number in self._counted:
                self.lines[line] += f"  # n{number}"

    def around(self, path: Path) -> str:
        """Return a statement's line, marked, and the lines around it."""
        at = self.line_of[path]
        rows = range(max(at - 2, 0), min(at + 3, len(self.lines)))
        return "\n".join(f"{'>' if row == at else ' '} {self.lines[row]}" for row in rows)

    # --- results ------------------------------------------------------------------------------

    def _n_returned(self) -> int | None:
        """Return how many statements at the end do nothing but store the results, in order."""
        outputs, body = self._program.of_role("output"), self._program.body
        if not outputs:
            return None
        name, size = outputs[0].name, outputs[0].size
        if size <= len(body):
            last = body[len(body) - size :]
            places = [s.target if isinstance(s, Store) else None for s in last]
            if places == [Element(name, Index(k)) for k in range(size)]:
                return None if not size and len(outputs) > 1 else size
        match body[-1:]:
            case (Loop(number, count, (Store(target),), False),) if count == Index(size) and any(
                target == Element(name, _iteration(number, kind)) for kind in ("step", "total")
            ):
                return 1
        return None

    def _results(self, last: Body) -> str:
        if last and isinstance(last[0], Loop):
            return f"{last[0].count.base:,} values"
        return ", ".join(self._value(s.value) for s in last if isinstance(s, Store))

    # --- statements ---------------------------------------------------------------------------

    def _write_body(self, body: Body, path: Path) -> None:
        indent = "    " * len(path)
        k = 0
        while k < len(body):
            self.line_of[*path, k] = len(self.lines)
            statement = body[k]
            if isinstance(statement, Loop):
                self._headers.append((len(self.lines), statement.number))
                self.lines.append(indent + self._header(statement))
                self._around.append(statement.number)
                self._write_body(statement.body, (*path, k))
                self._around.pop()
            else:
                line = self._statement(statement)
                while k + 1 < len(body) and self._is_of_one_line(statement, body[k + 1]):
                    k += 1
                    self.line_of[*path, k] = len(self.lines)
                    follower = body[k]
                    if isinstance(follower, Guard):
                        line += f"  # is {self._value(follower.wanted)}"
                self.lines.append(indent + line)
            k += 1

    def _is_of_one_line(self, statement: Statement, follower: Statement) -> bool:
        """Whether a statement only guards a variable just computed, or puts it in its memory."""
        if not isinstance(statement, Compute):
            return False
        match follower:
            case Guard(value):
                return value == statement.target
            case Store(Element(region, index), value):
                return (
                    value == statement.target
                    and region == statement.target.name
                    and self._is_iteration(index)
                )
        return False

    def _is_iteration(self, index: Index) -> bool:
        """Whether an index is which iteration it is, of all."""
        if not self._around:
            return index == Index()
        kinds = ("step", "total") if len(self._around) == 1 else ("total",)
        return any(index == _iteration(self._around[-1], kind) for kind in kinds)

    def _header(self, loop: Loop) -> str:
        counted = f"range({self._whole(loop.count)})"
        return f"for {self._letter(loop.number)} in {_reversed(counted, loop.backward)}:"

    def _statement(self, statement: Statement) -> str:
        match statement:
            case Compute(target, value) | Store(target, value):
                return f"{self._value(target)} = {self._value(value)}"
            case Accumulate(target, value):
                return f"{self._value(target)} += {self._value(value)}"
            case Guard(value, wanted):
                equal = Apply("equal", (value, wanted))
                return f"assert {self._value(equal)}"
            case Call(block, reads, writes, adds):
                read, written = (", ".join(map(self._span, spans)) for spans in (reads, writes))
                return f"{written} {'+=' if adds else '='} {block}({read})"
            case _:
                raise TypeError(f"{statement!r} is no statement")

    # --- values -------------------------------------------------------------------------------

    def _value(self, value: Value) -> str:
        return self._bound(value)[0]

    def _bound(self, value: Value) -> tuple[str, int]:
        """Return a value as text, and how closely it's bound together."""
        match value:
            case Constant(number):
                written = f"{number:.12g}"
                return written, _NEGATED if written.startswith("-") else _WHOLE
            case Variable(name):
                return name, _WHOLE
            case Element(region, index):
                return f"{region}[{self._subscript(index)}]", _WHOLE
            case Past(name, when, loop):
                which = "" if when == "made" else f"({self._letter(loop)} {when})"
                return f"{name}'{which}", _WHOLE
            case Apply(op, operands):
                return self._apply(op, [self._bound(operand) for operand in operands])

    def _apply(self, op: str, operands: list[tuple[str, int]]) -> tuple[str, int]:
        symbol = BY_NAME[op].symbol if op in BY_NAME else ""
        if symbol == "-" and len(operands) == 1:
            return f"-{_enclosed(operands[0], _NEGATED + 1)}", _NEGATED
        if not symbol or symbol.isalpha() or len(operands) != 2:
            return f"{op}({', '.join(written for written, _ in operands)})", _WHOLE
        binds = _BINDS.get(symbol, _COMPARED)
        if binds == _RAISED:
            least = _RAISED + 1, _NEGATED
        else:
            least = binds + (binds == _COMPARED), binds + 1
        left, right = map(_enclosed, operands, least)
        return f"{left} {symbol} {right}", binds

    # --- whole numbers ------------------------------------------------------------------------

    def _span(self, span: Span) -> str:
        start, end = self._whole(span.start), self._whole(span.start.plus(span.size))
        between = " : " if " " in start + end else ":"
        return f"{span.region}[{start}{between}{end}]"

    def _subscript(self, index: Index) -> str:
        match index:
            case Index(0, ((counter, 1),), "", None):
                return self._place(counter)
        return self._whole(index)

    def _whole(self, index: Index) -> str:
        terms = []
        if index.table or index.at is not None:
            entry = "?" if index.at is None else self._place(index.at)
            terms.append((1, f"{index.table}[{entry}]"))
        by_level = sorted(index.terms, key=lambda term: self._level.get(term[0].loop, 0))
        terms += [(factor, self._counter(counter)) for counter, factor in by_level]
        return _sum(terms, index.base)

    def _place(self, counter: Counter) -> str:
        """Return which iteration it is, as the letters of a loop and of those around it."""
        if counter.kind == "total" and counter.loop in self._around:
            until = self._around.index(counter.loop) + 1
            return ", ".join(self._letter(number) for number in self._around[:until])
        return self._counter(counter)

    def _counter(self, counter: Counter) -> str:
        if counter.kind == "step" or counter.loop in self._around[:1]:
            return self._letter(counter.loop)
        self._counted.add(counter.loop)
        return f"n{counter.loop}"

    def _letter(self, number: int) -> str:
        level = self._level.get(number, 0)
        if not level:
            return f"?{number}"
        return _LETTERS[level - 1] if level <= len(_LETTERS) else f"i{level}"


def _levels(body: Body, level: int) -> list[tuple[int, int]]:
    """Return how deep each loop is."""
    return [
        found
        for statement in body
        if isinstance(statement, Loop)
        for found in [(statement.number, level), *_levels(statement.body, level + 1)]
    ]


def _iteration(number: int, kind: str) -> Index:
    return Index(0, ((Counter(number, "step" if kind == "step" else "total"), 1),))


def _reversed(counted: str, backward: bool) -> str:
    return f"reversed({counted})" if backward else counted


def _enclosed(written: tuple[str, int], least: int) -> str:
    """Return text that is bound closely enough, with parentheses if it wasn't."""
    return written[0] if written[1] >= least else f"({written[0]})"


def _sum(terms: list[tuple[int, str]], base: int) -> str:
    parts = []
    for factor, term in terms:
        if factor:
            parts.append(
                ("-" if factor < 0 else "+", term if abs(factor) == 1 else f"{abs(factor)}*{term}")
            )
    if base or not parts:
        parts.append(("-" if base < 0 else "+", str(abs(base))))
    written = " ".join(f"{sign} {part}" for sign, part in parts)
    return written[2:] if written.startswith("+") else "-" + written[2:]
