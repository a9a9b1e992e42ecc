"""One comparison made of many conditions: a Python function of a single expression.

Text of the same shape is compiled once; the objects it compares are its closure variables.
"""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable, Sequence
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


def _compiled(conditions: Sequence[Condition]) -> Check:
    names: dict[int, str] = {}
    things: list[Any] = []

    def bind(thing: Any) -> str:
        if id(thing) not in names:
            names[id(thing)] = f"v{len(things)}"
            things.append(thing)
        return names[id(thing)]

    text = "\n            and ".join([condition.expression(bind) for condition in conditions])
    check: Check = _factory(text, len(things))(*things)
    return check


@functools.lru_cache(maxsize=512)
def _factory(text: str, count: int) -> Callable[..., Check]:
    """Return a function that returns the comparison of the objects it's given."""
    parameters = ", ".join([f"v{k}" for k in range(count)])
    source = (
        f"def compare({parameters}):\n"
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
