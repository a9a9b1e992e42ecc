"""Where linear algebra has no value or no derivative: singular, tied, complex, empty matrices."""

import traceback

import numpy as np
import pytest
from against_numpy import outcome

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

L = np.linalg
RNG = np.random.default_rng(1)
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
GOOD = np.array([[2.0, 0.5], [0.5, 1.0]])
ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])


def larger(a, n=12):
    """The same matrix as a block of one that LAPACK works on."""
    found = np.eye(n)
    found[:2, :2] = a
    return found


# --- no value ----------------------------------------------------------------------------------

FAILING = {
    "solve": (lambda a: np.sum(L.solve(a, np.ones(len(a)))), SINGULAR, L.LinAlgError, "Singular"),
    "inv": (lambda a: np.sum(L.inv(a)), SINGULAR, L.LinAlgError, "Singular"),
    "cholesky": (
        lambda a: np.sum(L.cholesky(a)),
        INDEFINITE,
        L.LinAlgError,
        "not positive definite",
    ),
}


@pytest.mark.parametrize("grow", [lambda a: a, larger], ids=["loops", "LAPACK"])
@pytest.mark.parametrize("name", FAILING)
def test_what_has_no_value_raises_at_the_users_line_when_recorded_and_when_replayed(name, grow):
    function, bad, kind, text = FAILING[name]

    def program(a):
        return function(a)  # the line

    gradient = tg.value_and_grad(program)
    for a in (bad, GOOD, bad, GOOD):
        if a is GOOD:
            assert gradient(grow(a))[0] == pytest.approx(function(grow(a)), rel=1e-12)
            continue
        with pytest.raises(kind, match=text) as caught:
            gradient(grow(a))
        lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert "return function(a)  # the line" in lines


def test_what_a_program_does_where_there_is_no_value_holds_only_there():
    def program(a):
        try:
            return np.sum(L.cholesky(a) ** 2)
        except L.LinAlgError:
            return 7.0 * a[0, 0]

    gradient = tg.grad(program)
    for _ in range(2):
        np.testing.assert_allclose(gradient(INDEFINITE), [[7.0, 0.0], [0.0, 0.0]])
        np.testing.assert_allclose(gradient(GOOD), [[1.0, 0.0], [0.0, 1.0]], atol=1e-15)
    assert len(gradient.recorded.recordings) == 2


def test_condition_numbers_of_singular_matrices_are_infinite_only_there():
    gradient = tg.value_and_grad(lambda a: L.cond(a, 1) + a[0, 0])
    assert gradient(SINGULAR)[0] == np.inf
    assert gradient(GOOD)[0] == pytest.approx(L.cond(GOOD, 1) + 2.0)
    with pytest.raises(L.LinAlgError, match="empty"):
        tg.grad(lambda x: L.cond(x * np.zeros((0, 0))))(1.0)


@pytest.mark.parametrize("function", [
    L.solve, lambda a, b: L.inv(a), lambda a, b: L.det(a), lambda a, b: L.slogdet(a),
    lambda a, b: L.cholesky(a), lambda a, b: L.eigh(a), lambda a, b: L.eig(a),
    lambda a, b: L.lstsq(a[None], b), lambda a, b: L.lstsq(a, b), lambda a, b: L.svd(b),
    lambda a, b: L.qr(b), lambda a, b: L.eigh(a[:, :2], "W"), lambda a, b: L.qr(a, "wrong"),
    lambda a, b: L.pinv(a, 0.1, rtol=0.1),
])  # fmt: skip
def test_what_numpy_refuses_is_refused_in_a_recording(function):
    a, b = RNG.normal(size=(3, 2)), RNG.normal(size=4)
    wanted = outcome(function, a, b)
    assert isinstance(wanted, ValueError)
    with pytest.raises(type(wanted)):
        tg.grad(lambda a: np.sum(function(a, b)[0]))(a)


def test_reflectors_are_refused_by_name():
    with pytest.raises(UnsupportedFunctionError, match=r"mode='raw'.*'reduced', 'complete' or 'r'"):
        tg.grad(lambda a: L.qr(a, "raw")[0][0, 0])(GOOD)


# --- a singular determinant -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_determinants_of_singular_matrices_have_first_and_second_derivatives(n, rank):
    left, right = RNG.normal(size=(n, max(n - rank, 0))), RNG.normal(size=(max(n - rank, 0), n))
    check_grads(L.det, (left @ right,), order=2, atol=1e-7)


def test_a_determinant_beyond_the_range_of_its_factors():
    diagonal = np.array([1e200, 1e200, 1e-200, 1e-200, 3.0])
    value, gradient = tg.value_and_grad(lambda x: L.det(np.diag(x)))(diagonal)
    assert value == pytest.approx(3.0, rel=1e-13)
    np.testing.assert_allclose(gradient, 3.0 / diagonal, rtol=1e-12)


def test_the_logarithm_of_zero_has_no_derivative():
    (value, sign), gradient = tg.value_and_grad(lambda a: L.slogdet(a)[::-1], has_aux=True)(
        SINGULAR
    )
    assert (sign, value) == (0.0, -np.inf)
    assert np.isnan(gradient).all()


# --- ties --------------------------------------------------------------------------------------

ROTATED = L.qr(RNG.normal(size=(4, 4)))[0]
TIED = ROTATED @ np.diag([1.0, 2.0, 2.0, 5.0]) @ ROTATED.T
TIED = 0.5 * (TIED + TIED.T)


@pytest.mark.parametrize("a", [np.eye(4), np.zeros((4, 4)), TIED], ids=["one", "zero", "two"])
def test_functions_of_tied_eigenvalues_alone_are_exact(a):
    def cubes(a):
        return np.sum(L.eigvalsh(a) ** 3)

    np.testing.assert_allclose(
        tg.grad(cubes)(a),
        3.0 * np.tril(a @ a, -1) * 2.0 + 3.0 * np.diag(np.diag(a @ a)),
        atol=1e-12,
    )
    direction = np.tri(4) * 0.3
    whole = direction + direction.T - np.diag(np.diag(direction))
    moved = tg.jvp(lambda a: np.sum(L.eigh(a)[0] ** 3), (a,), (direction,))[1]
    assert moved == pytest.approx(3.0 * np.trace(a @ a @ whole), abs=1e-12)
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(L.svdvals(a) ** 2))(a), 2.0 * a, atol=1e-12)


@pytest.mark.parametrize("a", [np.eye(4), TIED], ids=["one", "two"])
def test_an_adjoint_that_reaches_vectors_of_a_cluster_is_nan_and_never_zero(a):
    def exponential(a):
        w, v = L.eigh(a)
        return v @ np.diag(np.exp(w)) @ v.T

    def by_singular_values(a):
        u, s, vt = L.svd(a)
        return u @ np.diag(np.exp(s)) @ vt

    for function in (exponential, by_singular_values):
        gradient = tg.grad(lambda a, f=function: np.sum(np.tri(4) * f(a)))(a)
        assert np.isnan(gradient).any()
        moved = tg.jvp(function, (a,), (np.ones((4, 4)),))[1]
        assert np.isnan(moved).any()
    hessian = tg.hessian(lambda a: np.sum(np.exp(L.eigvalsh(a))))(a)
    assert np.isnan(hessian).any()
    # One vector is asked of, in the cluster's own direction.
    for function in (lambda a: L.eigh(a)[1][1, 1], lambda a: L.svd(a)[0][1, 1]):
        assert np.isnan(tg.grad(function)(a)).any()


def test_vectors_outside_of_a_cluster_have_their_derivatives():
    def lowest(a):
        return L.eigh(a)[1][:, 0] ** 2

    def highest(a):
        return L.svd(a)[0][:, 0] * L.svd(a)[2][0]

    for function in (lowest, highest):
        check_grads(function, (TIED,), order=1, rtol=1e-5)


def test_vectors_that_complete_a_basis_are_arbitrary():
    a = RNG.normal(size=(4, 2))
    for function in (lambda a: L.svd(a)[0], lambda a: L.qr(a, "complete")[0],
                     lambda a: L.svd(a.T)[2].T):  # fmt: skip
        assert np.isnan(tg.grad(lambda a, f=function: np.sum(f(a)[:, 3]))(a)).all()
        assert np.isfinite(tg.grad(lambda a, f=function: np.sum(f(a)[:, 1]))(a)).all()


def test_a_defective_matrix_has_no_derivative_of_its_eigenvalues():
    gradient = tg.grad(lambda a: L.eigvals(a)[0] ** 2)(np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert np.isnan(gradient).all()


def test_the_nuclear_norm_of_zero_has_the_derivative_of_a_size_at_zero():
    value, gradient = tg.value_and_grad(lambda x: L.norm(np.outer(x, x), "nuc"))(np.array([3.0, 4]))
    assert value == pytest.approx(25.0)
    np.testing.assert_allclose(gradient, [6.0, 8.0], atol=1e-7)


# --- ranks -------------------------------------------------------------------------------------


def test_a_rank_is_guarded():
    b = np.array([1.0, 2.0, 4.0])

    def pseudo(x):
        return np.sum(L.pinv(np.array([[1.0, 1.0], [1.0, x], [2.0, 2.0]])) @ b)

    def squares(x):
        found, left, rank, _ = L.lstsq(np.array([[1.0, 1.0], [1.0, x], [2.0, 2.0]]), b)
        return np.sum(found) * rank + np.sum(left)

    def scaled(x):
        a = np.array([[1.0, 1.0], [1.0, x], [2.0, 2.0]])
        return x * L.matrix_rank(a) + x * np.sum(L.matrix_rank(np.stack([a, a * 0.0])))

    for function in (pseudo, squares, scaled):
        gradient = tg.value_and_grad(function)
        for x in (3.0, 1.0, 2.0, 1.0):
            value, slope = gradient(x)
            assert value == pytest.approx(function(x), rel=1e-12)
            if x != 1.0:
                h = 1e-5
                assert slope == pytest.approx(
                    (function(x + h) - function(x - h)) / (2 * h), 1e-6, 1e-8
                )
        assert len(gradient.recorded.recordings) == 2


def test_cutoffs_count_where_they_are_given():
    a = np.diag([1.0, 0.1, 0.01])
    for function in (lambda a: L.pinv(a, 0.05), lambda a: L.pinv(a, rtol=0.05),
                     lambda a: L.lstsq(a, np.eye(3), rcond=0.05)[0]):  # fmt: skip
        np.testing.assert_allclose(
            tg.jacobian(lambda x, f=function: np.diag(f(a * x)))(1.0),
            [-1.0, -10.0, 0.0],
            atol=1e-12,
        )
    ranks = tg.value_and_grad(lambda a: (np.sum(L.pinv(a, [0.5, 0.001])), 0), has_aux=True)
    value = ranks(np.stack([a, a]))[0][0]
    assert value == pytest.approx(1.0 + 111.0)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_cutoffs_that_leave_out_what_is_not_zero_are_differentiated_as_they_are(shape):
    left, _, right = L.svd(RNG.normal(size=shape), full_matrices=False)
    a = left @ np.diag([2.0, 1.0, 0.3]) @ right
    b = RNG.normal(size=(shape[0], 2))
    check_grads(lambda a: L.pinv(a, 0.4), (a,), order=2)
    check_grads(lambda a: L.pinv(np.stack([a, a * 2.0]), [0.4, 0.1]), (a,), order=1)
    check_grads(lambda a, b: L.lstsq(a, b, rcond=0.4)[::3], (a, b), order=2)
    gradient = tg.grad(lambda a: np.sum(L.pinv(a, 0.4) ** 3))
    for third in (0.3, 0.9, 0.0, 0.3):
        point = left @ np.diag([2.0, 1.0, third]) @ right
        fresh = tg.grad(lambda a: np.sum(L.pinv(a, 0.4) ** 3))(point)
        np.testing.assert_allclose(gradient(point), fresh, rtol=1e-9, atol=1e-12)


# --- empty -------------------------------------------------------------------------------------


def test_empty_matrices_have_numpys_values_and_no_derivative():
    empty = {
        "solve": lambda x: L.solve(np.zeros((0, 0)) * x, np.zeros((0, 2)) * x),
        "inv": lambda x: L.inv(np.zeros((2, 0, 0)) * x),
        "det": lambda x: L.det(np.zeros((0, 0)) * x),
        "slogdet": lambda x: L.slogdet(np.zeros((0, 0)) * x),
        "cholesky": lambda x: L.cholesky(np.zeros((0, 0)) * x),
        "eigh": lambda x: L.eigh(np.zeros((0, 0)) * x),
        "eig": lambda x: L.eig(np.zeros((0, 0)) * x),
        "svd": lambda x: L.svd(np.zeros((0, 3)) * x),
        "svdvals": lambda x: L.svdvals(np.zeros((3, 0)) * x),
        "qr": lambda x: L.qr(np.zeros((3, 0)) * x),
        "pinv": lambda x: L.pinv(np.zeros((0, 3)) * x),
        "lstsq": lambda x: L.lstsq(np.zeros((3, 0)) * x, np.zeros((3, 2)))[0],
        "a stack of none": lambda x: L.inv(np.zeros((0, 2, 2)) * x),
    }
    for name, function in empty.items():
        shapes = []

        def program(x, function=function, shapes=shapes):
            shapes[:] = shapes_of(function(x))
            return x * x

        assert tg.grad(program)(3.0) == 6.0
        assert shapes == shapes_of(function(1.0)), name


def shapes_of(found):
    return [np.shape(part) for part in (found if isinstance(found, tuple) else [found])]


# --- mixed -------------------------------------------------------------------------------------


def test_blocks_mix_with_scalar_code_and_guards():
    def filtered(x):
        mean, covariance, total = np.zeros(2), np.eye(2), 0.0
        for k in range(6):
            covariance = covariance + np.array([[0.1 * x[0], 0.0], [0.0, 0.2]])
            residual = np.array([np.sin(k), np.cos(k)]) - mean
            gain = L.solve(covariance + x[1] * np.eye(2), covariance).T
            if residual[0] > x[2]:
                mean = mean + gain @ residual
            total = total + residual @ L.inv(covariance) @ residual + L.slogdet(covariance)[1]
            covariance = covariance - gain @ covariance
        return total

    gradient = tg.grad(filtered)
    for x in ([1.0, 0.5, 0.1], [0.3, 0.7, -0.2], [1.0, 0.5, 0.1]):
        x = np.array(x)
        check_grads(filtered, (x,), order=1)
        fresh = tg.grad(lambda x: filtered(x))(x)
        np.testing.assert_allclose(gradient(x), fresh, rtol=1e-12)
