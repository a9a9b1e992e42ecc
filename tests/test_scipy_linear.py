"""scipy.linalg's functions: values, first and second derivatives, ties, what can't be solved."""

from __future__ import annotations

import pickle

import mpmath
import numpy as np
import pytest
import scipy.linalg as la
from scipy_linear_cases import CASES, I4, spd, weighted

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import extrapolated_difference

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 4))
D = RNG.normal(size=(4, 4))

NAMED = [(name, k) for name, cases in CASES.items() for k in range(len(cases))]


def test_every_function_with_a_rule_is_called():
    names = {n.removeprefix("scipy.linalg.") for n in tg.supported() if n.startswith("scipy.lin")}
    assert names == set(CASES)


@pytest.mark.filterwarnings("ignore:.*`sqrtm`:DeprecationWarning")
@pytest.mark.parametrize(("name", "k"), NAMED)
def test_values_and_first_derivatives_both_ways_are_right(name, k):
    f = CASES[name][k]
    value, gradient = tg.value_and_grad(f, compile="never")(A)
    assert value == pytest.approx(f(A), rel=1e-12)
    slope = tg.jvp(f, (A,), (D,))[1]
    wanted, error = extrapolated_difference(lambda t: np.array([f(A + t * D)]), 0.004)
    assert slope == pytest.approx(wanted[0], rel=1e-8, abs=1e-9 + 10 * error[0])
    assert np.sum(gradient * D) == pytest.approx(slope, rel=1e-10, abs=1e-11)


@pytest.mark.parametrize(("name", "k"), NAMED)
def test_second_derivatives_are_differences_of_first_ones(name, k):
    f = CASES[name][k]
    gradient = tg.grad(f, compile="never")
    found = tg.hvp(f)(A, D)
    wanted, error = extrapolated_difference(lambda t: gradient(A + t * D).ravel(), 0.004)
    size = 1.0 + np.abs(wanted).max()
    assert np.abs(found.ravel() - wanted).max() <= 1e-7 * size + 10 * error.max()


@pytest.mark.parametrize("name", ["solve", "expm", "eigh", "cholesky", "solve_sylvester"])
def test_third_derivatives_are_differences_of_second_ones(name):
    f = CASES[name][0]

    def along(t):
        return f(A + t * D)

    second = tg.grad(tg.grad(along))
    wanted, _ = extrapolated_difference(lambda t: np.array([second(t)]), 0.01)
    assert tg.grad(second)(0.0) == pytest.approx(wanted[0], rel=1e-6)


def test_an_ill_conditioned_solution_has_the_derivative_of_multiple_precision():
    n = 6
    hilbert = la.hilbert(n)
    x = np.linspace(1.0, 2.0, n)
    gradient = tg.grad(lambda d: np.sum(la.solve(hilbert + np.diag(d), x)))(np.zeros(n))
    with mpmath.workdps(60):
        exact = mpmath.matrix(hilbert.tolist())
        solution = mpmath.lu_solve(exact, mpmath.matrix(x.tolist()))
        adjoint = mpmath.lu_solve(exact, mpmath.ones(n, 1))
        wanted = [-float(adjoint[i] * solution[i]) for i in range(n)]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-8)


def test_an_exponential_has_the_derivative_of_multiple_precision():
    gradient = tg.grad(lambda a: la.expm(a)[0, 1])(A)
    with mpmath.workdps(40):
        step = mpmath.mpf(10) ** -15

        def value(i, j, h):
            moved = mpmath.matrix(A.tolist())
            moved[i, j] += h
            return mpmath.expm(moved)[0, 1]

        wanted = [[float((value(i, j, step) - value(i, j, -step)) / (2 * step)) for j in range(4)]
                  for i in range(4)]  # fmt: skip
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12)


# --- ties ------------------------------------------------------------------------------------


def test_functions_of_tied_eigenvalues_alone_are_exact():
    assert np.array_equal(tg.grad(lambda a: np.sum(la.eigvalsh(a) ** 2))(I4), 2 * I4)
    assert np.array_equal(tg.grad(lambda a: np.sum(la.eigh(a)[0] ** 3))(2 * I4), 12 * I4)
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(la.svdvals(a) ** 2))(I4), 2 * I4)
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(la.svd(a)[1] ** 2))(I4), 2 * I4)
    pencil = tg.grad(lambda b: np.sum(la.eigvalsh(I4, b)))(I4)
    np.testing.assert_allclose(np.diagonal(pencil), -1.0)


def test_vectors_of_a_tie_have_no_derivative():
    def exponential(a):
        w, v = la.eigh(a)
        return weighted((v * np.exp(w)) @ v.T)

    lower = np.tri(4, k=-1, dtype=bool)
    assert np.isnan(tg.grad(exponential)(I4)[lower]).all()
    # Nothing but the tie's own directions is asked of this, and still it's no zero.
    assert np.isnan(tg.grad(lambda a: la.eigh(a)[1][0, 0])(I4)[lower]).all()
    assert np.isnan(tg.jvp(exponential, (I4,), (D + D.T,))[1])
    assert np.isnan(tg.grad(lambda a: la.svd(a)[0][0, 0])(I4)).any()
    assert np.isnan(tg.hvp(exponential)(I4, D)).any()


def test_vectors_beside_a_tie_have_their_derivatives():
    point = np.diag([1.0, 1.0, 3.0])
    gradient = tg.grad(lambda a: la.eigh(a)[1][2, 2] * la.eigh(a)[1][0, 2])(point)
    np.testing.assert_allclose(gradient[2, 0], 0.5)
    assert np.isfinite(gradient).all()


def test_vectors_that_only_complete_others_are_refused():
    tall = A[:, :2]
    with pytest.raises(UnsupportedFunctionError, match="full_matrices=False"):
        tg.grad(lambda a: la.svd(a)[0][0, 3])(tall)
    with pytest.raises(UnsupportedFunctionError, match="full_matrices=False"):
        tg.grad(lambda a: la.svd(a)[2][3, 0])(tall.T)
    with pytest.raises(UnsupportedFunctionError, match="mode='economic'"):
        tg.grad(lambda a: la.qr(a)[0][0, 3])(tall)
    assert np.isnan(tg.jvp(lambda a: la.qr(a)[0][0, 3], (tall,), (tall,))[1])


def test_eigenvectors_have_the_signs_that_scipy_finds_for_them():
    rng = np.random.default_rng(0)
    for n in (3, 4, 5, 6):
        for k in range(n):
            a = rng.normal(size=(n, n))

            def vectors(a, k=k):
                found = [
                    la.eigh(a, subset_by_index=[k, k])[1],
                    la.eigh(a, lower=False, driver=("ev", "evd", "evr", "evx")[k % 4])[1],
                    la.eigh(a, a @ a.T + np.eye(len(a)), lower=False)[1],
                    *la.svd(a, lapack_driver="gesvd")[::2], *la.qr(a),
                ]  # fmt: skip
                return sum(np.sum(part.T @ (1.0 + a[0])) for part in found)

            assert tg.value_and_grad(vectors)(a)[0] == pytest.approx(vectors(a), rel=1e-10)


# --- singular matrices -------------------------------------------------------------------------


def test_a_singular_matrix_has_a_determinants_derivative():
    rank_one = np.outer([1.0, 2.0], [3.0, 4.0])
    np.testing.assert_allclose(tg.grad(la.det)(rank_one), [[8.0, -6.0], [-4.0, 3.0]])
    assert np.array_equal(tg.grad(la.det)(np.zeros((3, 3))), np.zeros((3, 3)))
    np.testing.assert_allclose(tg.grad(la.det)(np.diag([1.0, 0.0, 2.0])), np.diag([0.0, 2.0, 0.0]))


FAILING = {
    "solve": (lambda a: np.sum(la.solve(a, np.ones(2))), np.ones((2, 2))),
    "solve pos": (lambda a: np.sum(la.solve(a, np.ones(2), assume_a="pos")), -np.eye(2)),
    "solve sym": (lambda a: np.sum(la.solve(a, np.ones(2), assume_a="sym")), np.zeros((2, 2))),
    "solve diagonal": (lambda a: np.sum(la.solve(a, a[0], assume_a="diagonal")), np.zeros((2, 2))),
    "inv": (lambda a: np.sum(la.inv(a)), np.ones((2, 2))),
    "cholesky": (lambda a: np.sum(la.cholesky(a)), -np.eye(2)),
    "triangular": (lambda a: np.sum(la.solve_triangular(a, np.ones(2))), np.zeros((2, 2))),
    "banded": (lambda a: np.sum(la.solve_banded((0, 1), a, a[0])), np.zeros((2, 2))),
    "positive band": (lambda a: np.sum(la.solveh_banded(a, a[0])), -np.ones((2, 2))),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_has_no_solution_raises_numpys_error_at_the_users_line(name):
    function, singular = FAILING[name]
    derivative = tg.value_and_grad(function)
    with pytest.raises(np.linalg.LinAlgError):
        derivative(singular)
    good = np.array([[1.0, 2.0], [5.0, 9.0]]) if "band" in name else np.array([[4.0, 1], [1, 3.0]])
    value, gradient = derivative(good)
    with pytest.raises(np.linalg.LinAlgError) as caught:  # at a replay
        derivative(singular)
    frames = [frame.lineno for frame in caught.traceback if str(frame.path) == __file__]
    assert function.__code__.co_firstlineno - 1 in frames
    again = derivative(good)
    assert again[0] == value
    assert np.array_equal(again[1], gradient)


@pytest.mark.parametrize("name", ["solve pos", "cholesky", "triangular", "banded", "positive band"])
def test_what_is_done_instead_of_a_solution_holds_only_where_there_is_none(name):
    function, singular = FAILING[name]

    def safe(a):
        try:
            return function(a)
        except np.linalg.LinAlgError:
            return np.sum(2.0 * a)

    derivative = tg.value_and_grad(safe)
    good = np.array([[1.0, 2.0], [5.0, 9.0]]) if "band" in name else np.array([[4.0, 1], [1, 3.0]])
    for point in (singular, good, singular):
        assert derivative(point)[0] == pytest.approx(safe(point))


def test_a_solution_without_a_right_digit_warns_as_scipys_does():
    nearly = np.array([[1.0, 1.0], [1.0, 1.0 + 2e-16]])
    with pytest.warns(la.LinAlgWarning, match="Ill-conditioned matrix") as caught:
        tg.grad(lambda a: np.sum(la.solve(a, np.ones(2))))(nearly)
    assert caught[0].filename == __file__


def test_the_riccati_solution_that_scipy_spoils_is_refused():
    e = A.T @ A / 50 + I4
    q, r = 9 * spd(A), 9 * spd(A)[:2, :2]

    def solved(a, balanced):
        return weighted(la.solve_continuous_are(a, a[:, :2], q, r, e, balanced=balanced))

    if abs(solved(A, True) - solved(A, False)) > 1e-6:
        with pytest.raises(np.linalg.LinAlgError, match="write balanced=False"):
            tg.grad(lambda a: solved(a, True))(A)
    wanted, _ = extrapolated_difference(lambda t: np.array([solved(A + t * D, False)]), 0.004)
    slope = np.sum(tg.grad(lambda a: solved(a, False))(A) * D)
    assert slope == pytest.approx(wanted[0], rel=1e-6)


# --- replays -----------------------------------------------------------------------------------


def test_pivots_and_ranks_are_guarded():
    def factors(a):
        p, lower, upper = la.lu(a)
        packed, pivots = la.lu_factor(a)
        _, r, columns = la.qr(a, pivoting=True)
        return weighted(p @ lower, upper, packed, r) + pivots[0] + columns[0]

    def inverse(a):
        found, rank = la.pinv(a, return_rank=True)
        return weighted(found) + rank

    full, swapped = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 6.0], [5.0, 2.0]])
    for function, points in ((factors, (full, swapped)), (inverse, (full, np.ones((2, 2))))):
        derivative = tg.value_and_grad(function)
        for point in points + points:
            assert derivative(point)[0] == pytest.approx(function(point), rel=1e-12)
        assert len(derivative.recorded.recordings) == 2


def test_operands_may_be_passive_half_passive_and_of_nested_recordings():
    b = np.array([1.0, 2.0])

    def half(x):
        a = np.array([[4.0, x[0]], [1.0, 3.0]])
        return la.solve(a, b)[0] * la.solve([[2.0, 0.0], [0.0, x[1]]], [x[0], 1.0])[1]

    gradient = tg.grad(half)(b)
    # (3 - 2 x0) / (12 - x0) * 1 / x1
    np.testing.assert_allclose(gradient, [-21.0 / 121.0 / 2.0, -1.0 / 11.0 / 4.0])

    def inner(s):
        return tg.grad(lambda t: np.sum(la.solve(t * s * np.eye(2), np.array([1.0, s]))))(2.0)

    assert inner(3.0) == pytest.approx(-4.0 / 12.0)  # of (1 + s) / (s t)
    assert tg.grad(inner)(3.0) == pytest.approx(1.0 / 36.0)


def test_matrices_of_no_rows_are_solved():
    def empty(a):
        return (np.sum(la.solve(a, a[:, 0:0])) + np.sum(la.inv(a)) + np.sum(la.cholesky(a))
                + np.sum(la.expm(a)) + la.det(a) + np.sum(la.svd(a)[1]) + np.sum(la.eigh(a)[0])
                + np.sum(la.pinv(a)) + np.sum(la.lu_factor(a)[0]))  # fmt: skip

    value, gradient = tg.value_and_grad(empty)(np.zeros((0, 0)))
    assert value == 1.0
    assert gradient.shape == (0, 0)


def test_blocks_are_pickled_with_their_tape():
    derivative = tg.value_and_grad(CASES["solve"][0])
    derivative(A)
    tape = derivative.recorded.recordings[0].tape
    tg.check(tape)
    assert pickle.loads(pickle.dumps(tape.blocks)) == tape.blocks
