"""Machine code against the sweeps: to the bit in strict mode, nearly so otherwise."""

import threading

import numpy as np
import pytest
from programs import PROGRAMS
from rolled_programs import KNOWN, point_of, random_program
from row_tapes import CHEAP, ROWS, edges_of, point_in_domain, row_at_pairs, row_in_loops

import tapegrad as tg
from tapegrad.codegen.compiled_tape import CompiledTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length


def tape_of(function, *args):
    derivative = tg.jacobian(function, compile="never")
    derivative(*args)
    return derivative.recorded.recordings[0].tape


def swept(tape, kind, inputs, vector):
    """Return the guard that fails, the outputs and the products, by the sweeps."""
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    outputs = np.empty(len(tape.outputs))
    products = np.empty(len(tape.inputs) if kind == "pullback" else len(tape.outputs))
    failed = floats.replay.run(tape.head, inputs, value)
    floats.results.run(tape.head, value, outputs)
    getattr(floats, kind).run(tape.head, vector, value, work, products)
    return failed, outputs, products


def compare(tape, native, inputs, seed=0, fails=False, most=None):
    """Compare both products at a point with those of the sweeps.

    `most` says of how many products, the last ones, machine code may make a NaN where the sweeps
    don't; by default that's all.
    """
    rng = np.random.default_rng(seed)
    for kind, length in (("pullback", len(tape.outputs)), ("pushforward", len(tape.inputs))):
        # So small that what is fused and what isn't overflow at the same places.
        vector = rng.uniform(-0.25, 0.25, length)
        failed, outputs, products = swept(tape, kind, inputs, vector)
        ok, ours, found = getattr(native, kind)(inputs, vector)
        assert (failed >= 0) == fails
        if fails:
            assert not ok
            continue
        # Where there is a NaN the sweeps are asked; what is none in both, and the outputs, hold.
        assert not np.isnan(found).any() if ok else not np.isfinite(found).all()
        if not ok:
            missed = np.flatnonzero(np.isnan(found) & ~np.isnan(products))
            allowed = len(products) if most is None else most[kind]
            assert np.all(missed >= len(products) - allowed)
            found = np.where(np.isnan(found) | np.isnan(products), products, found)
        if native.strict:
            np.testing.assert_array_equal(bits(ours), bits(outputs))
            np.testing.assert_array_equal(found, products)
        else:
            np.testing.assert_allclose(ours, outputs, rtol=1e-11, atol=1e-13)
            scale = np.max(np.abs(products), initial=0.0, where=np.isfinite(products))
            np.testing.assert_allclose(found, products, rtol=1e-9, atol=1e-11 * scale)
    return ok


def bits(numbers):
    """Return numbers as integers, with one NaN for all."""
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.int64)


def both(tape):
    return [CompiledTape(tape, strict=strict) for strict in (True, False)]


# --- every operation ---------------------------------------------------------------------------


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_a_row_in_a_loop_and_outside(op):
    n = 6
    tape = row_in_loops(op, n)
    for native in both(tape):
        assert native.n_lines < 4 + 2 * 3
        compare(tape, native, point_in_domain(op, n))


@pytest.mark.parametrize("op", CHEAP, ids=lambda op: op.name)
def test_a_row_at_edge_values(op):
    point = edges_of(op)
    n = len(point) // op.arity
    tape = row_at_pairs(op, n)
    # Where one loop has active and passive operands, the partial by a passive one is computed too.
    most = {"pullback": 0, "pushforward": len(tape.outputs) - n}
    for native in both(tape):
        compare(tape, native, point, most=most)
    for place in range(op.arity if op.arity == 2 else 0):
        tape = row_at_pairs(op, n, [place])
        compare(tape, CompiledTape(tape, True), point, most={"pullback": 0, "pushforward": 0})


# --- programs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_where_it_was_recorded_and_elsewhere(name):
    function, points = PROGRAMS[name].function, PROGRAMS[name].points
    tape = tape_of(function, points[0])
    natives = both(tape)
    for x in points:
        inputs = np.ravel(x)
        fails = swept(tape, "pullback", inputs, np.ones(len(tape.outputs)))[0] >= 0
        for native in natives:
            compare(tape, native, inputs, fails=fails)


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_program_of_loops(name):
    function, _, sizes = KNOWN[name]
    x = point_of(name, sizes[0])
    tape = tape_of(function, x)
    for native in both(tape):
        assert compare(tape, native, x)
        assert compare(tape, native, 1.01 * x, seed=1)


@pytest.mark.seeds(8, 276)
def test_a_random_program_of_loops(seed):
    function, x = random_program(seed), np.linspace(-0.9, 1.1, 12)
    tape = tape_of(function, x)
    for native in both(tape):
        assert compare(tape, native, x)
        for special in (0.0, np.nan, np.inf):
            point = x.copy()
            point[seed % 12] = special
            failed = swept(tape, "pullback", point, np.ones(1))[0] >= 0
            compare(tape, native, point, fails=failed)


@pytest.mark.parametrize("name", KNOWN)
def test_a_hessian_product_is_the_tangent_of_the_gradient(name):
    function, _, sizes = KNOWN[name]
    x = point_of(name, sizes[0])
    v = np.cos(np.arange(len(x)))
    for strict in (True, False):
        native = CompiledTape(tape_of(function, x), strict)
        ok, _, product = native.hessian_product(x, v)
        assert ok
        expected = tg.hvp(function, compile="never")(x, v)
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(product, expected, rtol=1e-9, atol=1e-11 * scale)


# --- guards ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 20, 38, 39])
def test_a_guard_that_flips_in_any_iteration_is_noticed(place):
    def function(x):
        total = 0.0
        for k in range(len(x)):
            total = total + (x[k] * x[k] if x[k] > 1.0 else x[k])
        return total

    x = np.full(40, 2.0)
    tape = tape_of(function, x)
    flipped = x.copy()
    flipped[place] = 0.5
    for native in both(tape):
        assert native.n_lines == 3
        compare(tape, native, x)
        compare(tape, native, flipped, fails=True)
        compare(tape, native, x)


# --- outputs and inputs ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 16, 17, 100])
def test_outputs_that_are_inputs_constants_repeated_and_many(count):
    def function(x):
        y = [x[k] * x[k - 1] for k in range(len(x))]
        every = [*y, x[3], 2.5, y[0], y[0], x[3], np.sum(y)]
        return [every[k % len(every)] for k in range(count)]

    x = np.linspace(0.5, 1.5, 30)
    tape = tape_of(function, x)
    for native in both(tape):
        assert compare(tape, native, x)


@pytest.mark.parametrize("function", [lambda x: 3.0, lambda x: [], lambda x: x, lambda x: -x,
                                      lambda x: x[:0].sum()])  # fmt: skip
def test_hardly_any_records(function):
    x = np.array([1.5, -2.0])
    tape = tape_of(function, x)
    for native in both(tape):
        assert compare(tape, native, x)


def test_threads_in_one_program():
    function, _, (_, size) = KNOWN["predator_prey"]
    x = point_of("predator_prey", size)
    tape = tape_of(function, x)
    native = CompiledTape(tape, strict=True)
    points = [x * (1.0 + 0.01 * k) for k in range(6)]
    expected = [native.pullback(point, np.ones(1))[2] for point in points]
    found = [[] for _ in points]

    def work(k):
        found[k] = [native.pullback(points[k], np.ones(1))[2] for _ in range(300)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, np.broadcast_to(theirs, (300, len(x))))
