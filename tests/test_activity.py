"""Which adjoints are computed: those of what depends on the arguments differentiated by."""

import pickle

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.blocks import Block
from tapegrad.codegen.compiled_tape import CompiledTape
from tapegrad.errors import InvalidTapeError
from tapegrad.passes import simplified
from tapegrad.passes.focus import focused
from tapegrad.program.ir import Call, Element, Index, Region, statements
from tapegrad.program.regions import check_memory
from tapegrad.record.called import call
from tapegrad.tape import Tape

RNG = np.random.default_rng(3)
N = 16
W, A = RNG.normal(size=(N, N)), RNG.normal(size=(N, N)) + 4.0 * np.eye(N)
B, DATA = RNG.normal(size=N), RNG.normal(size=(40, N))
ALL = (W, A, B, DATA)


def model(w, a, b, data):
    hidden = np.tanh(data @ w)
    side = np.linalg.solve(a @ a, w[:, 0] * b)
    return np.sum(hidden**2 * data[:, :1]) + np.sum(side) + np.linalg.det(a) * w[0, 0]


FULL = tg.value_and_grad(model, (0, 1, 2, 3), compile="never")(*ALL)


def recording_of(derivative):
    (recording,) = derivative.recorded.recordings
    return recording


def active_by_name(tape):
    """Of each block, which operands are differentiated by."""
    found = {}
    for block in tape.blocks:
        found.setdefault(block.name, set()).add(block.is_active)
    return found


def as_tuple(gradient):
    return gradient if isinstance(gradient, tuple) else (gradient,)


# --- gradients ------------------------------------------------------------------------------------


def test_blocks_are_differentiated_by_what_depends_on_argnums():
    derivative = tg.value_and_grad(model, compile="never")
    derivative(*ALL)
    recording = recording_of(derivative)
    assert active_by_name(recording.tape) == {
        "matmul": {(True, True), (True, True)}, "solve": {(True, True)}, "det": {(True,)}
    }  # fmt: skip
    assert active_by_name(recording.focused) == {
        "matmul": {(False, True), (False, False)}, "solve": {(False, True)}, "det": {(False,)}
    }  # fmt: skip
    tg.check(recording.focused)
    tg.check(simplified(recording.focused))
    assert simplified(recording.focused).data_inputs.tolist() == list(range(N * N, W.size + 912))


@pytest.mark.parametrize("argnums", [0, 1, 2, 3, (0, 2), (3, 1), slice(0, 4)])
def test_gradients_by_some_arguments_have_the_bits_of_those_by_all(argnums):
    keys = range(4) if isinstance(argnums, slice) else np.atleast_1d(argnums)
    wanted = [FULL[1][k] for k in keys]
    for compile, strict in (("never", False), ("now", True), ("now", False)):
        derivative = tg.value_and_grad(model, argnums, compile=compile, strict=strict)
        derivative(*ALL)
        value, gradient = derivative(*ALL)
        assert derivative.tier == ("swept" if compile == "never" else "compiled")
        assert value == FULL[0]
        for found, expected in zip(as_tuple(gradient), wanted, strict=True):
            if strict or compile == "never":
                np.testing.assert_array_equal(found, expected)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_new_data_is_used_without_recording_again():
    derivative = tg.grad(model, compile="now")
    derivative(*ALL)
    others = 2.0 * A, B + 1.0, DATA[::-1] * 0.5
    expected = tg.grad(model, (0, 1), compile="never")(W, *others)[0]
    np.testing.assert_allclose(derivative(W, *others), expected, rtol=1e-12)
    assert derivative.tier == "compiled"
    recording_of(derivative)  # the only one


def test_machine_code_pulls_nothing_back_to_data():
    derivative = tg.value_and_grad(model, compile="never")
    derivative(*ALL)
    program = CompiledTape(recording_of(derivative).focused).reverse.program
    pulled = [s for s in statements(program.body) if isinstance(s, Call) and s.adds]
    assert sorted(s.block.partition("#")[0] for s in pulled) == ["matmul", "solve.pullback"]
    written = {s.region for call in pulled for s in call.writes}
    assert not any(name.startswith("d") for name in written)


def test_a_block_that_reads_data_in_one_iteration_only_has_its_adjoint_in_the_others():
    def power(x, a, b):
        for _ in range(5):
            b = np.linalg.solve(a, b)
            b = b * x
        return np.sum(b)

    expected = np.linalg.matrix_power(np.linalg.inv(A), 5) @ B
    for compile in ("never", "now"):
        gradient = tg.value_and_grad(power, compile=compile)
        gradient(np.full(N, 1.0), A, B)
        value, found = gradient(np.full(N, 2.0), A, B)
        np.testing.assert_allclose(value, 32.0 * np.sum(expected), rtol=1e-10)
        np.testing.assert_allclose(np.sum(found), 5.0 * 16.0 * np.sum(expected), rtol=1e-10)
        blocks = active_by_name(recording_of(gradient).focused)
        assert blocks == {"solve": {(False, False), (False, True)}}


def test_a_derivative_by_data_that_is_infinite_hands_nothing_over():
    def scaled(x, data):
        total = 0.0
        for k in range(len(x)):
            total = total + x[k] * np.sqrt(data[k]) / data[-1]
        return total

    x, data = np.arange(1.0, 9.0), np.append(np.zeros(7), 4.0)
    fast = tg.value_and_grad(scaled).compiled(x, data)
    out = np.empty(8)
    assert fast.njit(x, out) == 4.0
    assert out.tolist() == [0.0] * 7 + [0.5]


def test_inputs_of_which_one_element_each_is_read_are_told_apart():
    def dot(x, y, z):
        return x[0] * y[1] * z + x[1] * y[0]

    for argnums, expected in ((0, [20.0, 3.0]), (1, [2.0, 5.0 * 1.0]), (2, 4.0)):
        derivative = tg.grad(dot, argnums, compile="now")
        for _ in range(2):
            found = derivative(np.array([1.0, 2.0]), np.array([3.0, 4.0]), 5.0)
        np.testing.assert_array_equal(found, expected)


# --- other derivatives ----------------------------------------------------------------------------


def test_second_derivatives_by_an_argument_and_another_are_each_others_transposes():
    one = tg.jacobian(tg.grad(model, 0), 1)(*ALL).reshape(N * N, N * N)
    other = tg.jacobian(tg.grad(model, 1), 0)(*ALL).reshape(N * N, N * N)
    np.testing.assert_allclose(one, other.T, rtol=1e-9, atol=1e-12)


def test_hessians_and_their_products_agree_and_are_right():
    def quadratic(x, a, b):
        return 0.5 * x @ (a @ np.linalg.solve(b, x))

    x, v = RNG.normal(size=N), RNG.normal(size=N)
    half = W @ np.linalg.inv(A)
    expected = 0.5 * (half + half.T)
    np.testing.assert_allclose(tg.hessian(quadratic)(x, W, A), expected, rtol=1e-9)
    for compile in ("never", "now"):
        product = tg.hvp(quadratic, compile=compile)
        product(x, v, W, A)
        np.testing.assert_allclose(product(x, v, W, A), expected @ v, rtol=1e-9)
        assert product.tier == ("compiled" if compile == "now" else "not recorded")


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobians_are_by_their_argument(mode):
    derivative = tg.jacobian(np.linalg.solve, 1, mode, compile="now")
    for _ in range(2):
        np.testing.assert_allclose(derivative(A, B), np.linalg.inv(A), rtol=1e-9, atol=1e-12)


def test_a_gradient_inside_of_another_leaves_the_outer_one_its_own_arguments():
    def outer(a, x):
        return np.sum(tg.grad(lambda y, m: y @ (m @ y))(x, a) * x)

    found = tg.grad(outer)(A, B)
    np.testing.assert_allclose(found, 2.0 * np.outer(B, B), rtol=1e-12)


def test_a_captured_number_is_no_argument_of_the_inner_derivative():
    def outer(x):
        inner = tg.grad(lambda y: np.sum(np.linalg.solve(np.diag(x), y) * y))
        return np.sum(inner(np.ones(3)))

    x = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(tg.grad(outer)(x), -2.0 / x**2, rtol=1e-12)


# --- rules, checkpoints, solutions ----------------------------------------------------------------

asked = []


def _moved(primals, tangents):
    asked.append([t is not None and bool(np.any(t)) for t in tangents])
    (x, y), (dx, dy) = primals, tangents
    return x * y, (0.0 if dx is None else dx * y) + (0.0 if dy is None else x * dy)


def test_a_rule_by_tangents_is_called_for_what_is_differentiated():
    @tg.custom_jvp
    def times(x, y):
        return x * y

    times.defjvp(_moved)
    derivative = tg.grad(lambda x, y: np.sum(times(x, y)), 0, compile="never")
    derivative(np.arange(3.0), np.ones(3))
    del asked[:]
    assert derivative(np.arange(3.0), np.full(3, 2.0)).tolist() == [2.0] * 3
    assert len(asked) == 3
    assert not any(of_y for _, of_y in asked)


def test_a_checkpoint_and_a_solution_of_data_and_numbers():
    @tg.checkpoint
    def piece(x, m):
        return m @ np.sin(x)

    root = tg.root(lambda z, x, m: m @ z - x, np.zeros(N))
    for compile in ("never", "now"):
        derivative = tg.grad(lambda x, m: np.sum(piece(x, m)), compile=compile)
        solved = tg.grad(lambda x, m: np.sum(root(x, m)), compile=compile)
        for _ in range(2):
            expected = np.cos(B) * np.sum(A, 0)
            np.testing.assert_allclose(derivative(B, A), expected, rtol=1e-12)
            expected = np.sum(np.linalg.inv(A), 0)
            np.testing.assert_allclose(solved(B, A), expected, rtol=1e-9)


# --- pickles and tapes ----------------------------------------------------------------------------


def test_what_is_compiled_pickles_with_its_focus():
    compiled = tg.value_and_grad(model).compiled(*ALL)
    again = pickle.loads(pickle.dumps(compiled))
    value, gradient = again(W)
    np.testing.assert_allclose(value, FULL[0], rtol=1e-13)
    np.testing.assert_allclose(gradient, FULL[1][0], rtol=1e-11, atol=1e-12)
    tape = pickle.loads(pickle.dumps(compiled._tape))
    assert [b.has_slots for b in tape.blocks] == [b.has_slots for b in compiled._tape.blocks]
    assert tape.data_inputs.tolist() == compiled._tape.data_inputs.tolist()


class Scaled(Block):
    """x * y, told from another by nothing."""

    def __init__(self, is_active):
        super().__init__("scaled", ((2,), (2,)), ((2,),), is_active)

    def value(self, operands):
        return [operands[0] * operands[1]]

    def pullback(self, operands, results, adjoints):
        (x, y), (of_x, of_y) = operands, self.is_active
        return [adjoints[0] * y if of_x else None, adjoints[0] * x if of_y else None]

    def __eq__(self, other):
        return type(other) is Scaled and other.is_active == self.is_active

    def __hash__(self):
        return hash((Scaled, self.is_active))


def test_a_block_is_narrowed_to_the_operands_that_are_active_where_it_is_called():
    def function(x):
        block = Scaled((True, True))
        (once,) = call(block, [x, np.ones(2)])
        (again,) = call(block, [once, x])
        return np.sum(again)

    derivative = tg.grad(function, compile="now")
    for _ in range(2):
        assert derivative(np.array([1.0, 3.0])).tolist() == [2.0, 6.0]
    assert active_by_name(recording_of(derivative).tape) == {
        "scaled": {(True, False), (True, True)}
    }


def test_equal_blocks_with_other_slots_are_two_on_a_tape():
    tape = tg.OpenTape()
    x, y = tape.input_block(np.ones(2)), tape.input_block(np.ones(2))
    constants = tape.constant_block(np.ones(2))
    narrow = Scaled((True, True)).narrowed((True, False), (True, True))
    first = tape.call(narrow, np.concatenate([x, y]), np.ones(2))
    second = tape.call(Scaled((True, False)), np.concatenate([first, constants]), np.ones(2))
    ended = tape.end(second.tolist())
    assert [block.has_slots for block in ended.blocks] == [(True, True), (True, False)]
    for seed in (1.0, 2.0):
        _, _, products = CompiledTape(ended).pullback(np.array([1.0, 2.0, 3.0, 4.0]), [seed] * 2)
        assert products[:2].tolist() == [3.0 * seed, 4.0 * seed]


def test_a_tape_without_data_is_itself_and_data_is_checked():
    tape = tg.OpenTape()
    x = tape.input_block(np.ones(2))
    ended = tape.end(x.tolist())
    assert focused(ended, np.empty(0, np.int64)) is ended
    columns = ended.columns()
    assert Tape.from_columns(columns, x, (), (), np.array([1])).data_inputs.tolist() == [1]
    with pytest.raises(InvalidTapeError, match="`data_inputs`"):
        tg.check(Tape.from_columns(columns, x, (), (), np.array([2])))


def test_parts_of_inputs_are_inputs():
    from tapegrad.program.ir import Program, Store
    from tapegrad.program.reverse import reverse

    regions = (Region("x", 3, "input"), Region("d0", 2, "input", within="x", offset=1),
               Region("y", 1, "output"))  # fmt: skip
    store = Store(Element("y", Index(0)), Element("d0", Index(1)))
    program = Program(regions, (), (store,), False)
    check_memory(program)
    assert not any(s for s in reverse(program).body[1:])
