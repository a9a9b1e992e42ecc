"""What a rule of the user's own costs beside its own work.

    python tests/bench/rules.py

A rule in Python: the time of a forward and of a reverse sweep of a thousand calls, less the time
that a loop takes which calls the same functions, in microseconds a call. A compiled one: the time
of its C functions, called from a compiled loop, less that of the functions themselves, in
nanoseconds.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import timing
from numba import njit

import tapegrad as tg
from tapegrad.block_calls import _run as run_function
from tapegrad.replay.programs import float_workspace, floats, workspace_length

CALLS, RUNS, LIMIT = 1000, 31, 10.0
MOST_MICROSECONDS, MOST_NANOSECONDS = 5.0, 50.0


def sine(x: float) -> float:
    return math.sin(x)


def sine_vjp(ct: float, result: float, x: float) -> float:
    return ct * math.cos(x)


def sines(x: Any) -> Any:
    return np.sin(x)


def sines_vjp(ct: Any, result: Any, x: Any) -> Any:
    return ct * np.cos(x)


def sines_fwd(x: Any) -> Any:
    return np.sin(x), np.cos(x)


def sines_bwd(cosine: Any, ct: Any) -> Any:
    return (ct * cosine,)


def halves() -> Any:
    rule = tg.custom_vjp(sines)
    rule.defvjp(sines_fwd, sines_bwd)
    return rule


Case = tuple[Any, Callable[[Any], Any], Callable[[Any], Any], Any]


def cases() -> dict[str, Case]:
    """The rule, what it does forward and in reverse, and where it's called."""
    x = np.linspace(0.1, 0.5, 3)
    return {
        "a float": (
            tg.custom_rule(sine, vjp=sine_vjp), sine, lambda x: sine_vjp(1.0, 0.0, x), 0.5),
        "an array of 3": (
            tg.custom_rule(sines, vjp=sines_vjp), sines, lambda x: sines_vjp(x, x, x), x),
        "custom_vjp, 3": (halves(), sines_fwd, lambda x: sines_bwd(x, x), x),
    }  # fmt: skip


def in_python(rule: Any, forward: Any, reverse: Any, x: Any) -> tuple[float, float]:
    """Return what a call costs beside its own work, in a forward and in a reverse sweep."""

    def repeated(x: Any) -> Any:
        for _ in range(CALLS):
            x = rule(x)
        return np.sum(x)

    derivative = tg.value_and_grad(repeated, compile="never")
    derivative(x)
    tape = derivative.recorded.recordings[0].tape
    inputs, seeds = np.atleast_1d(np.asarray(x, float)), np.ones(1)
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out = np.empty(len(inputs))
    sweeps = (
        (lambda: floats.replay.run(tape.head, inputs, value), forward),
        (lambda: floats.pullback.run(tape.head, seeds, value, work, out), reverse),
    )
    found = []
    for sweep, own in sweeps:
        taken, alone = timing.in_turn(sweep, lambda own=own: repeat(own, x), RUNS, LIMIT)
        found.append((taken - alone) / CALLS * 1e6)
    return found[0], found[1]


def repeat(function: Any, x: Any) -> None:
    """Call a function as often as the sweeps do."""
    for _ in range(CALLS):
        function(x)


@njit
def product(x: float, y: float) -> float:
    return x * y + 0.5


@njit
def product_vjp(ct: float, result: float, x: float, y: float) -> tuple[float, float]:
    return ct * y, ct * x


@njit
def by_address(function: int, reads: int, writes: int, context: int, count: int) -> int:
    status = 0
    for _ in range(count):
        status += run_function(function, reads, writes, context)
    return status


@njit
def directly(numbers: Any, out: Any, count: int) -> None:
    for _ in range(count):
        x, y = product_vjp(numbers[3], numbers[2], numbers[0], numbers[1])
        out[0] += x
        out[1] += y


def in_machine_code() -> float:
    """Return what a pullback by address costs beside its own work, in nanoseconds."""
    rule = tg.custom_rule(product, vjp=product_vjp)
    derivative = tg.value_and_grad(lambda x, y: rule(x, y) * 1.0, argnums=(0, 1))
    derivative(0.5, 2.0)
    block = derivative.recorded.recordings[0].tape.blocks[0]
    numbers, out = np.array([0.5, 2.0, 1.5, 1.0]), np.zeros(2)
    place = numbers.ctypes.data
    reads = np.array([place, place + 8, place + 16, place + 24])
    writes = np.array([out.ctypes.data, out.ctypes.data + 8])
    function, context = block.address_of("pullback")
    assert function == block.compiled("pullback") != 0
    arguments = function, reads.ctypes.data, writes.ctypes.data, context, CALLS
    assert by_address(*arguments) == 0
    directly(numbers, out, CALLS)
    taken, alone = timing.in_turn(
        lambda: by_address(*arguments), lambda: directly(numbers, out, CALLS), RUNS, LIMIT
    )
    return (taken - alone) / CALLS * 1e9


def main() -> None:
    timing.pin()
    print(f"{'':22}{'forward':>10}{'reverse':>10}   at most")
    for name, case in cases().items():
        forward, reverse = in_python(*case)
        print(f"{name:22}{forward:7.2f} µs{reverse:7.2f} µs{MOST_MICROSECONDS:7.1f} µs")
    nanoseconds = in_machine_code()
    print(f"{'compiled, 2 floats':22}{'':10}{nanoseconds:7.1f} ns{MOST_NANOSECONDS:7.1f} ns")


if __name__ == "__main__":
    main()
