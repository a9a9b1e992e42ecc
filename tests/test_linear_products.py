"""Products of matrices that are blocks: large ones of which each number is used often."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.record.linear import large_products as products
from tapegrad.testing import check_grads

RNG = np.random.default_rng(3)
A, B, C = RNG.normal(size=(16, 17)), RNG.normal(size=(17, 20)), RNG.normal(size=(3, 16, 17))


def tape_of(function, *args):
    derivative = tg.value_and_grad(function, argnums=tuple(range(len(args))))
    derivative(*args)
    return derivative.recorded.recordings[0].tape


LARGE = {
    "@": (lambda a, b: a @ b, A, B),
    "of a view": (lambda a, b: a[::-1].T.copy().T @ b, A, B),
    "dot": (np.dot, A, B),
    "a stack by a matrix": (lambda a, b: a @ b, C, B),
    "a matrix by a stack": (lambda a, b: a @ b, A, np.stack([B, B + 1.0])),
    "stacks": (lambda a, b: a @ b, C[:, None], np.stack([B, B + 1.0])),
    "tensordot": (lambda a, b: np.tensordot(a, b, 1), C, B),
    "einsum": (lambda a, b: np.einsum("nij,jk->kin", a, b), C, B),
    "einsum of stacks": (lambda a: np.einsum("nij,nkj->nik", a, a), C),
    "multi_dot": (lambda a, b: np.linalg.multi_dot([a, b, np.ones((20, 18))]), A, B),
    "matrix_power": (lambda a: np.linalg.matrix_power(a[:, :16], 3), A),
    "by a plain matrix": (lambda a: a @ B, A),
    "of a plain matrix": (lambda b: A @ b, B),
    "half passive": (lambda a: np.concatenate([a, np.ones((4, 17))]) @ B, A),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_product_is_one_block_a_call(name):
    function, *args = LARGE[name]
    wanted = function(*args)
    tape = tape_of(lambda *args: np.sum(np.cos(np.arange(wanted.size)) * function(*args).ravel()),
                   *args)  # fmt: skip
    assert {block.title for block in tape.blocks} == {"matmul"}
    assert len(tape) < 20_000
    found = []

    def keep(*args):
        found[:] = [function(*args)]
        return np.sum(found[0] ** 2)

    tg.grad(lambda *args: (keep(*args), found.append(np.array(found[0].primal)))[0])(*args)
    np.testing.assert_allclose(found[1], wanted, rtol=1e-12, atol=1e-12)
    check_grads(function, args, order=2)


SMALL = {
    "small matrices": (lambda a: a[:8, :8] @ B[:8, :8], A),
    "a vector": (lambda a: a @ np.ones(500), RNG.normal(size=(40, 500))),
    "vectors": (lambda a: a @ a, RNG.normal(size=5000)),
    "thin matrices": (lambda a: a @ np.ones((3, 3)), RNG.normal(size=(500, 3))),
    "stacks of small ones": (lambda a: a @ a, RNG.normal(size=(100, 4, 4))),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_product_that_uses_each_number_a_few_times_is_records(name):
    function, *args = SMALL[name]
    assert tape_of(lambda *args: np.sum(function(*args)), *args).blocks == ()


def test_replays_agree_with_recordings_made_there():
    gradient = tg.value_and_grad(lambda a: np.sum(np.tanh(a @ B) ** 2))
    for a in (A, 2.0 * A, A[::-1].copy()):
        value, found = gradient(a)
        fresh = tg.value_and_grad(lambda a: np.sum(np.tanh(a @ B) ** 2))(a)
        assert value == fresh[0]
        np.testing.assert_array_equal(found, fresh[1])


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_an_adjoint_of_zero_contributes_zero_as_in_records(wrong, monkeypatch):
    b = B.copy()
    b[3, 5] = wrong

    def chosen(a, b):
        return np.sum(np.where(np.arange(20) == 5, 0.0, a @ b) ** 2)

    def turned(a, b):
        return np.sum(np.where(np.arange(20)[:, None] == 5, 0.0, b.T @ a.T) ** 2)

    for function in (chosen, turned):
        found = tg.grad(function, argnums=(0, 1))(A, b)
        moved = tg.jvp(function, (A, b), (np.eye(16, 17), np.eye(17, 20)))[1]
        assert np.isfinite(found[0]).all()
        with monkeypatch.context() as patched:
            patched.setattr(products, "LEAST_MULTIPLICATIONS", 10**9)
            wanted = tg.grad(function, argnums=(0, 1))(A, b)
            same = tg.jvp(function, (A, b), (np.eye(16, 17), np.eye(17, 20)))[1]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
        assert moved == pytest.approx(same, rel=1e-11, nan_ok=True)
