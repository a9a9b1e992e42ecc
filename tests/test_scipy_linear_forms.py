"""How functions of SciPy's are reached, what passive calls of theirs give, and what is refused."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import scipy
import scipy.linalg
import scipy.linalg as sla
import scipy.sparse
import scipy.sparse.linalg
from scipy.linalg import solve

import tapegrad as tg
from tapegrad.errors import InputTypeError, LostDerivativeError, UnsupportedFunctionError

A = np.array([[3.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 5.0]])
X = np.array([1.0, 2.0, 3.0])
WANTED = np.linalg.solve(A.T, np.ones(3))
MATRIX = scipy.sparse.csc_array(A)
WAS_REPLACED = isinstance(vars(scipy.sparse.linalg.SuperLU)["solve"], types.FunctionType)
FACTORS, SOLVER = scipy.sparse.linalg.splu(MATRIX), scipy.sparse.linalg.factorized(MATRIX)

LISTED, NAMED = [sla.solve], {"solve": solve}
KEYWORDS = {"assume_a": "pos"}
PARTIAL = functools.partial(solve, A)

PARTIAL_SOLVER = functools.partial(SOLVER)


class Problem:
    solved_by = staticmethod(sla.solve)

    def __init__(self):
        self.function, self.factors, self.matrix = solve, FACTORS, MATRIX

    def by_attribute(self, x):
        return np.sum(self.function(A, x))

    def by_class(self, x):
        return np.sum(Problem.solved_by(A, x))

    def by_factors(self, x):
        return np.sum(self.factors.solve(x))

    def __call__(self, x):
        return np.sum(scipy.sparse.linalg.spsolve(self.matrix, x))


def default(x, function=solve):
    return np.sum(function(A, x))


def enclosed():
    inner, module = solve, sla

    def function(x):
        return 0.5 * np.sum(inner(A, x)) + 0.5 * np.sum(module.solve(A, x))

    return function


def imported(x):
    import scipy.linalg as again
    from scipy.linalg import solve as renamed

    return 0.5 * np.sum(renamed(A, x)) + 0.5 * np.sum(again.solve(A, x))


WAYS = {
    "a name": lambda x: np.sum(solve(A, x)),
    "an attribute": lambda x: np.sum(sla.solve(A, x)),
    "a long name": lambda x: np.sum(scipy.linalg.solve(A, x)),
    "a list": lambda x: np.sum(LISTED[0](A, x)),
    "a loop": lambda x: sum(np.sum(function(A, x)) for function in LISTED),
    "a dictionary": lambda x: np.sum(NAMED["solve"](A, x)),
    "a partial": lambda x: np.sum(PARTIAL(x)),
    "a partial of a map": lambda x: sum(np.sum(part) for part in map(PARTIAL, [x])),
    "getattr": lambda x: np.sum(getattr(sla, "sol" + "ve")(A, x)),
    "keywords": lambda x: np.sum(solve(b=x, a=A)),
    "stars": lambda x: np.sum(solve(*(A, x), **KEYWORDS)),
    "a default": default,
    "a closure": enclosed(),
    "an import": imported,
    "an object's attribute": Problem().by_attribute,
    "a class's attribute": Problem().by_class,
    "lists for arrays": lambda x: np.sum(solve(A.tolist(), [x[0], x[1], x[2]])),
    "factors": lambda x: np.sum(FACTORS.solve(x)),
    "an object's factors": Problem().by_factors,
    "an object": Problem(),
    "a solver made before": lambda x: np.sum(SOLVER(x)),
    "a partial of it": lambda x: np.sum(PARTIAL_SOLVER(x)),
    "a solver made inside": lambda x: np.sum(scipy.sparse.linalg.factorized(MATRIX)(x)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_function_is_recognised_however_it_is_reached(way):
    np.testing.assert_allclose(tg.grad(WAYS[way])(X), WANTED, rtol=1e-14)


def test_passive_calls_are_scipys_own_to_the_bit():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(7, 7)), rng.normal(size=7)
    s = a @ a.T
    sparse = scipy.sparse.random_array((7, 7), density=0.4, rng=rng, format="csc")
    sparse = sparse + 3 * scipy.sparse.eye_array(7, format="csc")

    def calls(make):
        made = make(a)  # an array that may hold active numbers while recording
        return [
            solve(a, b), solve(made, b), sla.inv(a), sla.det(a), *sla.eigh(s), *sla.svd(a),
            sla.cholesky(s), *sla.lu(a), *sla.qr(a), sla.expm(a), sla.pinv(a), sla.schur(a)[0],
            sla.solve_sylvester(a, s, s), sla.toeplitz(b), sparse @ b, b @ sparse, sparse @ make(b),
            scipy.sparse.linalg.spsolve(sparse, b), scipy.sparse.linalg.splu(sparse).solve(make(b)),
            scipy.sparse.diags(make(b)).toarray(), (sparse * 2.0).toarray(),
        ]  # fmt: skip

    found = []

    def recorded(x):
        found.extend(calls(np.array))
        return np.sum(x)

    tg.grad(recorded)(X)
    wanted = calls(np.array)
    assert len(found) == len(wanted)
    for position, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert np.array_equal(np.asarray(one), other), position


def test_scipys_functions_are_themselves_outside_of_recordings():
    code, signature = solve.__code__, inspect.signature(solve)
    seen = []

    def function(x):
        thread = threading.Thread(target=lambda: seen.append(solve(A, X)))  # records nothing
        thread.start()
        thread.join()
        return np.sum(solve(A, x))

    tg.grad(function)(X)
    assert solve.__code__ is code
    assert inspect.signature(solve) == signature
    assert np.array_equal(seen[0], solve(A, X))
    assert type(FACTORS).solve.__doc__ == FACTORS.solve.__doc__
    with pytest.raises(TypeError, match="rhs"):
        FACTORS.solve()


def test_factors_that_are_replaced_in_their_class_are_recognised():
    version = f"SciPy {scipy.__version__}"
    tg.grad(lambda x: np.sum(FACTORS.solve(x)))(X)
    assert isinstance(vars(scipy.sparse.linalg.SuperLU)["solve"], types.FunctionType), version
    # One that was looked up before is C's, unless another file had it replaced by then.
    kind = types.MethodType if WAS_REPLACED else types.BuiltinMethodType
    assert isinstance(SOLVER, kind), version
    assert type(SOLVER.__self__) is scipy.sparse.linalg.SuperLU, version


def test_scipy_may_be_imported_first_while_a_function_is_recorded():
    code = """
import sys, numpy as np, tapegrad as tg
assert "scipy.sparse" not in sys.modules
def f(x):
    import scipy.linalg
    from scipy import sparse
    from scipy.sparse.linalg import splu
    A = sparse.diags([4.0, 4.0], format="csc")
    return np.sum(scipy.linalg.solve(2.0 * np.eye(2), x)) + np.sum(A @ x) + np.sum(splu(A).solve(x))
print(tg.grad(f)(np.ones(2)))
import scipy
print(tg.grad(lambda x: np.sum(scipy.linalg.inv(x)))(2.0 * np.eye(2)).tolist())
"""
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.split("\n")[0] == "[4.75 4.75]", done.stderr
    assert done.stdout.split("\n")[1] == "[[-0.25, -0.25], [-0.25, -0.25]]", done.stderr


# --- what has no rule --------------------------------------------------------------------------

REFUSED = {
    "scipy.linalg.eigh with subset_by_value=": lambda x: sla.eigh(
        np.outer(x, x), subset_by_value=[0.0, 9.0])[0].sum(),
    "scipy.linalg.qr with mode='raw'": lambda x: sla.qr(np.outer(x, x), mode="raw")[1].sum(),
    "scipy.linalg.eigh with type=2": lambda x: sla.eigh(np.outer(x, x), A, type=2)[0].sum(),
    "an active tolerance of scipy.linalg.pinv": lambda x: sla.pinv(A, atol=x[0]).sum(),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_keyword_without_a_rule_is_refused_by_name_with_the_way_out(what):
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(REFUSED[what])(X)
    message = str(caught.value)
    assert message.startswith(f"{what} has no rule for active arguments, at {__file__}:")
    assert "tapegrad.custom_rule" in message
    assert "tapegrad.stop_gradient(x)" in message

    def stopped(x):
        return np.sum(x) + REFUSED[what](tg.stop_gradient(x))

    value, gradient = tg.value_and_grad(stopped)(X)
    assert value == pytest.approx(6.0 + REFUSED[what](X))
    assert np.array_equal(gradient, np.ones(3))


def test_a_function_without_a_rule_is_refused_by_name():
    kinds = LostDerivativeError, UnsupportedFunctionError  # by SciPy's version
    with pytest.raises(kinds, match=r"scipy\.linalg\.schur can't take active"):
        tg.grad(lambda x: sla.schur(np.outer(x, x))[0].sum())(X)


def test_wrong_calls_raise_scipys_errors():
    for function, kind, message in (
        (lambda x: sla.solve(A), TypeError, "'b'"),
        (lambda x: sla.solve(np.outer(x, x)[:2], x), ValueError, "square"),
        (lambda x: sla.solve(A, x[:2]), ValueError, "incompatible shapes"),
        (lambda x: sla.solve(A, x, assume_a="odd"), ValueError, "odd is not a recognized"),
        (lambda x: sla.solve(A * np.nan, x), ValueError, "infs or NaNs"),
        (lambda x: sla.qr(np.outer(x, x), mode="odd"), ValueError, "Mode argument"),
        (lambda x: sla.solve_banded((1, 1), np.outer(x, x)[:2], x), ValueError, "diagonals"),
    ):
        with pytest.raises(kind, match=message):
            tg.grad(function)(X)


def test_complex_matrices_and_results_are_refused():
    with pytest.raises(InputTypeError, match="complex128"):
        tg.grad(lambda x: np.sum(solve(A * 1j, x)))(X)
    with pytest.raises(InputTypeError, match=r"scipy\.linalg\.sqrtm of this matrix is complex"):
        tg.grad(lambda x: np.sum(sla.sqrtm(np.diag(-x))))(X)


def test_the_functions_are_listed():
    listed = tg.supported()
    for name in ("scipy.linalg.solve", "scipy.sparse.csr_array", "scipy.sparse.diags",
                 "scipy.sparse.linalg.spsolve", "scipy.sparse.linalg.SuperLU.solve"):  # fmt: skip
        assert listed[name] == ("python",)
