"""Which arguments are differentiated, and what a function may return."""

import dataclasses

import numba
import numpy as np
import pytest
import scipy.optimize
import typed_client

import tapegrad as tg
from tapegrad.errors import InputTypeError, NotScalarError

X = np.array([1.0, 2.0, 3.0])


def model(t, a, b, *, c=1.0):
    return np.sum(a * t + b**2 * t + c**3)


T = np.array([1.0, 2.0])
BY_A, BY_B, BY_C = 3.0, 2 * 2.0 * 3.0, 3 * 1.0 * 2


@pytest.mark.parametrize(
    ("argnums", "wanted"),
    [
        (1, BY_A),
        (np.int64(2), BY_B),
        (-1, BY_B),
        ("a", BY_A),
        ("c", BY_C),
        (("a", "c"), (BY_A, BY_C)),
        ([2, "a"], (BY_B, BY_A)),
        (np.array([1, 2]), (BY_A, BY_B)),
        (slice(1, None), (BY_A, BY_B)),
        (range(1, 3), (BY_A, BY_B)),
    ],
)
def test_arguments_are_chosen_by_position_and_name(argnums, wanted):
    assert tg.grad(model, argnums=argnums)(T, 1.0, 2.0, c=1.0) == wanted
    assert tg.value_and_grad(model, argnums=argnums)(T, 1.0, 2.0, c=1.0)[1] == wanted


def test_an_argument_passed_by_keyword_is_found_by_name_and_by_its_position():
    for argnums in ("b", 2):
        assert tg.grad(model, argnums=argnums)(T, 1.0, b=2.0) == BY_B
        assert tg.grad(model, argnums=argnums)(T, b=2.0, a=1.0) == BY_B
    hessian = tg.hessian(model, argnums="b")
    assert hessian(T, 1.0, b=2.0) == hessian(T, 1.0, 2.0) == 6.0
    compiled = numba.njit(lambda x, y: x * y**2)
    assert tg.grad(compiled, argnums="y")(2.0, 3.0) == 12.0


@pytest.mark.parametrize(
    ("argnums", "message"),
    [
        ("c", "without an argument of that name.*an argument must be passed"),
        ("z", "its parameters are t, a, b, c;"),
        (3, "argnums takes names too"),
        (-4, "argnums takes names too"),
    ],
)
def test_an_argument_that_is_not_there_is_an_error_that_names_those_that_are(argnums, message):
    with pytest.raises(InputTypeError, match=message):
        tg.grad(model, argnums=argnums)(T, 1.0, 2.0)


def test_integers_in_arrays_and_containers_are_differentiated_as_floats():
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(x**2))(np.arange(3)), [0, 2, 4])
    assert tg.grad(lambda x: x[0] * x[1])([2, 3]) == [3.0, 2.0]
    assert tg.grad(lambda d: d["a"] ** 2)({"a": np.int32(3)}) == {"a": 6.0}
    assert tg.hessian(lambda x: np.sum(x**3))(np.array([2])).tolist() == [[12.0]]
    assert tg.hvp(lambda x: np.sum(x**3))(np.array([2]), np.array([1])).tolist() == [12.0]
    assert tg.jvp(lambda x: np.sum(x**2), (np.array([1, 2]),), (np.array([1, 1]),)) == (5.0, 6.0)
    value, pull = tg.vjp(lambda x: np.sum(x**2), np.array([1, 2]))
    assert (value, pull(1.0)[0].tolist()) == (5.0, [2.0, 4.0])


def test_a_bare_integer_is_refused_and_the_remedy_works():
    square = tg.grad(lambda x: x * x)
    with pytest.raises(InputTypeError, match=r"pass a float, 2\.0"):
        square(2)
    assert square(2.0) == 4.0
    with pytest.raises(InputTypeError, match="truth values"):
        square(True)


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint16])
def test_an_integer_that_numpy_has_is_a_number_to_differentiate_by(kind):
    assert tg.grad(lambda x: x**3)(kind(2)) == 12.0
    assert tg.grad(lambda a, b: a * b**2, argnums="b")(3.0, b=kind(2)) == 12.0


@pytest.mark.parametrize("argnums", [None, 1.5, slice("a", "c"), [0, 1.5], np.array([0.0, 1.0])])
def test_what_names_no_argument_says_what_does(argnums):
    with pytest.raises(InputTypeError, match=r"argnums=0 or argnums='a'.*slice\(1, None\)"):
        tg.grad(model, argnums=argnums)


class Model:
    k = 3.0

    @tg.grad
    def wrong(self, x):
        return self.k * x * x

    def loss(self, x):
        return self.k * x * x

    right = tg.grad(loss, argnums=1)


def test_a_decorated_method_says_which_argnums_is_wanted():
    with pytest.raises(InputTypeError, match="argnums=1"):
        Model().wrong(2.0)
    assert Model().right(2.0) == 12.0


def penalised(x):
    if x[0] < 0:
        return 1_000
    if x[0] > 10:
        return False
    return np.sum(x**2)


@pytest.mark.parametrize("compile", ["auto", "never"])
def test_a_branch_may_return_an_integer_or_a_truth_value(compile):
    derivative = tg.value_and_grad(penalised, compile=compile)
    for x0, value in ((1.0, 14.0), (-1.0, 1000.0), (11.0, 0.0), (-1.0, 1000.0), (1.0, 14.0)):
        found, gradient = derivative(np.array([x0, 2.0, 3.0]))
        assert found == value
        np.testing.assert_array_equal(gradient, [2.0, 4.0, 6.0] if x0 == 1.0 else np.zeros(3))
    below = np.array([-1.0, 0.0, 0.0])
    assert not tg.hessian(penalised)(below).any()
    assert not tg.jacobian(penalised)(below).any()
    assert tg.jvp(penalised, below, np.ones(3)) == (1000, 0.0)
    assert tg.value_and_grad(lambda x: (7, x), has_aux=True)(1.0) == ((7, 1.0), 0.0)
    with pytest.raises(NotScalarError, match="None"):
        tg.grad(lambda x: None)(1.0)


def test_an_auxiliary_integer_stays_an_integer():
    (_, (count, flag)), _ = tg.value_and_grad(lambda x: (x, (3, True)), has_aux=True)(1.0)
    assert (type(count), count, flag) == (int, 3, True)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_an_array_of_one_element_is_a_value(shape):
    def loss(x):
        return np.array([np.sum(x**2)]).reshape(shape)

    def with_aux(x):
        return loss(x), 2 * x

    value, gradient = tg.value_and_grad(loss)(X)
    assert (type(value), value, gradient.tolist()) == (float, 14.0, [2.0, 4.0, 6.0])
    (value, aux), gradient = tg.value_and_grad(with_aux, has_aux=True)(X)
    assert (value, aux.tolist(), gradient.tolist()) == (14.0, [2, 4, 6], [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(tg.hessian(loss)(X), 2 * np.eye(3))
    nested = tg.grad(lambda x: tg.value_and_grad(loss)(x)[0] * x[0])(X)
    np.testing.assert_array_equal(nested, [16.0, 4.0, 6.0])
    with pytest.raises(NotScalarError):
        tg.grad(lambda x: x[:0])(X)


def test_curve_fit_takes_a_jacobian_of_several_arguments():
    def decay(t, a, k):
        return a * np.exp(-k * t)

    t = np.linspace(0.0, 3.0, 30)
    jac = tg.jacobian(decay, argnums=slice(1, None), columns=True)
    assert jac(t, 2.0, 0.5).shape == (30, 2)
    found, _ = scipy.optimize.curve_fit(decay, t, decay(t, 2.0, 0.7), p0=[1.0, 1.0], jac=jac)
    np.testing.assert_allclose(found, [2.0, 0.7], rtol=1e-8)
    for mode in ("forward", "reverse"):
        both = tg.jacobian(decay, argnums=("k", "t"), mode=mode, columns=True)(t[:2], 2.0, 0.5)
        separate = tg.jacobian(decay, argnums=("k", "t"))(t[:2], 2.0, 0.5)
        np.testing.assert_array_equal(both, np.column_stack([separate[0][:, None], separate[1]]))


def test_jvp_takes_one_argument_without_a_tuple():
    assert tg.jvp(lambda x: x**2, 3.0, 1.0) == (9.0, 6.0)
    value, tangent = tg.jvp(lambda x: x**2, X, np.ones(3))
    np.testing.assert_array_equal([value, tangent], [X**2, 2 * X])
    assert tg.jvp(lambda d: d["a"] ** 2, {"a": 3.0}, {"a": 1.0}) == (9.0, 6.0)


def test_what_a_typed_client_calls_runs():
    assert typed_client.fit(X).tolist() == [6.0, 12.0, 18.0]
    np.testing.assert_array_equal(typed_client.curvature(X), 4 * np.eye(3))
    np.testing.assert_array_equal(typed_client.product(X, X), 4 * X)
    assert typed_client.by_k(X, 2.0) == 14.0
    assert typed_client.slope(2.0) == 4.0
    np.testing.assert_array_equal(typed_client.by_rule(X), np.diag(2 * X))


@dataclasses.dataclass
class Parameters:
    a: float
    n: int


def test_integers_in_a_dataclass_are_numbers_to_differentiate_by():
    found = tg.grad(lambda p: p.a**2 * p.n)(Parameters(3.0, 2))
    assert found == Parameters(12.0, 9.0)
