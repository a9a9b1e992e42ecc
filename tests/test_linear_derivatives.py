"""NumPy's linear algebra: values beside NumPy's, derivatives beside extrapolated differences."""

import numpy as np
import pytest
from against_numpy import assert_same, outcome, recorded_outcome

import tapegrad as tg
from tapegrad.testing import check_grads

L = np.linalg
RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 2.0 * np.eye(3)
A4 = RNG.normal(size=(4, 4))
A12 = RNG.normal(size=(12, 12)) + 3.0 * np.eye(12)
A40 = RNG.normal(size=(40, 40)) + 8.0 * np.eye(40)
STACK = RNG.normal(size=(2, 3, 3)) + 2.0 * np.eye(3)
TALL, WIDE = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4))
B, B4 = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2))
REAL = np.diag([1.0, 2.0, 4.0]) @ (np.eye(3) + 0.1 * A)


def spd(a):
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1])


def exponential(a):
    w, v = L.eigh(a)
    return v @ np.diag(np.exp(w)) @ v.T


FUNCTIONS = {
    "solve": (L.solve, A, B),
    "solve for a vector": (L.solve, A, B[:, 0]),
    "solve for no side": (lambda a: np.sum(L.solve(a, np.zeros((3, 0)))) + a[0, 0], A),
    "solve stacks": (L.solve, STACK, B),
    "solve for stacks": (L.solve, A, np.stack([B, B + 1.0])),
    "solve stacks of both": (L.solve, STACK[:, None], np.stack([B, B + 1.0, B - 2.0])),
    "solve with a plain matrix": (lambda b: L.solve(A, b), B),
    "solve with a large plain matrix": (lambda b: L.solve(A40, b) ** 3, A40[:, :2]),
    "solve with plain sides": (lambda a: L.solve(a, B), A),
    "solve a half passive one": (lambda x: L.solve(np.diag(x) + np.tri(3), B), B[:, 0] + 3.0),
    "solve by LAPACK": (lambda a: L.solve(a, a[:, :2])[:3], A12),
    "inv": (L.inv, A),
    "inv of stacks": (L.inv, STACK),
    "inv by LAPACK": (lambda a: L.inv(a)[:2], A12),
    "inv of one number": (L.inv, A[:1, :1]),
    "det of one number": (L.det, A[:1, :1]),
    "det of two rows": (L.det, A[:2, :2]),
    "det of three rows": (L.det, A),
    "det": (L.det, A4),
    "det by LAPACK": (lambda a: L.det(0.3 * a), A12),
    "det of stacks": (L.det, np.stack([A4, A4.T + 0.5])),
    "slogdet": (L.slogdet, A4),
    "slogdet of stacks": (L.slogdet, STACK),
    "slogdet by LAPACK": (lambda a: L.slogdet(a)[1], A12),
    "cholesky": (lambda a: L.cholesky(spd(a)), A),
    "cholesky of stacks": (lambda a: L.cholesky(spd(a)), STACK),
    "cholesky by LAPACK": (lambda a: L.cholesky(spd(a))[-2:], A12),
    "cholesky of one number": (lambda a: L.cholesky(a * a), A[:1, :1]),
    "upper cholesky": (lambda a: L.cholesky(spd(a), upper=True), A),
    "eigh": (lambda a: L.eigh(spd(a)), A),
    "eigh of the upper triangle": (lambda a: L.eigh(a, "U"), A),
    "eigh of the lower triangle": (L.eigh, A),
    "eigh of stacks": (L.eigh, STACK),
    "eigvalsh": (L.eigvalsh, A),
    "exponential": (exponential, A),
    "eig": (L.eig, REAL),
    "eigvals": (L.eigvals, np.stack([REAL, REAL.T])),
    "svd": (lambda a: L.svd(a, full_matrices=False), TALL),
    "svd of a wide one": (lambda a: L.svd(a, full_matrices=False), WIDE),
    "svd of a square one": (L.svd, A),
    "svd of stacks": (L.svd, STACK),
    "full svd": (lambda a: (L.svd(a)[0][:, :3], L.svd(a)[1]), TALL),
    "full svd of a wide one": (lambda a: L.svd(a)[2][:3], WIDE),
    "svd of a symmetric one": (lambda a: L.svd(a, hermitian=True), A),
    "singular values": (lambda a: L.svd(a, compute_uv=False), WIDE),
    "singular values of a symmetric one":
        (lambda a: L.svd(a, compute_uv=False, hermitian=True), A),
    "svdvals": (L.svdvals, WIDE),
    "qr": (L.qr, TALL),
    "qr of a wide one": (L.qr, WIDE),
    "qr of stacks": (L.qr, STACK),
    "r": (lambda a: L.qr(a, "r"), WIDE),
    "complete qr": (lambda a: (L.qr(a, "complete")[0][:, :3], L.qr(a, "complete")[1]), TALL),
    "lstsq": (lambda a, b: L.lstsq(a, b)[:2], TALL, B4),
    "lstsq of a vector": (lambda a, b: L.lstsq(a, b[:, 0])[0], TALL, B4),
    "lstsq of a wide one": (lambda a, b: L.lstsq(a, b)[0], WIDE, B),
    "lstsq's singular values": (lambda a, b: L.lstsq(a, b)[3], TALL, B4),
    "lstsq of plain sides": (lambda a: L.lstsq(a, B4)[0], TALL),
    "lstsq of a plain matrix": (lambda b: L.lstsq(TALL, b)[:2], B4),
    "lstsq of a lower rank": (lambda a, b: L.lstsq(a @ a[:1].T @ a[:1], b)[0], TALL, B4),
    "pinv": (L.pinv, TALL),
    "pinv of a wide one": (L.pinv, WIDE),
    "pinv of stacks": (L.pinv, STACK),
    "pinv of a lower rank": (lambda a: L.pinv(a[:, :1] @ a[:1]), TALL),
    "pinv of a symmetric one": (lambda a: L.pinv(a, hermitian=True), A),
    "matrix_power": (lambda a: L.matrix_power(a, -3), A),
    "norm 2": (lambda a: L.norm(a, 2), TALL),
    "norm -2": (lambda a: L.norm(a, -2), TALL),
    "nuclear norm": (lambda a: L.norm(a, "nuc", axis=(2, 0), keepdims=True), STACK),
    "norm of stacks": (lambda a: L.norm(a, 2, axis=(-2, -1)), STACK),
    "cond": (L.cond, A),
    "cond -2": (lambda a: L.cond(a, -2), TALL),
    "cond 1": (lambda a: L.cond(a, 1), A),
    "cond of stacks": (lambda a: L.cond(a, "fro"), STACK),
    "tensorinv": (lambda a: L.tensorinv(a.reshape(2, 2, 4)), A4),
    "tensorsolve": (lambda a: L.tensorsolve(a.reshape(2, 2, 2, 2), a[:2, :2]), A4),
    "tensorsolve by axes": (lambda a: L.tensorsolve(a.reshape(2, 4, 2), a[0], axes=(0, 2)), A4),
    "multi_dot": (lambda a, b: L.multi_dot([a, b, b.T]), A, B),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_linear_algebra_is_numpys_and_so_are_its_derivatives(name):
    function, *args = FUNCTIONS[name]
    wanted = outcome(function, *args)
    assert not isinstance(wanted, Exception), wanted
    assert_same(recorded_outcome(function, *args), wanted, name, rtol=1e-11)
    check_grads(function, args, order=2)


@pytest.mark.parametrize("name", ["solve", "det", "eigh", "svd", "qr", "lstsq", "pinv", "inv"])
def test_third_derivatives_are_recorded_too(name):
    function, *args = FUNCTIONS[name]

    def loss(x):
        moved = [a + x * np.cos(a) for a in args]
        found = function(*moved)
        parts = found if isinstance(found, tuple) else [found]
        return sum(np.sum(np.sin(np.arange(np.size(p))) * np.ravel(p) ** 2) for p in parts)

    second = tg.grad(tg.grad(loss))
    h = 1e-4
    slopes = [(second(0.1 + k * h) - second(0.1 - k * h)) / (2.0 * k * h) for k in (1, 2)]
    found = tg.grad(second)(0.1)
    assert found == pytest.approx((4.0 * slopes[0] - slopes[1]) / 3.0, rel=1e-5)


def test_a_recording_is_replayed_with_other_pivots_signs_and_orders():
    def loss(a):
        w, v = L.eigh(a)
        u, s, _ = L.svd(a)
        q, r = L.qr(a)
        x = L.solve(a, np.arange(4.0))
        found = np.sum(np.sin(w) * v[0] ** 2) + np.sum(s * u[1] ** 2) + np.sum(q**2 @ r**2)
        return found + L.det(a) + np.sum(x * x)

    gradient = tg.value_and_grad(loss)
    for a in (A4, A4[::-1].copy(), -A4 + np.eye(4), A4.T @ np.diag([1.0, -5.0, 2.0, 0.1])):
        value, found = gradient(a)
        fresh = tg.value_and_grad(lambda a: loss(a))(a)
        assert value == fresh[0] == pytest.approx(loss(a), rel=1e-11)
        np.testing.assert_array_equal(found, fresh[1])
    assert len(gradient.recorded.recordings) == 1


def test_a_matrix_product_or_solution_takes_no_more_records_than_it_has_numbers():
    tape_of = tg.value_and_grad(lambda a: np.sum(L.solve(a, L.cholesky(a @ a.T))))
    tape_of(A12)
    assert len(tape_of.recorded.recordings[0].tape) < 20_000


@pytest.mark.parametrize("n", [3, 20])
def test_a_triangle_that_is_not_read_has_derivative_zero(n):
    a = RNG.normal(size=(n, n))
    a = a @ a.T + np.eye(n)
    weights = np.cos(np.arange(n * n).reshape(n, n))
    for function, is_upper in [
        (L.cholesky, False), (lambda a: L.cholesky(a, upper=True), True),
        (lambda a: L.eigh(a)[1] ** 2, False), (lambda a: L.eigh(a, "u")[1] ** 2, True),
        (lambda a: np.diag(L.eigvalsh(a)), False), (lambda a: L.pinv(a, hermitian=True), False),
    ]:  # fmt: skip
        gradient = tg.grad(lambda a, f=function: np.sum(weights * f(a)))(a)
        unread = np.tril(gradient, -1) if is_upper else np.triu(gradient, 1)
        assert not unread.any()
        assert np.all((np.triu(gradient) if is_upper else np.tril(gradient))[np.tri(n) > 0].any())


HILBERT = 1.0 / (1.0 + np.add.outer(np.arange(6.0), np.arange(6.0)))
INVERSE = np.array([[36, -630, 3360, -7560, 7560, -2772],
                    [-630, 14700, -88200, 211680, -220500, 83160],
                    [3360, -88200, 564480, -1411200, 1512000, -582120],
                    [-7560, 211680, -1411200, 3628800, -3969000, 1552320],
                    [7560, -220500, 1512000, -3969000, 4410000, -1746360],
                    [-2772, 83160, -582120, 1552320, -1746360, 698544]], float)  # fmt: skip


def test_derivatives_of_an_ill_conditioned_matrix_lose_as_many_digits_as_its_condition():
    ones = np.ones(6)
    row = INVERSE @ ones
    for function, expected in {
        (lambda a: ones @ L.solve(a, ones)): -np.outer(row, row),
        (lambda a: np.sum(L.inv(a))): -np.outer(row, row),
        (lambda a: L.slogdet(a)[1]): INVERSE,
    }.items():
        np.testing.assert_allclose(tg.grad(function)(HILBERT), expected, rtol=1e-7)
    np.testing.assert_allclose(tg.grad(L.det)(HILBERT), 5.36729988735869e-18 * INVERSE, rtol=1e-9)
    hessian = tg.hessian(lambda a: L.slogdet(a)[1])(HILBERT).reshape(36, 36)
    expected = -np.einsum("li,jk->ijkl", INVERSE, INVERSE).reshape(36, 36)
    np.testing.assert_allclose(hessian, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
