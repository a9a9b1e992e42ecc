"""Trials of machine code before it's used: what is noticed, and what is no reason to refuse it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rolled_programs import KNOWN, point_of

import tapegrad as tg
from tapegrad.codegen import compiled_tape
from tapegrad.codegen.compiled_tape import CompiledTape
from tapegrad.codegen.trial import check
from tapegrad.errors import NotCompilableError
from tapegrad.program.alarm import alarmed
from tapegrad.program.ir import Element, Index, Loop, Store, mapped, with_values


def tape_of(function, x):
    gradient = tg.grad(function, compile="never")
    gradient(x)
    return gradient.recorded.recordings[0].tape


# --- code that is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reverse", "tangent", "product"])
def test_code_that_disagrees_with_the_sweeps_is_not_used(kind):
    x = point_of("pairs", 24)
    native = CompiledTape(tape_of(KNOWN["pairs"][0], x))

    def wrong(statement):
        if not isinstance(statement, Loop):
            return with_values(statement, lambda value: mapped(value, moved))
        return replace(statement, body=tuple(map(wrong, statement.body)))

    def moved(leaf):
        return Element(leaf.region, Index()) if isinstance(leaf, Element) else leaf

    native.program = replace(native.program, body=tuple(map(wrong, native.program.body)))
    with pytest.raises(NotCompilableError, match="differs from the sweeps"):
        getattr(native, kind)


def test_code_that_reads_what_nobody_wrote_is_not_used(monkeypatch):
    monkeypatch.setattr(compiled_tape, "alarmed", alarmed)  # without a check, which would refuse it
    x = point_of("triangular_solve", 100)
    native = CompiledTape(tape_of(KNOWN["triangular_solve"][0], x))
    assert native.program.of_role("memory")

    def without_stores(body):
        for statement in body:
            if isinstance(statement, Loop):
                yield replace(statement, body=tuple(without_stores(statement.body)))
            elif not isinstance(statement, Store) or statement.target.region == "y":
                yield statement

    native.program = replace(native.program, body=tuple(without_stores(native.program.body)))
    with pytest.raises(NotCompilableError, match="differs from the sweeps"):
        _ = native.reverse


class Altered:
    """Code whose products of the Hessian are changed before anyone sees them."""

    def __init__(self, code, change):
        self._code, self._change = code, change

    def __getattr__(self, name):
        return getattr(self._code, name)

    def run_in(self, memory, inputs, seeds, products):
        found = self._code.run_in(memory, inputs, seeds, products)
        half = products[len(inputs) :]
        half[:] = self._change(half.copy())
        return found


def without_the_largest(products):
    products[np.argmax(abs(products))] = 0.0
    return products


CHANGES = {
    "nothing": lambda products: products,
    "none at all": np.zeros_like,
    "other signs": np.negative,
    "a part in a thousand": lambda products: 1.001 * products,
    "another's": lambda products: np.roll(products, 1),
    "one that is missing": without_the_largest,
}


@pytest.mark.parametrize("name", ["pairs", "predator_prey", "triangular_solve"])
def test_products_of_the_hessian_that_are_wrong_are_noticed(name):
    function, _, (size, _) = KNOWN[name]
    tape = tape_of(function, point_of(name, size))
    for strict in (True, False):
        code = CompiledTape(tape, strict).product
        for what, change in CHANGES.items():
            altered = Altered(code, change)
            if what == "nothing":
                assert check(tape, altered, "pullback", strict)
                continue
            with pytest.raises(NotCompilableError, match="differs from the sweeps"):
                check(tape, altered, "pullback", strict)


# --- code that is right, at kinks and where rounding is all there is ---------------------------


def kinks(x):
    total = 0.0
    for k in range(len(x)):
        total = total + abs(x[k]) * x[k] + np.maximum(x[k], 0.0) ** 2 + np.where(
            x[k] > 0.0, x[k] ** 2, 0.0)  # fmt: skip
    return total


def ties(x):
    total = 0.0
    for k in range(len(x) - 1):
        total = total + np.maximum(x[k], x[k + 1]) ** 2 + np.minimum(x[k], 1.0 - x[k + 1]) ** 3
    return total


def waves(x):
    total = 0.0
    for k in range(len(x)):
        total = total + math.sin(1e6 * x[k])
    return total


def what_cancels(x):
    total = 0.0
    for k in range(len(x)):
        total = total + ((x[k] + 1e12) - 1e12) ** 2
    return total


def roots_of_sizes(x):
    total = 0.0
    for k in range(len(x)):
        total = total + abs(x[k]) ** 1.5
    return total


def steep(x):
    total = 0.0
    for k in range(len(x)):
        total = total + math.exp(300.0 * x[k]) * 1e-20
    return total


def straight(x):
    total = 0.0
    for k in range(len(x)):
        total = total + 3.0 * x[k]
    return total


def rounded(x):
    total = 0.0
    for k in range(len(x)):
        total = total + x[k] * np.floor(x[k]) + np.trunc(x[k]) ** 2
    return total


@pytest.mark.parametrize("function", [kinks, ties, waves, what_cancels, roots_of_sizes, steep,
                                      straight, rounded])  # fmt: skip
def test_products_of_the_hessian_that_are_right_are_not_refused(function):
    points = (np.zeros(9), np.ones(9), np.linspace(-1.0, 1.0, 9), np.full(9, 1e-7),
              np.full(9, 1e9), np.full(9, -1e300), np.full(9, 0.5))  # fmt: skip
    for x in points:
        with np.errstate(all="ignore"):
            tape = tape_of(function, x)
        for strict in (True, False):
            assert CompiledTape(tape, strict).product.n_products == 18
