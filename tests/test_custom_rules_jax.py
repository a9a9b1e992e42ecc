"""`custom_jvp` and `custom_vjp`, called as JAX calls them."""

import functools
import math

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import InputTypeError, StructureError, WrongRuleWarning

X = np.array([0.3, -1.2, 2.0])


def gradient_of(f):
    return tg.grad(f, argnums=(0, 1))(2.0, 3.0)


RIGHT = (3.0 * math.cos(2.0), math.sin(2.0))
SECOND = ((-3.0 * math.sin(2.0), math.cos(2.0)), (math.cos(2.0), 0.0))


def test_defjvp_takes_primals_and_tangents_and_returns_both_results():
    @tg.custom_jvp
    def f(x, y):
        return math.sin(x) * y

    @f.defjvp
    def f_jvp(primals, tangents):
        x, y = primals
        x_dot, y_dot = tangents
        primal_out = f(x, y)
        return primal_out, math.cos(x) * x_dot * y + math.sin(x) * y_dot

    assert callable(f_jvp)
    assert f(2.0, y=3.0) == math.sin(2.0) * 3.0
    assert gradient_of(f) == pytest.approx(RIGHT)
    assert tg.jvp(f, (2.0, 3.0), (1.0, 0.0)) == pytest.approx((f(2.0, 3.0), RIGHT[0]))
    np.testing.assert_allclose(tg.hessian(f, argnums=(0, 1))(2.0, 3.0), SECOND, atol=1e-15)


def test_defjvps_takes_one_rule_an_argument():
    @tg.custom_jvp
    def f(x, y, z):
        return math.sin(x) * y

    given = f.defjvps(lambda x_dot, primal_out, x, y, z: math.cos(x) * x_dot * y,
                      lambda y_dot, primal_out, x, y, z: primal_out / y * y_dot, None)  # fmt: skip
    assert given is None
    found = tg.grad(f, argnums=(0, 1, 2))(2.0, 3.0, 1.0)
    assert found == pytest.approx((*RIGHT, 0.0))
    assert tg.grad(tg.grad(f))(2.0, 3.0, 1.0) == pytest.approx(SECOND[0][0])


def test_defvjp_takes_residuals_first_and_returns_a_tuple():
    calls = []

    @tg.custom_vjp
    def f(x, y):
        calls.append("f")
        return math.sin(x) * y

    def f_fwd(x, y):
        calls.append("fwd")
        return math.sin(x) * y, (math.cos(x), math.sin(x), y)

    def f_bwd(res, g):
        calls.append("bwd")
        cos_x, sin_x, y = res
        return (cos_x * g * y, sin_x * g)

    assert f.defvjp(f_fwd, f_bwd) is None
    derivative = tg.grad(lambda x, y: f(x, y) * 1.0, argnums=(0, 1), compile="never")
    assert derivative(2.0, 3.0) == pytest.approx(RIGHT)
    calls.clear()
    assert derivative(2.0, 3.0) == pytest.approx(RIGHT)
    assert calls == ["fwd", "bwd"]  # what fwd returned is kept
    np.testing.assert_allclose(tg.hessian(f, argnums=(0, 1))(2.0, 3.0), SECOND, atol=1e-15)
    assert tg.jvp(f, (2.0, 3.0), (0.0, 1.0))[1] == pytest.approx(RIGHT[1])


class Factors:
    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize("keep", [
    lambda x: x, lambda x: (x,), lambda x: [x, None], lambda x: {"x": x, "n": 3, "name": "sum"},
    lambda x: (x.shape, x), lambda x: Factors(x), lambda x: (Factors(2.0 * x), x, [None]),
    lambda x: (np.arange(3), x > 0.0, x),
])  # fmt: skip
def test_anything_may_be_kept_from_forward_to_reverse(keep):
    def take(kept):
        while not isinstance(kept, np.ndarray) or kept.dtype != np.float64:
            if isinstance(kept, Factors):
                kept = kept.x
            elif isinstance(kept, dict):
                kept = kept["x"]
            else:
                kept = next(k for k in kept if isinstance(k, np.ndarray) and k.dtype == np.float64)
        return kept

    f = tg.custom_vjp(lambda x: np.sum(x**2))
    f.defvjp(lambda x: (np.sum(x**2), keep(x)), lambda kept, g: (2.0 * g * take(kept),))
    derivative = tg.grad(lambda x: f(x) ** 2, compile="never")
    for x in (X, 2.0 * X, -X):
        np.testing.assert_allclose(derivative(x), 4.0 * np.sum(x**2) * x)
    np.testing.assert_allclose(tg.jacobian(tg.grad(f))(X), 2.0 * np.eye(3), atol=1e-15)


def test_masks_that_are_kept_need_no_recording_of_their_own():
    f = tg.custom_vjp(lambda x: np.maximum(x, 0.0))
    f.defvjp(lambda x: (np.maximum(x, 0.0), x > 0.0), lambda mask, g: (g * mask,))
    derivative = tg.grad(lambda x: np.sum(f(x) ** 2), compile="never")
    rng = np.random.default_rng(1)
    for x in rng.standard_normal((40, 5)):
        np.testing.assert_allclose(derivative(x), 2.0 * np.maximum(x, 0.0))
    assert len(derivative.recorded.recordings) == 1


def test_nondiff_argnums_come_first_and_may_be_functions():
    @functools.partial(tg.custom_jvp, nondiff_argnums=(0,))
    def app(f, x):
        return f(x)

    @app.defjvp
    def app_jvp(f, primals, tangents):
        (x,), (x_dot,) = primals, tangents
        return f(x), 2.0 * x_dot

    assert app(lambda x: x**3, 3.0) == 27.0
    assert tg.grad(lambda x: app(lambda y: 2.0 * y, x))(3.0) == 2.0

    @functools.partial(tg.custom_vjp, nondiff_argnums=(0, 2))
    def power(n, x, scale):
        return scale["by"] * x**n

    def power_fwd(n, x, scale):
        return scale["by"] * x**n, x

    def power_bwd(n, scale, x, g):
        return (g * scale["by"] * n * x ** (n - 1),)

    power.defvjp(power_fwd, power_bwd)
    derivative = tg.grad(lambda x, n: power(n, x, {"by": 5.0}))
    assert [derivative(2.0, 3), derivative(2.0, 2), derivative(4.0, 2)] == [60.0, 20.0, 40.0]

    named = tg.custom_vjp(lambda x, n: x * n, nondiff_argnames="n")
    named.defvjp(lambda x, n: (x * n, None), lambda n, _, g: (g * n,))
    assert tg.grad(lambda x: named(x, n=4))(1.0) == 4.0
    with pytest.raises(TypeError, match=r"defjvps can't be used with nondiff_argnums"):
        app.defjvps(None, None)
    with pytest.raises(InputTypeError, match="no argument 7"):
        tg.custom_vjp(lambda x: x, nondiff_argnums=7)


def test_defaults_and_keywords_are_positions():
    seen = []

    @tg.custom_jvp
    def f(x, y=2.0):
        return x * y

    @f.defjvp
    def _(primals, tangents):
        seen.append((len(primals), len(tangents)))
        (x, y), (x_dot, y_dot) = primals, tangents
        return x * y, x_dot * y + x * y_dot

    assert tg.grad(lambda x: f(x) + f(y=3.0, x=x))(1.0) == 5.0
    assert set(seen) == {(2, 2)}
    only_by_name = tg.custom_jvp(lambda x, *, y: x * y)
    only_by_name.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(TypeError, match=r"y by keyword alone.*tapegrad.custom_rule"):
        tg.grad(lambda x: only_by_name(x, y=2.0))(1.0)


def test_clipped_and_passed_through_gradients_are_told_of_once_or_not_at_all():
    def clip(check):
        clipped = tg.custom_vjp(lambda lo, hi, x: x, check=check)
        clipped.defvjp(lambda lo, hi, x: (x, (lo, hi)),
                       lambda res, g: (None, None, np.clip(g, *res)))  # fmt: skip
        return clipped

    quiet = clip(False)
    assert tg.grad(lambda x: 10.0 * quiet(-1.0, 1.0, x))(3.0) == 1.0
    through = tg.custom_rule(lambda x: np.round(x), vjp=lambda ct, result, x: ct, check=False)
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(through(x)))(X), np.ones(3))
    with pytest.warns(WrongRuleWarning, match=r"vjp of .* `check=False`"):
        tg.grad(tg.custom_rule(lambda x: np.round(x), vjp=lambda ct, result, x: ct))(0.3)


def test_what_the_halves_return_is_compared_with_what_they_must():
    def made(fwd, bwd, function=lambda x: x * x):
        f = tg.custom_vjp(function)
        f.defvjp(fwd, bwd)
        return f

    cases = [
        (lambda x: x * x, lambda res, g: (g,), r"fwd of .* must return a pair"),
        (lambda x: (x * x, x), lambda res, g: 2.0 * g * res, r"bwd of .* must be \(a"),
        (lambda x: (x * x, x), lambda res, g: (g, g), r"and it's \(a float, a"),
        (lambda x: ([x * x], x), lambda res, g: (g[0],), r"fwd .* first must be a float, as"),
    ]
    for fwd, bwd, message in cases:
        with pytest.raises(StructureError, match=message):
            tg.grad(lambda x: made(fwd, bwd)(x) * 1.0)(3.0)  # noqa: B023
    with pytest.warns(WrongRuleWarning, match=r"another value than the function: 10 where"):
        tg.grad(made(lambda x: (x * x + 1.0, x), lambda res, g: (2.0 * g * res,)))(3.0)
    f = tg.custom_jvp(lambda x: x * x)
    f.defjvp(lambda primals, tangents: 2.0 * primals[0] * tangents[0])
    with pytest.raises(StructureError, match="a rule given to defjvp must return a pair"):
        tg.grad(f)(3.0)


def test_rules_are_functions_and_the_last_one_given_counts():
    f = tg.custom_jvp(lambda x: x * x)
    with pytest.raises(TypeError, match="must be a function, not a float"):
        f.defjvp(2.0)
    f.defjvps(lambda t, result, x: 2.0 * x * t)
    assert tg.grad(f)(3.0) == 6.0
    f.defjvp(lambda primals, tangents: (primals[0] ** 2, 2.0 * primals[0] * tangents[0]))
    assert tg.grad(f)(4.0) == 8.0
    with pytest.raises(TypeError, match="a function is needed, not float"):
        tg.custom_vjp(1.0)
