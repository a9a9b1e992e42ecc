"""Constants and identities: each on every kind of number, and what they leave alone."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from tape_drafts import RANDOM, SPECIAL, Draft, gradient, outputs_at, same_bits

import tapegrad as tg
from tapegrad.ops import OPS
from tapegrad.passes import apply_identities, drop_dead, share_constants, simplified
from tapegrad.passes.identities import IDENTITIES

NAN = float("nan")


def names(tape):
    return [OPS[code].name for code in tape.op[1:] if OPS[code].arity]


# --- constants ---------------------------------------------------------------------------------


def test_constants_of_equal_bits_are_shared_and_no_others():
    d = Draft(0.5)
    pool = [1.0, 0.0, -0.0, NAN, 1.0, NAN, 0.0, 2.0]
    d.end(*[d.add(d.x[0], c) for c in pool], d.constant(2.0))
    after = share_constants(d.tape)
    tg.check(after)
    np.testing.assert_array_equal(after.constants, [1.0, 0.0, -0.0, NAN, 2.0])
    assert np.signbit(after.constants[:3]).tolist() == [False, False, True]
    assert after.b[2:].tolist() == [-1, -2, -3, -4, -1, -4, -2, -5]
    assert after.outputs[-1] == -5


# --- identities --------------------------------------------------------------------------------


def draft_of(expressions, x, y):
    """A tape of expressions as the table of identities writes them."""
    d = Draft(x, y)
    variables = dict(zip("xy", d.x, strict=True))

    def operand(node):
        if isinstance(node, ast.Call):
            return getattr(d, node.func.id)(*map(operand, node.args))
        return variables[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)

    results = [operand(ast.parse(text, mode="eval").body) for text in expressions]
    d.end(*[d.constant(r) if isinstance(r, float) else r for r in results])
    return d.tape


@pytest.mark.parametrize("identity", IDENTITIES, ids=" = ".join)
def test_an_identity_is_applied_and_changes_no_bit_and_no_derivative(identity):
    left, right = (draft_of([text], 0.75, -1.25) for text in identity)
    after = apply_identities(left)
    tg.check(after)
    simple = drop_dead(after)
    assert str(simple).splitlines()[1:] == str(drop_dead(right)).splitlines()[1:]
    pairs = [(x, y) for x in SPECIAL for y in SPECIAL]
    pairs += list(zip(RANDOM[::2], RANDOM[1::2], strict=True))
    for x, y in pairs:
        point = np.array([x, y])
        assert same_bits(outputs_at(left, point), outputs_at(simple, point)), (x, y)
        np.testing.assert_array_equal(gradient(left, point), gradient(simple, point), f"{x}, {y}")


@pytest.mark.parametrize("text", ["add(x, 0.0)", "subtract(x, -0.0)", "multiply(x, 0.0)",
                                  "subtract(0.0, x)", "power(x, 2.0)", "maximum(x, x)",
                                  "subtract(x, x)", "divide(x, x)", "divide(0.0, x)",
                                  "stop(x)", "multiply(0.0, x)", "negative(subtract(x, y))",
                                  "chain(0.0, x)", "equal(x, x)"])  # fmt: skip
def test_what_is_not_exact_is_left_alone(text):
    tape = draft_of([text], 0.75, -1.25)
    assert str(simplified(tape)).splitlines()[1:] == str(tape).splitlines()[1:]


def test_identities_are_applied_to_what_identities_made():
    d = Draft(3.0, 2.0)
    x, y = d.x
    minus = d.multiply(d.divide(x, -1.0), 1.0)
    d.end(d.multiply(minus, -1.0), d.add(y, d.multiply(-1.0, d.powi(minus, 1.0))))
    after = drop_dead(apply_identities(d.tape))
    assert after.outputs.tolist() == [1, 3]
    assert names(after) == ["add"]


def test_records_of_constants_are_folded_to_the_bits_of_the_sweeps():
    d = Draft(0.3)
    one = d.powi(d.x[0], 0.0)
    third = d.divide(one, 3.0)
    d.end(d.sin(d.exp(third)), d.divide(d.subtract(one, 1.0), 0.0), d.power(third, 0.7),
          d.less(third, one), d.stop(third), d.add(d.x[0], third))  # fmt: skip
    after = drop_dead(apply_identities(d.tape))
    tg.check(after)
    assert names(after) == ["add"]
    point = np.array([0.3])
    assert same_bits(outputs_at(after, point), outputs_at(d.tape, point))
    np.testing.assert_array_equal(gradient(after, point), gradient(d.tape, point))


def test_a_guard_on_what_became_a_constant_is_dropped_and_the_others_keep_their_places():
    d = Draft(0.5)
    x = d.x[0]
    d.guard(d.greater(x, 0.0))
    d.guard(d.logical_or(d.less(x, 9.0), 1.0))
    d.guard(d.less(d.multiply(x, 1.0), 1.0))
    d.guard(d.positive(x))
    d.end(x)
    after = simplified(d.tape)
    tg.check(after)
    sites = [after.sites[k] for k in after.guard_site]
    assert sites == [d.tape.sites[d.tape.guard_site[k]] for k in (0, 2, 3)]
    assert after.guard_value.tolist() == [1.0, 1.0, 0.5]
    assert after.guard_slot[-1] == 1


def test_a_guard_that_a_constant_fails_everywhere_is_not_lost():
    d = Draft(0.5)
    one = d.powi(d.x[0], 0.0)
    d.tape.guard(one, 2.0, test_a_guard_that_a_constant_fails_everywhere_is_not_lost.__code__, 0)
    d.end(d.multiply(d.x[0], 1.0))
    assert apply_identities(d.tape) is d.tape


def test_a_stop_keeps_derivatives_out_as_before():
    d = Draft(3.0)
    x = d.x[0]
    d.end(d.multiply(d.stop(d.multiply(d.stop(x), 1.0)), x), d.add(d.stop(d.negative(x)), x))
    after = simplified(d.tape)
    assert names(after) == ["stop", "stop", "multiply", "negative", "stop", "add"]
    assert gradient(after, np.array([3.0]), [1.0, 0.0]).tolist() == [3.0]
    assert gradient(after, np.array([3.0]), [0.0, 1.0]).tolist() == [1.0]
