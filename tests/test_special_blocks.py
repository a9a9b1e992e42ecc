"""How special functions that are blocks are called: kinds of arguments, replays, refusals."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import scipy.special as sc

import tapegrad as tg
from tapegrad.errors import InputTypeError, UnsupportedFunctionError
from tapegrad.record.functions.elementwise_blocks import Elementwise
from tests.against_numpy import outcome, recorded_outcome

X = np.array([0.3, 1.2, 4.0])


def density(a, x):
    return x ** (a - 1.0) * np.exp(-x) / sc.gamma(a)


@pytest.mark.parametrize(
    ("a", "x"),
    [
        (2.5, X),
        (X, 1.3),
        (X[:, None], X),
        (np.full((2, 1, 3), 2.0), np.ones((4, 1))),
        (np.empty((0, 3)), X),
        (np.array([1.5]), X),
        (np.array(1.5), np.array(0.4)),
    ],
)
def test_operands_are_broadcast_and_derivatives_summed(a, x):
    value, (by_a, by_x) = tg.value_and_grad(
        lambda a, x: np.sum(np.cos(sc.gammainc(a, x))), argnums=(0, 1)
    )(a, x)
    exact = sc.gammainc(a, x)
    assert value == pytest.approx(np.sum(np.cos(exact)), rel=1e-14)
    assert (np.shape(by_a), np.shape(by_x)) == (np.shape(a), np.shape(x))
    full = -np.sin(exact) * density(a, x)
    wanted = tg.vjp(lambda x: x * np.ones(np.shape(full)), np.asarray(x, float))[1](full)[0]
    np.testing.assert_allclose(by_x, wanted, rtol=1e-13)
    h = 1e-5
    slopes = -np.sin(exact) * (sc.gammainc(a + h, x) - sc.gammainc(a - h, x)) / (2 * h)
    wanted = tg.vjp(lambda a: a * np.ones(np.shape(full)), np.asarray(a, float))[1](slopes)[0]
    np.testing.assert_allclose(by_a, wanted, rtol=1e-7)
    tangent = tg.jvp(lambda x: sc.gammainc(a, x), (np.asarray(x, float),), (np.ones(np.shape(x)),))
    np.testing.assert_allclose(tangent[1], density(a, x) * np.ones(np.shape(exact)), rtol=1e-13)


def test_half_passive_operands_have_the_derivatives_of_what_is_active():
    def f(x):
        y = np.ones(3)
        y[1] = x
        return np.sum(sc.betainc(2.0, 3.0, 0.2 * y))

    assert tg.grad(f)(1.5) == pytest.approx(0.2 * 12.0 * 0.3 * 0.7**2, rel=1e-14)


def test_an_operand_twice_and_a_result_of_a_result():
    found = tg.grad(lambda x: sc.gammainc(x, x))(1.7)
    h = 1e-5
    wanted = (sc.gammainc(1.7 + h, 1.7 + h) - sc.gammainc(1.7 - h, 1.7 - h)) / (2 * h)
    assert found == pytest.approx(wanted, rel=1e-8)
    assert tg.grad(lambda x: sc.gammainc(2.0, sc.gammaincinv(2.0, x)))(0.3) == pytest.approx(1.0)


@pytest.mark.skipif(not hasattr(sc._ufuncs, "_cauchy_ppf"), reason="SciPy lacks it")
def test_second_derivatives_of_broadcast_operands():
    p = np.array([0.2, 0.3, 0.6])

    def f(q):  # the quantiles are m + s * cotangents
        return np.sum(sc.stdtrit(3.0, p) * 0.0 + sc._ufuncs._cauchy_ppf(p, q[0], q[1]) ** 3)

    cotangents = np.tan(np.pi * (p - 0.5))
    quantiles = 0.4 + 1.3 * cotangents
    wanted = [
        [np.sum(6 * quantiles), np.sum(6 * quantiles * cotangents)],
        [np.sum(6 * quantiles * cotangents), np.sum(6 * quantiles * cotangents**2)],
    ]
    q = np.array([0.4, 1.3])
    np.testing.assert_allclose(tg.hessian(f)(q), wanted, rtol=1e-12)
    product = tg.jvp(tg.grad(f), (q,), (np.array([0.3, -1.0]),))[1]
    np.testing.assert_allclose(product, np.array(wanted) @ [0.3, -1.0], rtol=1e-12)


def test_a_path_through_zero_contributes_nothing():
    # The density is infinite at zero, but nothing comes back along it.
    assert tg.grad(lambda x: 0.0 * sc.gammainc(0.5, x))(0.0) == 0.0
    assert tg.grad(lambda x: np.where(x > 0.0, sc.gammainc(0.5, x), x))(0.0) == 1.0


@pytest.mark.parametrize("compile", ["never", "now"])
def test_one_recording_serves_other_points_in_sweeps_and_in_machine_code(compile):
    def f(p):
        total = 0.0
        for k in range(4):
            total = total + sc.stdtr(p[0] + k, p[1]) * sc.j0(p[1])
        return total + np.sum(sc.betaincinv(p[0], 2.0, np.linspace(0.1, 0.9, 7)))

    gradient = tg.value_and_grad(f, compile=compile)
    for p in ([3.0, 0.4], [2.2, -1.3], [9.0, 5.0]):
        value, slopes = gradient(np.array(p))
        assert value == f(np.array(p))
        steps = 1e-5 * np.eye(2)
        wanted = [(f(np.array(p) + h) - f(np.array(p) - h)) / 2e-5 for h in steps]
        np.testing.assert_allclose(slopes, wanted, rtol=2e-8, atol=1e-9)


def test_threads_share_a_recording():
    gradient = tg.grad(lambda x: np.sum(sc.kv(x, 1.3)))
    points = [X + k for k in range(6)]
    wanted = [gradient(x) for x in points]
    found = [None] * len(points)

    def run(k):
        found[k] = gradient(points[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(points))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, wanted)


def test_a_block_is_equal_to_its_copy_and_to_no_other():
    block = Elementwise("betainc", ((), (3,), (3,)), (True, False, True))
    assert pickle.loads(pickle.dumps(block)) == block
    assert hash(block) == hash(Elementwise("betainc", ((), (3,), (3,)), (True, False, True)))
    assert block != Elementwise("betainc", ((), (3,), (3,)), (True, True, True))
    assert block != Elementwise("betaincc", ((), (3,), (3,)), (True, False, True))


# --- functions of SciPy's that are no ufuncs ----------------------------------------------------


def test_zeta_comb_and_multigammaln():
    assert tg.value_and_grad(sc.zeta)(2.0) == (sc.zeta(2.0), pytest.approx(-0.9375482543158438))
    by_q = tg.grad(lambda q: sc.zeta(3.0, q))(1.5)
    assert by_q == pytest.approx(-3.0 * sc.zeta(4.0, 1.5), rel=1e-14)
    value, slope = tg.value_and_grad(lambda n: sc.comb(n, 3.0))(7.5)
    assert value == sc.comb(7.5, 3.0)
    assert slope == pytest.approx(value * (1 / 7.5 + 1 / 6.5 + 1 / 5.5), rel=1e-14)
    assert tg.value_and_grad(lambda n: sc.comb(n, 3.0))(2.5) == (0.0, 0.0)
    with pytest.raises(UnsupportedFunctionError, match=r"comb\(exact=True\)"):
        tg.grad(lambda n: sc.comb(n, 3, exact=True))(7.0)
    value, slope = tg.value_and_grad(lambda a: sc.multigammaln(a, 3))(4.2)
    assert value == pytest.approx(sc.multigammaln(4.2, 3), rel=1e-14)
    assert slope == pytest.approx(np.sum(sc.psi(4.2 - np.array([0.0, 0.5, 1.0]))), rel=1e-14)
    assert isinstance(recorded_outcome(lambda a: sc.multigammaln(a, 3), 0.7), ValueError)


@pytest.mark.parametrize(("branch", "points"), [(0, [-0.3, 0.0, 0.4, 30.0]), (-1, [-0.3, -0.01])])
def test_a_real_branch_of_lambertw(branch, points):
    for x in points:
        value, slope = tg.value_and_grad(lambda x: sc.lambertw(x, branch).real)(x)
        assert value == sc.lambertw(x, branch).real
        assert slope == pytest.approx(np.exp(-value) / (1.0 + value), rel=1e-14)


def test_lambertw_is_refused_where_it_is_complex():
    gradient = tg.grad(lambda x: sc.lambertw(x).real)
    assert gradient(0.0) == 1.0
    for _ in range(2):
        with pytest.raises(ValueError, match="lambertw is complex here"):
            gradient(-1.0)
    with pytest.raises(UnsupportedFunctionError, match="branches 0 and -1"):
        tg.grad(lambda x: sc.lambertw(x, 2).real)(0.4)


# --- how they are called ------------------------------------------------------------------------


def test_calls_with_keywords_and_other_kinds_of_numbers():
    def stored(x):
        out = np.zeros(3)
        sc.gammainc(2.0, x, out=out)
        return np.sum(out)

    np.testing.assert_allclose(tg.grad(stored)(X), density(2.0, X), rtol=1e-14)
    masked = tg.grad(lambda x: np.sum(sc.gammainc(2, x, where=x > 1.0)))(X)
    np.testing.assert_allclose(masked, density(2.0, X) * (X > 1.0), rtol=1e-14)
    listed = tg.grad(lambda x: np.sum(sc.gammainc([2.0, 3.0], x)))(0.4)
    assert listed == pytest.approx(density(2.0, 0.4) + density(3.0, 0.4), rel=1e-14)
    single = tg.grad(lambda x: np.sum(sc.gammainc(np.float32([2.0, 2.0]), x)))(0.4)
    assert single == pytest.approx(2.0 * density(2.0, 0.4), rel=1e-14)
    with pytest.raises((InputTypeError, TypeError)):
        tg.grad(lambda x: np.sum(sc.gammainc(2.0, x * np.array([1j]))))(0.4)
    with pytest.raises((TypeError, ValueError)):
        tg.grad(lambda x: sc.gammainc(x))(0.4)


def test_shapes_that_do_not_fit_are_refused_as_scipy_does():
    kinds = [type(run(lambda x: sc.betainc(np.ones(2), np.ones(3), x), X))
             for run in (outcome, recorded_outcome)]  # fmt: skip
    assert kinds == [ValueError, ValueError]


def test_a_fractional_order_of_iv_is_constant_and_a_varying_one_refused():
    found = tg.grad(lambda x: sc.iv(0.5, x))(1.3)
    closed = np.sqrt(2.0 / (np.pi * 1.3))  # times the hyperbolic sine
    assert found == pytest.approx(closed * (np.cosh(1.3) - np.sinh(1.3) / 2.6), rel=1e-14)
    with pytest.raises(UnsupportedFunctionError, match="constant orders only"):
        tg.grad(lambda v: sc.iv(v, 1.3))(0.5)


def test_private_functions_are_recorded_and_not_listed():
    names = [name.rpartition(".")[2] for name in tg.supported() if ".special." in name]
    assert {"gammainc", "betaincinv", "stdtr", "zeta", "lambertw", "comb"} <= set(names)
    assert not any(name.startswith("_") for name in names)
    assert "real_lambertw" not in names
