"""The passes: what each costs and what it removes, on tapes of a million records.

    python tests/bench/passes.py

One table a tape, one line a pass: nanoseconds a record of the tape it is given, each held to 30,
and the records before and after. The wide tape shows the worst: none of its operands is in the
cache, and `merge_common` may take twice that. A new tape is a function that returns it and a
place in `TAPES`.
"""

from collections.abc import Callable

import numpy as np
import timing

from tapegrad.ops import BY_NAME, CODE
from tapegrad.passes import PASSES, find_sums, steps
from tapegrad.tape import Tape

RECORDS = 1_000_000
RUNS = 7
MOST_NANOSECONDS = 30


def random_tape(inputs: int, reach: int, constants: int) -> Tape:
    """Arithmetic on operands up to `reach` slots back; every eighth operand is a constant.

    Values are zero: no pass computes with any that isn't a constant.
    """
    rng = np.random.default_rng(0)
    n = 1 + inputs + RECORDS
    slots = np.arange(n, dtype=np.int32)
    names = ("add", "subtract", "multiply", "divide", "sin", "exp", "square", "negative")
    op = rng.choice(np.array([CODE[name] for name in names], np.uint8), n)
    a, b = (np.maximum(slots - rng.integers(1, reach, n), 1).astype(np.int32) for _ in "ab")
    is_constant = rng.random(n) < 0.125
    b[is_constant] = ~rng.integers(0, constants, n)[is_constant]
    b[np.isin(op, [BY_NAME[name].code for name in names if BY_NAME[name].arity == 1])] = 0
    op[0], a[0], b[0] = CODE["passive"], 0, 0
    op[1 : inputs + 1], a[1 : inputs + 1], b[1 : inputs + 1] = (
        CODE["input"],
        slots[1 : inputs + 1],
        0,
    )
    columns = {"op": op, "a": a, "b": b, "value": np.zeros(n)}
    columns["constants"] = rng.choice([1.0, -1.0, 0.5, 2.0, 3.0], constants)
    columns |= {"guard_slot": np.empty(0, np.int32), "guard_value": np.empty(0)}
    columns["guard_site"] = np.empty(0, np.int32)
    return Tape.from_columns(columns, slots[-1000:], [])


TAPES: dict[str, Callable[[], Tape]] = {
    "local: operands up to 30 back, 10 inputs": lambda: random_tape(10, 30, 1000),
    "wide: operands up to 100,000 back, 100,000 inputs, as many constants":
        lambda: random_tape(100_000, 100_000, 100_000),
    "repeated: operands among the last 2 of 10 inputs": lambda: random_tape(10, 3, 10),
}  # fmt: skip


def table(name: str, tape: Tape) -> list[str]:
    """The lines of one tape."""
    lines = [f"{name}, ns a record (at most {MOST_NANOSECONDS})"]
    for run, (label, after) in zip(PASSES, steps(tape), strict=True):
        cost = timing.seconds(lambda run=run, tape=tape: run(tape), RUNS) / len(tape) * 1e9
        lines.append(f"  {label:18}{cost:6.1f}{len(tape) - 1:12,} -> {len(after) - 1:9,} records")
        tape = after
    cost = timing.seconds(lambda: find_sums(tape), RUNS) / len(tape) * 1e9
    sums = find_sums(tape)
    lines.append(
        f"  {'find_sums':18}{cost:6.1f}{len(sums.record):12,} additions in {len(sums.start):,}"
    )
    return lines


if __name__ == "__main__":
    timing.pin()
    for name, make in TAPES.items():
        print("\n".join(table(name, make())), flush=True)
