"""The passes: what each removes, and that values, derivatives and guards are as before."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import tape_of
from formulas import polynomial, rosenbrock
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rows_in_python import partials
from tape_drafts import (
    RANDOM,
    SPECIAL,
    Draft,
    failed_site,
    gradient,
    outputs_at,
    random_draft,
    same_bits,
)

import tapegrad as tg
from tapegrad.ops import CODE, OPS
from tapegrad.passes import (
    PASSES,
    drop_dead,
    merge_common,
    report,
    simplified,
    steps,
)
from tapegrad.record.active import evaluate
from tapegrad.record.open_tape import OpenTape
from tapegrad.rows import ROWS
from tapegrad.tape import COLUMNS, Tape

INF, NAN = float("inf"), float("nan")
EVERY = {run.__name__: run for run in (*PASSES, simplified)}
every_pass = pytest.mark.parametrize("run", EVERY.values(), ids=EVERY)
quick = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.filter_too_much],
)  # fmt: skip


def names(tape):
    return [OPS[code].name for code in tape.op[1:] if code != CODE["input"]]


# --- dead records ------------------------------------------------------------------------------


def test_records_that_nothing_depends_on_are_dropped_with_their_constants():
    d = Draft(0.5, 2.0, 3.0)
    d.sin(d.add(d.x[0], 7.0))
    d.end(d.multiply(d.exp(d.x[2]), 5.0))
    after = drop_dead(d.tape)
    tg.check(after)
    assert names(after) == ["exp", "multiply"]
    assert after.constants.tolist() == [5.0]
    assert after.inputs.tolist() == [1, 2, 3]
    assert after.a.tolist() == [0, 1, 2, 3, 3, 4]
    assert after.b.tolist() == [0, 0, 0, 0, 0, -1]


def test_what_only_a_guard_depends_on_stays():
    d = Draft(0.5)
    d.guard(d.greater(d.sin(d.x[0]), 0.25))
    d.end(d.x[0])
    after = drop_dead(d.tape)
    tg.check(after)
    assert names(after) == ["sin", "greater"]
    assert after.guard_slot.tolist() == [3]


def test_what_a_stop_reads_stays():
    d = Draft(2.0)
    d.end(d.multiply(d.stop(d.sin(d.x[0])), d.x[0]))
    assert names(drop_dead(d.tape)) == ["sin", "stop", "multiply"]


# --- common subexpressions ---------------------------------------------------------------------


def test_what_was_computed_before_is_not_computed_again():
    d = Draft(0.5, 2.0)
    x, y = d.x
    first = d.sin(d.multiply(d.add(x, y), 3.0))
    again = d.sin(d.multiply(d.add(y, x), 3.0))  # another entry of the pool
    d.end(d.subtract(first, again), again)
    after = merge_common(d.tape)
    tg.check(after)
    assert names(after) == ["add", "multiply", "sin", "subtract"]
    assert (after.a[-1], after.b[-1], after.outputs.tolist()) == (5, 5, [6, 5])


def test_operations_are_not_common_where_an_order_or_a_sign_differs():
    d = Draft(0.5, 2.0)
    x, y = d.x
    d.end(d.subtract(x, y), d.subtract(y, x), d.maximum(x, y), d.maximum(y, x), d.hypot(x, y),
          d.hypot(y, x), d.add(x, 0.0), d.add(x, -0.0), d.divide(x, 2.0), d.multiply(x, 2.0),
          d.sin(x), d.sin(y))  # fmt: skip
    after = merge_common(d.tape)
    assert len(after) == len(d.tape)


def test_inputs_of_one_value_are_not_common():
    d = Draft(0.5, 0.5)
    d.end(d.sin(d.x[0]), d.sin(d.x[1]))
    assert len(merge_common(d.tape)) == len(d.tape)


def test_a_row_says_itself_whether_its_operands_may_be_swapped():
    commuting = {
        "add", "multiply", "equal", "not_equal", "same", "logical_and", "logical_or", "logical_xor",
        "chain",
    }  # fmt: skip
    symmetric = {
        "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2", "beta", "betaln"
    }  # fmt: skip
    assert {row.name for row in ROWS if row.commutes} == commuting
    assert {row.name for row in ROWS if row.is_symmetric} == commuting | symmetric


@pytest.mark.parametrize("op", [r.op for r in ROWS if r.commutes], ids=lambda op: op.name)
def test_swapping_commutative_operands_changes_no_bit(op):
    for x in SPECIAL:
        for y in SPECIAL + RANDOM[:50]:
            assert same_bits(evaluate.run(op.code, x, y), evaluate.run(op.code, y, x)), (x, y)


def test_a_much_read_slot_has_common_readers_like_any_other():
    d = Draft(0.5)
    readers = [d.multiply(d.x[0], 1.5 + k) for k in range(3000)]
    d.end(*readers, *[d.multiply(1.5 + k, d.x[0]) for k in range(3000)])
    after = merge_common(d.tape)
    assert after.outputs.tolist() == 2 * readers
    tg.check(after)


def test_common_records_of_a_long_tape_are_those_a_dictionary_finds():
    rng = np.random.default_rng(1)
    n, columns = 20_000, {}
    slots = np.arange(n)
    columns["op"] = rng.choice([CODE["add"], CODE["subtract"], CODE["maximum"]], n)
    columns["op"][:5] = [CODE["passive"]] + 4 * [CODE["input"]]
    for name in "ab":
        columns[name] = 1 + rng.integers(slots // 2, np.maximum(slots - 1, slots // 2 + 1))
    # Every other record is one of a few hundred before.
    copied = np.arange(1001, n, 2)
    of = rng.integers(5, 500, len(copied))
    for name in ("op", "a", "b"):
        columns[name][copied] = columns[name][of]
    columns["a"][:5], columns["b"][:5] = slots[:5], 0
    columns["value"], columns["constants"] = np.zeros(n), np.empty(0)
    columns |= {"guard_slot": [], "guard_value": [], "guard_site": []}
    tape = Tape.from_columns(columns, slots[-5:], [])
    tg.check(tape)
    seen, new = {}, list(range(5))
    for i in range(5, n):
        a, b = new[tape.a[i]], new[tape.b[i]]
        key = (tape.op[i], *(sorted((a, b)) if tape.op[i] == CODE["add"] else (a, b)))
        new.append(seen.setdefault(key, len(seen) + 5))
    after = merge_common(tape)
    tg.check(after)
    assert len(after) == len(seen) + 5 < 0.6 * n
    assert after.outputs.tolist() == new[-5:]


# --- all of them -------------------------------------------------------------------------------


@every_pass
def test_the_smallest_tapes_pass(run):
    inputs = OpenTape()
    inputs.input_block(np.array([1.0, 2.0]))
    results = Draft(1.0, 2.0)
    results.end(results.constant(5.0), results.x[1], results.constant(5.0), results.x[1], 0)
    for tape in (OpenTape().end(), inputs.end(), results.tape):
        after = run(tape)
        tg.check(after)
        assert (after.op.tolist(), after.inputs.tolist()) == (
            tape.op.tolist(),
            tape.inputs.tolist(),
        )
        point = np.array([3.0, 4.0])[: len(tape.inputs)]
        assert outputs_at(after, point).tolist() == outputs_at(tape, point).tolist()


@every_pass
def test_a_tape_that_is_being_recorded_is_refused(run):
    with pytest.raises(AttributeError, match="end it"):
        run(OpenTape())


@every_pass
@quick
@given(data=st.data())
def test_values_and_guards_of_random_tapes_are_the_same_to_the_bit(run, data):
    tape = random_draft(data)
    after = run(tape)
    tg.check(after)
    numbers = st.sampled_from(SPECIAL) | st.floats(-3.0, 3.0)
    points = [tape.value[tape.inputs]]
    points += data.draw(st.lists(st.tuples(*[numbers] * len(tape.inputs)), max_size=5))
    for point in points:
        failed = failed_site(tape, point)
        assert failed_site(after, point) == failed
        if failed is None:
            assert same_bits(outputs_at(after, point), outputs_at(tape, point))


@every_pass
@quick
@given(data=st.data())
def test_a_pass_leaves_nothing_for_itself(run, data):
    once = run(random_draft(data))
    twice = run(once)
    assert str(twice) == str(once)
    np.testing.assert_array_equal(twice.constants, once.constants)


EXACT = ["add", "subtract", "multiply", "negative", "positive", "square", "absolute", "maximum",
         "greater", "keep", "drop", "chain", "stop", "powi", "logical_not"]  # fmt: skip
WHOLE = [-0.0, 0.0, 1.0, -1.0, 2.0]


@every_pass
@quick
@given(data=st.data())
def test_derivatives_in_exact_arithmetic_are_the_same_to_the_bit(run, data):
    """Whole numbers below 2**20 have sums and products without rounding, in any order."""
    tape = random_draft(data, ops=EXACT, numbers=st.integers(-3, 3).map(float), constants=WHOLE)
    seeds = np.arange(1.0, 1.0 + len(tape.outputs))
    point = tape.value[tape.inputs]
    adjoints = []
    wanted = gradient(tape, point, seeds, adjoints)
    assume(max(np.max(np.abs(tape.value)), np.max(np.abs(adjoints))) < 2**20)
    np.testing.assert_array_equal(gradient(run(tape), point, seeds), wanted)


SMOOTH = ["add", "subtract", "multiply", "negative", "square", "sin", "cos", "tanh", "powi"]


@every_pass
@quick
@given(data=st.data())
def test_derivatives_are_the_same_up_to_the_rounding_of_their_sums(run, data):
    tape = random_draft(data, ops=SMOOTH, numbers=st.floats(-1.5, 1.5), constants=[1.0, -1.0, 0.7])
    point = tape.value[tape.inputs]
    scale = sum_of_magnitudes(tape)
    assume(np.all(scale < 1e100))
    difference = np.abs(gradient(run(tape), point) - gradient(tape, point))
    assert np.all(difference <= 1e-12 * scale)
    assert np.all(difference[scale == 0.0] == 0.0)


def sum_of_magnitudes(tape):
    """The gradient of the outputs' sum, were all of its contributions positive."""
    adjoint = np.zeros(len(tape))
    np.add.at(adjoint, np.maximum(tape.outputs, 0), 1.0)
    values = np.concatenate([tape.value, tape.constants[::-1]])
    for i in range(len(tape) - 1, 0, -1):
        op = OPS[tape.op[i]]
        operands = [tape.a[i], tape.b[i]][: op.arity]
        if op.arity and np.isfinite(adjoint[i]):
            found = partials(op.name)(*values[operands].tolist(), tape.value[i])
            for operand, partial in zip(operands, found, strict=True):
                if operand > 0:
                    adjoint[operand] += adjoint[i] * abs(partial)
    return adjoint[tape.inputs]


# --- recorded programs -------------------------------------------------------------------------


def lotka_volterra(x):
    """Two populations over time, predicted in steps whose rates are computed anew."""
    prey, hunters, loss = x[0], x[1], 0.0
    for k in range(50):
        growth = x[2] * prey - x[3] * prey * hunters
        decline = x[3] * prey * hunters - x[4] * hunters
        prey, hunters = prey + 0.05 * growth, hunters + 0.05 * decline
        if prey > 0.01 * k:
            loss = loss + (prey - 1.0) ** 2 / 1.0
    return loss


# The function, its point, and how much of the tape is left at most.
POPULATIONS = np.array([1.0, 0.5, 0.8, 0.4, 0.6])
PROGRAMS = {
    "rosenbrock": (rosenbrock, np.linspace(0.5, 1.5, 8), 1.0),
    "rosenbrock's gradient": (
        lambda x: np.sum(tg.grad(rosenbrock)(x) ** 2), np.linspace(0, 1, 6), 0.9
    ),
    "polynomial's product": (
        lambda x: tg.hvp(polynomial)(x, x) @ x, np.array([1.0, -2.0, 3.0]), 0.9
    ),
    "populations": (lotka_volterra, POPULATIONS, 0.85),
    "populations' gradient": (
        lambda x: np.sum(tg.grad(lotka_volterra)(x) ** 2), POPULATIONS, 0.9
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "x", "most"), PROGRAMS.values(), ids=PROGRAMS)
def test_recorded_programs_shrink_and_compute_the_same(function, x, most):
    tape = tape_of(function, x)
    after = simplified(tape)
    tg.check(after)
    assert len(after) <= most * len(tape)
    for point in (x, x + 1e-3, 1.1 * x):
        assert failed_site(tape, point) is None
        assert same_bits(outputs_at(after, point), outputs_at(tape, point))
        wanted = gradient(tape, point)
        scale = 1e-12 * np.max(np.abs(wanted))
        np.testing.assert_allclose(gradient(after, point), wanted, rtol=1e-12, atol=scale)
    elsewhere = -x
    assert failed_site(after, elsewhere) == failed_site(tape, elsewhere)


def test_what_each_pass_removed_can_be_told():
    d = Draft(0.5)
    x = d.x[0]
    one, two = d.sin(d.multiply(x, 1.0)), d.sin(x)
    d.guard(d.greater(d.powi(x, 0.0), 0.0))
    d.end(d.add(d.add(one, two), 3.0))
    assert report(d.tape) == [
        ("apply_identities", (8, 5), (4, 6), (1, 0)),
        ("merge_common", (5, 4), (6, 6), (0, 0)),
        ("drop_dead", (4, 4), (6, 1), (0, 0)),
        ("share_constants", (4, 4), (1, 1), (0, 0)),
    ]
    assert [(name, len(tape) - 1) for name, tape in steps(d.tape)] == [
        (step.name, step.records[1]) for step in report(d.tape)
    ]
    assert report(d.tape, (drop_dead,)) == [("drop_dead", (8, 8), (4, 4), (1, 1))]


def test_a_tape_of_another_tapes_columns_is_the_same():
    tape = tape_of(lotka_volterra, POPULATIONS)
    copy = Tape.from_columns(tape.columns(), tape.outputs, tape.sites)
    tg.check(copy)
    for name in (*COLUMNS, "inputs", "outputs", "sites"):
        assert np.array_equal(getattr(copy, name), getattr(tape, name)), name
    assert str(copy) == str(tape)
