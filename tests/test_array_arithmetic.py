"""Active arrays in arithmetic, iteration and conversions; arrays of no elements and no axes."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy, plain

import tapegrad as tg
from tapegrad.errors import LostDerivativeError, UnhashableError
from tapegrad.function.recording import _activate
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.nesting import recording

RNG = np.random.default_rng(3)
CUBE = RNG.normal(size=(3, 4, 2))
LINE = np.array([0.5, -1.5, 2.0, 3.0, -0.25])


@pytest.fixture
def tape():
    with recording() as tape:
        yield tape


# --- arithmetic --------------------------------------------------------------------------------

BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "pow",
    "floordiv",
    "mod",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
]
OPERANDS = {
    "float": 2.0,
    "int": 3,
    "bool": True,
    "float64": np.float64(1.5),
    "float32": np.float32(0.5),
    "int64": np.int64(2),
    "vector": np.array([2.0, 3.0]),
    "integers": np.array([2, 3]),
    "float32s": np.array([2.0, 3.0], np.float32),
    "bools": np.array([True, False]),
    "zero d": np.array(2.0),
    "column": np.ones((4, 1)) * 2.0,
    "more axes": np.ones((2, 1, 1, 1)),
    "strided": np.arange(48.0).reshape(3, 4, 4)[:, :, ::2] + 1.0,
    "list": [1.0, 2.0],
    "fortran": np.asfortranarray(np.ones((3, 4, 2))),
    "empty": np.ones((0, 1, 1, 1)),
}


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("name", BINARY)
def test_a_binary_operator_broadcasts_as_numpys(name, operand):
    function, other = getattr(operator, name), OPERANDS[operand]
    as_floats = other if isinstance(other, list) else np.asarray(other, float)
    x = np.abs(CUBE) + 0.5
    for f, g in (
        (lambda x: function(x, other), lambda x: function(x, as_floats)),
        (lambda x: function(other, x), lambda x: function(as_floats, x)),
    ):
        with recording() as tape:
            found = plain(f(_activate(tape, x)))
        with np.errstate(all="ignore"):
            wanted = g(x)
        assert np.shape(found) == np.shape(wanted)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod"])
def test_in_place_operators_write_through_every_view(name):
    function = getattr(operator, f"i{name}")

    def f(x):
        y = np.abs(x) + 1.0
        view = y[..., ::2]
        z = y
        z = function(z, 2.0)
        assert z is y
        return np.concatenate([np.ravel(view), np.ravel(y)])

    assert_recorded_as_numpy(f, CUBE)


def test_active_and_passive_elements_mix(tape):
    x = _activate(tape, LINE)
    y = np.zeros_like(x)
    assert isinstance(y, ActiveArray)
    y[0], y[1] = x[0], 3.0
    z = y * y + 1.0
    assert plain(z).tolist() == [1.25, 10.0, 1.0, 1.0, 1.0]
    assert isinstance(z[0], Active)
    assert not isinstance(z[1], Active)
    assert (z.data["slot"] > 0).tolist() == [True, False, False, False, False]
    tg.check(tape.so_far())


def test_a_passive_array_is_a_plain_one_where_needed(tape):
    x = _activate(tape, LINE)
    y = np.zeros_like(x) + 2.0
    np.testing.assert_array_equal(np.asarray(y), np.full(5, 2.0))
    assert float(y[0]) == 2.0
    assert float(y[:1]) == 2.0


def test_gradients_through_broadcasting_sum_over_the_repeated_axes():
    a, b = RNG.normal(size=(3, 1)), RNG.normal(size=4)
    weights = RNG.normal(size=(3, 4))
    found = tg.grad(lambda a, b: np.sum(weights * a * b), argnums=(0, 1))(a, b)
    np.testing.assert_allclose(found[0], (weights @ b)[:, None], rtol=1e-14)
    np.testing.assert_allclose(found[1], weights.T @ a[:, 0], rtol=1e-14)


# --- shapes that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 2)])
def test_empty_arrays_go_through_everything(shape):
    x = np.zeros(shape)
    for f in (
        lambda x: x * 2.0 + x,
        lambda x: -np.sin(x),
        lambda x: x[...],
        lambda x: x.T,
        lambda x: np.sum(x),
        lambda x: x > 0.0,
        lambda x: x.reshape(-1),
        lambda x: x**2,
        lambda x: np.where(x > 0, x, 1.0),
    ):
        assert_recorded_as_numpy(f, x)
    assert tg.grad(lambda x: np.sum(x * x) + 1.0)(x).shape == shape


def test_an_array_of_no_axes_is_an_array_and_its_sum_a_number(tape):
    x = _activate(tape, np.array(2.0))
    assert isinstance(x, ActiveArray)
    assert (x.shape, x.ndim, x.size) == ((), 0, 1)
    assert isinstance(x[()], Active)
    assert isinstance(x * 2.0, Active | ActiveArray)
    assert bool(x)
    with pytest.raises(TypeError):
        len(x)
    with pytest.raises((TypeError, IndexError)):
        list(x)
    x[...] = 5.0
    assert plain(x * x) == 25.0


def test_arrays_of_any_layout_have_their_gradient_in_place():
    base = RNG.normal(size=(4, 6))
    for x in (base.T, base[::2, ::-1], np.asfortranarray(base), base[:, 1], base[1:1]):
        np.testing.assert_allclose(tg.grad(lambda x: np.sum(x**3))(x), 3.0 * x**2, rtol=1e-15)


# --- iteration and reading ---------------------------------------------------------------------


def test_iteration_goes_along_the_first_axis(tape):
    x = _activate(tape, CUBE)
    assert [row.shape for row in x] == [(4, 2)] * 3
    assert [number.value for number in x.flat] == CUBE.ravel().tolist()
    assert plain(x.tolist()) == CUBE.tolist()
    a, b, c = _activate(tape, np.array([1.0, 2.0, 3.0]))
    assert (a.value, b.value, c.value) == (1.0, 2.0, 3.0)
    assert len(x) == 3
    assert [n.value for n in reversed(_activate(tape, np.array([1.0, 2.0])))] == [2.0, 1.0]


def test_membership_and_truth_are_numpys(tape):
    x = _activate(tape, LINE)
    assert 2.0 in x
    assert 9.0 not in x
    assert bool(x[:1])
    with pytest.raises(ValueError, match=r"any\(\) or all\(\)"):
        bool(x)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x > 0.0)


def test_item_takes_an_index_or_none(tape):
    x = _activate(tape, CUBE)
    assert x.item(1, 2, 1).value == CUBE.item(1, 2, 1)
    assert x[:1, :1, :1].item().value == CUBE[0, 0, 0]


def test_loops_over_the_shape_replay():
    def f(x):
        total = 0.0
        for i in range(x.shape[0]):
            for j in range(len(x[i])):
                if x[i, j] > 0.0:
                    total = total + x[i][j] * x[i, j - 1]
        return total

    derivative = tg.grad(f)
    for x in (CUBE[0], CUBE[1], -CUBE[0], CUBE[2]):
        np.testing.assert_array_equal(derivative(x), tg.grad(lambda x: f(x))(x))


def test_divmod_is_the_pair_of_its_parts():
    for f in (lambda x: divmod(x, 0.75)[1], lambda x: divmod(x, 0.75)[0] + 0.0,
              lambda x: divmod(3.0, x)[0], lambda x: divmod(3.0, x)[1]):  # fmt: skip
        assert_recorded_as_numpy(f, CUBE)


def test_the_attributes_of_a_real_array_are_there():
    for name in ("real", "imag", "itemsize", "nbytes", "T", "shape", "ndim", "size"):
        assert_recorded_as_numpy(lambda x: getattr(x, name), CUBE)  # noqa: B023
    assert_recorded_as_numpy(lambda x: x.conj() + x.conjugate(), CUBE)


def test_an_array_of_one_number_is_read_as_an_int_under_a_guard():
    derivative = tg.grad(lambda x: x * int(x))
    assert [float(derivative(np.array(x))) for x in (2.5, 3.5, 2.9)] == [2.0, 3.0, 2.0]


# --- what would lose the derivative ------------------------------------------------------------

BUILT_BEFORE = {"asarray": np.asarray}  # where recording doesn't replace it
LOSERS = {
    "asarray": lambda x: np.asarray(x, float),
    "element": lambda x: np.ones(5).__setitem__(0, x),
    "slice": lambda x: np.ones(5).__setitem__(slice(None), x),
    "float": lambda x: float(x[:1]),
    "pickle": pickle.dumps,
    "float32": lambda x: x.astype(np.float32),
    "ascontiguousarray": lambda x: np.ones(5).fill(x[0]),
}


@pytest.mark.parametrize("name", LOSERS)
def test_a_conversion_that_would_lose_the_derivative_is_refused(tape, name):
    with pytest.raises((LostDerivativeError, ValueError)) as caught:
        LOSERS[name](_activate(tape, LINE))
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(error, LostDerivativeError) for error in causes)


def test_foreign_code_that_asks_for_an_array_gets_one_of_active_numbers():
    weights = np.arange(6.0).reshape(2, 3)
    for foreign in (
        lambda x: weights.dot(x),
        lambda x: weights @ BUILT_BEFORE["asarray"](x),
        lambda x: BUILT_BEFORE["asarray"](x).dot(weights.T),
        lambda x: x.astype(object) @ weights.T,
    ):
        np.testing.assert_allclose(tg.jacobian(foreign)(np.array([0.3, 1.2, -0.4])), weights)


def test_whole_numbers_and_truth_values_of_an_array_are_read_under_guards():
    table = np.array([2.0, 3.0, 5.0, 7.0])
    points = ([0.5, 2.25], [1.5, 3.5], [1.75, 3.0])
    gradient = tg.grad(lambda x: np.sum(table[x.astype(int)] * x))
    for point in points:
        np.testing.assert_allclose(gradient(np.array(point)), table[np.array(point).astype(int)])
    gradient = tg.grad(lambda x: np.sum(table[2:][x > 1.0]) * np.sum(x))
    for point in points:
        np.testing.assert_allclose(
            gradient(np.array(point)), np.full(2, np.sum(table[2:][np.array(point) > 1.0]))
        )


def test_arrays_are_not_hashable_nor_memory(tape):
    x = _activate(tape, LINE)
    with pytest.raises(UnhashableError):
        hash(x)
    with pytest.raises(TypeError):
        memoryview(x)


def test_copies_are_independent(tape):
    x = _activate(tape, LINE)
    for other in (copy.copy(x), copy.deepcopy(x), x.copy(), x.flatten()):
        other[0] = 9.0
        assert x[0].value == 0.5
    alias = x[:]
    alias[0] = 9.0
    assert x[0] == 9.0


def test_printing_shows_the_numbers(tape):
    assert repr(_activate(tape, np.array([1.5, 2.0]))) == "ActiveArray([1.5, 2. ])"
    assert repr(_activate(tape, LINE) > 0.0).startswith("ActiveArray([ True, False")


def test_objects_are_refused(tape):
    x = _activate(tape, LINE)
    for other in ("a", np.array(["a"]), {}, None):
        with pytest.raises(TypeError):
            x + other
        with pytest.raises(TypeError):
            other + x
