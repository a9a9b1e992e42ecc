"""Compiled forms of linear algebra, beside the same blocks in Python; what goes without SciPy."""

import ctypes
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.blocks import _FUNCTION, _pointers
from tapegrad.record.linear import lapack
from tapegrad.record.linear.determinants import Determinant, LogDeterminant
from tapegrad.record.linear.kernels import LARGEST_LOOPED
from tapegrad.record.linear.large_products import Product
from tapegrad.record.linear.positive import Cholesky
from tapegrad.record.linear.systems import Solve, SolveKnown, TriangularSolve

RNG = np.random.default_rng(2)
SIZES = [1, 2, 5, LARGEST_LOOPED, LARGEST_LOOPED + 1, 30]


def matrices(n, stack=()):
    return RNG.normal(size=(*stack, n, n)) + 2.0 * np.sqrt(n) * np.eye(n)


def spd(n, stack=()):
    a = matrices(n, stack)
    return a @ np.swapaxes(a, -1, -2)


def known(n):
    return (matrices(n).tobytes(),)


BLOCKS = {
    "solve": (Solve, lambda n: [matrices(n), RNG.normal(size=(n, 3))], ()),
    "solve for one": (Solve, lambda n: [matrices(n), RNG.normal(size=(n, 1))], ()),
    "solve a stack": (Solve, lambda n: [matrices(n, (2, 2)), RNG.normal(size=(2, 2, n, 2))], ()),
    "solve for no side": (Solve, lambda n: [matrices(n), np.zeros((n, 0))], ()),
    "solve a known one": (SolveKnown, lambda n: [RNG.normal(size=(n, 2))], known),
    "a lower triangle": (TriangularSolve, lambda n: [matrices(n), RNG.normal(size=(n, 3))], (0, 0)),
    "an upper one": (TriangularSolve, lambda n: [matrices(n), RNG.normal(size=(n, 3))], (1, 0)),
    "ones": (TriangularSolve, lambda n: [0.1 * matrices(n), RNG.normal(size=(n, 2))], (0, 1)),
    "ones above": (
        TriangularSolve,
        lambda n: [0.1 * matrices(n, (2,)), RNG.normal(size=(2, n, 2))],
        (1, 1),
    ),
    "det": (Determinant, lambda n: [matrices(n, (2,)) / n], ()),
    "slogdet": (LogDeterminant, lambda n: [matrices(n)[::-1]], ()),
    "slogdet of a stack": (LogDeterminant, lambda n: [matrices(n, (3,))], ()),
    "cholesky": (Cholesky, lambda n: [spd(n)], ()),
    "cholesky of a stack": (Cholesky, lambda n: [spd(n, (2,))], ()),
    "a product": (Product, lambda n: [RNG.normal(size=(n, 7)), RNG.normal(size=(7, n + 1))], ()),
    "products": (Product, lambda n: [matrices(n, (3,)), matrices(n, (3,))], ()),
}


def made(name, n):
    """Return a block with compiled forms, the same without, and operands."""
    kind, operands, options = BLOCKS[name]
    operands = [np.ascontiguousarray(x) for x in operands(n)]
    options = options(n) if callable(options) else tuple(map(bool, options))
    shapes, is_active = tuple(x.shape for x in operands), (True,) * len(operands)

    in_python = type(kind.__name__, (kind,), {"forms": {}})
    return kind(shapes, is_active, *options), in_python(shapes, is_active, *options), operands


def run(block, kind, reads, writes):
    """Run a function of a block as sweeps do, and return what it wrote."""
    writes = [x.copy() for x in writes]
    function, context = block.address_of(kind)
    pointers = _pointers(reads), _pointers(writes)
    assert _FUNCTION(function)(*(x.ctypes.data for x in pointers), context) == 0
    return writes


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", BLOCKS)
def test_a_compiled_form_does_what_the_formulas_say(name, n):
    compiled, python, operands = made(name, n)
    results = compiled.evaluated(operands)
    expected = python.evaluated(operands)
    is_hint = [shape in (operands[0].shape, operands[0].shape[:-1]) and k > 0
               for k, shape in enumerate(compiled.result_shapes)]  # fmt: skip
    plain = [k for k, hint in enumerate(is_hint) if not hint or type(compiled) is Product]
    for k in plain:
        np.testing.assert_allclose(results[k], expected[k], rtol=1e-10, atol=1e-12)
    adjoints = [RNG.normal(size=x.shape) if k in plain else np.zeros(x.shape)
                for k, x in enumerate(results)]  # fmt: skip
    before = [RNG.normal(size=x.shape) for x in operands]
    found = run(compiled, "pullback", [*operands, *results, *adjoints], before)
    wanted = run(python, "pullback", [*operands, *results, *adjoints], before)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)
    tangents = [RNG.normal(size=x.shape) for x in operands]
    garbage = [np.full(x.shape, np.nan) for x in results]
    found = run(compiled, "pushforward", [*operands, *results, *tangents], garbage)
    wanted = run(python, "pushforward", [*operands, *results, *tangents], garbage)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_not_active_gets_no_adjoint(name):
    kind, operands, options = BLOCKS[name]
    operands = [np.ascontiguousarray(x) for x in operands(9)]
    options = options(9) if callable(options) else tuple(map(bool, options))
    shapes = tuple(x.shape for x in operands)
    if len(shapes) == 1:
        return
    block = kind(shapes, (False, True), *options)
    results = block.evaluated(operands)
    zeros = [np.zeros(shape) for shape in shapes]
    adjoints = [np.ones(results[0].shape), *(np.zeros(x.shape) for x in results[1:])]
    found = run(block, "pullback", [*operands, *results, *adjoints], zeros)
    assert not found[0].any()
    assert found[1].any() or not found[1].size


def test_blocks_are_one_if_they_are_alike_and_survive_pickling():
    for name in BLOCKS:
        block, _, operands = made(name, 9)
        again = pickle.loads(pickle.dumps(block))
        assert again == block
        assert hash(again) == hash(block)
        found, wanted = again.evaluated(operands), block.evaluated(operands)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    assert made("solve", 9)[0] != made("solve", 5)[0]
    assert made("a lower triangle", 9)[0] != made("an upper one", 9)[0]
    assert made("det", 9)[0] != made("slogdet of a stack", 9)[0]


def test_compiled_forms_run_without_the_lock_and_beside_each_other():
    a = matrices(40)
    gradient = tg.value_and_grad(lambda a: np.sum(np.linalg.inv(a) @ a.T) + np.linalg.slogdet(a)[1])
    wanted = gradient(a)
    found = []

    def work():
        found.extend(gradient(a) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for value, slope in found:
        assert value == wanted[0]
        np.testing.assert_array_equal(slope, wanted[1])


def test_functions_of_lapack_are_found_by_name_and_by_the_kind_of_their_integers(monkeypatch):
    assert lapack.address_of("dgetrf")
    assert not lapack.address_of("dnothing")
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    make = new(("PyCapsule_New", ctypes.pythonapi))
    names = {"wide": b"void (npy_int64 *, double *)", "narrow": b"void (int *, double *)"}
    capsules = {name: make(64, text, None) for name, text in names.items()}
    monkeypatch.setattr(lapack, "_capsules", lambda module: capsules)
    find = lapack.address_of.__wrapped__  # without what it found before
    assert (find("wide"), find("narrow"), find("none")) == (0, 64, 0)


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
import numpy as np, tapegrad as tg
from tapegrad.record.linear import lapack
from tapegrad.record.linear import large_products as products
from tapegrad.testing import check_grads
assert lapack.address_of("dgetrf") == lapack.address_of("dgemm") == 0
rng, L = np.random.default_rng(0), np.linalg
for n in (3, 12, 40):
    a = rng.normal(size=(n, n)) + n**0.5 * np.eye(n)
    def loss(a):
        s = a @ a.T
        x = L.solve(L.cholesky(s), L.inv(a)[:, 0]) + L.solve(np.eye(n) * 2.0, a[0])
        return x @ x + L.slogdet(s)[1] + L.det(a / n**0.5) + np.sum(L.eigh(s)[1][:, 0] ** 4)
    check_grads(loss, (a,), order=2 if n < 40 else 1, rtol=1e-5)
    gradient = tg.value_and_grad(loss)
    for point in (a, a + 0.01, a):
        assert gradient(point)[0] == tg.value_and_grad(lambda a: loss(a))(point)[0]
b = np.ones((20, 20)); b[3, 4] = np.inf
gradient = tg.grad(lambda a: np.sum(np.where(np.arange(20) == 4, 0.0, a @ b)))(np.eye(20))
assert np.isfinite(gradient).all()
for singular in (np.zeros((3, 3)), np.zeros((20, 20))):
    try:
        tg.grad(lambda a: np.sum(L.inv(a)))(singular)
    except L.LinAlgError:
        print("raised")
"""


def test_numpys_names_work_without_scipy():
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_SCIPY], capture_output=True, text=True
    )
    assert found.stdout == "raised\nraised\n", found.stderr
