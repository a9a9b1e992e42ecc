"""One comparison made of many conditions: a Python function of a single expression.

Text of the same shape is compiled once; the objects it compares are its closure variables.
"""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable, Sequence
from types import CellType, FunctionType
from typing import Any

from tapegrad.function.watch.conditions import Condition

Check = Callable[[], bool]

_MOST = 100  # conditions a function: longer ones take longer to compile than they save


def compiled(conditions: Sequence[Condition]) -> Check:
    """Return a function that is true only where all conditions hold; where false, ask them."""
    checks = [
        _compiled(conditions[start : start + _MOST]) for start in range(0, len(conditions), _MOST)
    ]
    return checks[0] if len(checks) == 1 else lambda: all(check() for check in checks)


class _Names:
    """Names for what a comparison compares: those of objects, and those of closure variables."""

    def __init__(self) -> None:
        self.things: list[Any] = []
        self.cells: dict[str, CellType] = {}
        self._names: dict[int, str] = {}

    def __call__(self, thing: Any) -> str:
        if id(thing) not in self._names:
            self._names[id(thing)] = f"v{len(self.things)}"
            self.things.append(thing)
        return self._names[id(thing)]

    def contents(self, cell: CellType) -> str:
        name = "of_" + self(cell)
        self.cells[name] = cell
        return name


def _compiled(conditions: Sequence[Condition]) -> Check:
    names = _Names()
    text = "\n            and ".join([condition.expression(names) for condition in conditions])
    made = _factory(text, len(names.things), tuple(names.cells))(*names.things)
    # The comparison shares the closure variables of the code that it's about, as if it were
    # defined beside it: that's a tenth of asking a cell for its contents.
    own = zip(made.__code__.co_freevars, made.__closure__ or (), strict=True)
    closure = tuple(names.cells.get(name, cell) for name, cell in own)
    return FunctionType(made.__code__, made.__globals__, made.__name__, None, closure)


@functools.lru_cache(maxsize=512)
def _factory(text: str, count: int, shared: tuple[str, ...]) -> Callable[..., FunctionType]:
    """Return a function that returns the comparison of the objects it's given."""
    parameters = ", ".join([f"v{k}" for k in range(count)])
    variables = "".join(f"    {name} = None\n" for name in shared)
    source = (
        f"def compare({parameters}):\n"
        f"{variables}"
        "    def check():\n"
        "        try:\n"
        f"            return ({text})\n"
        "        except Exception:  # something is missing: whoever asks finds out what\n"
        "            return False\n"
        "    return check\n"
    )
    file = f"<comparison {hash(text) & 0xFFFFFFFF:x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for tracebacks
    namespace: dict[str, Any] = {}
    exec(compile(source, file, "exec"), namespace)  # made of the text above alone
    return namespace["compare"]  # type: ignore[no-any-return]
