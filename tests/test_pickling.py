"""Derivatives pickled, copied and sent to other processes."""

import copy
import functools
import os
import pickle
import subprocess
import sys
import textwrap

import cloudpickle
import numba
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import NotPicklableError

X = np.array([1.0, 2.0, 3.0])


def cubes(x):
    return np.sum(x**3)


@tg.grad
def decorated(x):
    return np.sum(x**2)


def rebound(x):
    return np.sum(x**4)


rebound = tg.value_and_grad(rebound)


@numba.njit
def compiled(x):
    return x[0] * x[1] * x[2]


class Model:
    def __init__(self, k):
        self.k = k

    def loss(self, x):
        return self.k * np.sum(x**2)

    def __call__(self, x):
        return self.k * np.sum(x**3)

    @tg.grad
    def slope(self, k):
        return k * self.k


def with_scale(scale, x):
    return scale * np.sum(x**2)


def equal(a, b):
    if isinstance(a, tuple):
        return all(map(equal, a, b))
    return np.array_equal(a, b)


DERIVATIVES = {
    "grad": tg.grad(cubes),
    "value_and_grad": tg.value_and_grad(cubes, compile="never"),
    "jacobian": tg.jacobian(cubes, mode="reverse"),
    "hessian": tg.hessian(cubes),
    "of a compiled function": tg.value_and_grad(compiled),
    "of a bound method": tg.grad(Model(3.0).loss),
    "of an object": tg.grad(Model(3.0)),
    "of a partial": tg.grad(functools.partial(with_scale, 3.0)),
    "of a derivative": tg.jacobian(decorated),
    "decorated": decorated,
    "rebound": rebound,
}


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("used", [False, True])
def test_a_derivative_comes_back_from_a_pickle_and_a_copy(name, used):
    derivative = DERIVATIVES[name]
    wanted = derivative(X)
    if not used and not name.startswith(("decorated", "rebound")):
        derivative.clear()
    ways = [copy.copy, copy.deepcopy]
    ways += [
        lambda d, p=p: pickle.loads(pickle.dumps(d, protocol=p))
        for p in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    ways += [lambda d: pickle.loads(pickle._dumps(d))]
    ways += [lambda d: pickle.loads(cloudpickle.dumps(d))]
    for way in ways:
        found = way(derivative)
        assert type(found) is type(derivative)
        assert equal(found(X), wanted)


def test_the_options_and_the_product_of_a_hessian_come_along():
    product = pickle.loads(pickle.dumps(tg.hvp(cubes, compile="never", strict=True)))
    np.testing.assert_array_equal(product(X, np.ones(3)), 6 * X)
    assert product._options == ("never", True)
    with_aux = pickle.loads(pickle.dumps(tg.value_and_grad(cubes, argnums=(0,), has_aux=True)))
    assert (with_aux._argnums, with_aux._has_aux) == ((0,), True)
    assert pickle.loads(pickle.dumps(tg.grad(cubes, strict=True))).recorded.options.strict


def test_a_derivative_with_its_functions_name_is_the_same_object_by_name():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert pickle.loads(pickle.dumps(rebound)) is rebound


def test_a_deep_copy_has_its_own_object():
    model = Model(3.0)
    twin = copy.deepcopy(tg.grad(model.loss))
    model.k = 5.0
    np.testing.assert_array_equal(twin(X), 6 * X)
    np.testing.assert_array_equal(copy.copy(tg.grad(model.loss))(X), 10 * X)


def test_a_derivative_in_a_container_is_pickled_with_it():
    found = pickle.loads(pickle.dumps({"fit": [tg.grad(cubes), decorated]}))
    np.testing.assert_array_equal(found["fit"][0](X), 3 * X**2)
    assert found["fit"][1] is decorated


def local():
    def inside(x):
        return x * x

    return inside


@pytest.mark.parametrize("function", [lambda x: x * x, local()])
@pytest.mark.parametrize("make", [tg.grad, tg.hessian, tg.jacobian, tg.hvp])
def test_a_lambda_is_refused_with_a_way_that_works(function, make):
    derivative = make(function)
    with pytest.raises(NotPicklableError, match=r"cloudpickle\.dumps\(derivative\)"):
        pickle.dumps(derivative)
    found = pickle.loads(cloudpickle.dumps(derivative))
    arguments = (3.0, 1.0) if make is tg.hvp else (3.0,)
    assert found(*arguments) == derivative(*arguments)


SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import tapegrad as tg


def loss(x):
    return np.sum(x**3)


@tg.grad
def named(x):
    return np.sum(x**2)


if __name__ == "__main__":
    rows = [np.full(2, k) for k in (1.0, 2.0)]
    derivative = tg.value_and_grad(loss)
    derivative(rows[0])
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print([value for value, _ in pool.map(derivative, rows)])
        print([row.tolist() for row in pool.map(named, rows)])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool_takes_a_derivative(tmp_path, method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform has no such start method")
    script = tmp_path / "pool.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script), method],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[2.0, 16.0]", "[[2.0, 2.0], [4.0, 4.0]]"], done.stderr


def test_joblib_takes_a_derivative_of_a_lambda_unwrapped():
    joblib = pytest.importorskip("joblib")
    derivative = tg.grad(lambda x: np.sum(x**3))
    tasks = [joblib.delayed(derivative)(np.full(2, k)) for k in (1.0, 2.0)]
    found = joblib.Parallel(n_jobs=2)(tasks)
    assert [row.tolist() for row in found] == [[3.0, 3.0], [12.0, 12.0]]


# --- handles of machine code -------------------------------------------------------------------


def branching(x, scale):
    total = 0.0
    for k in range(len(x) - 1):
        total = total + scale * x[k] * x[k + 1]
    return total if x[0] > 0.0 else -total


HANDLE = tg.value_and_grad(branching).compiled(X, 2.0)
PASSED_ON = {
    "pickle": lambda handle: pickle.loads(pickle.dumps(handle)),
    "pickle, protocol 2": lambda handle: pickle.loads(pickle.dumps(handle, 2)),
    "cloudpickle": lambda handle: cloudpickle.loads(cloudpickle.dumps(handle)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "twice": lambda handle: copy.deepcopy(pickle.loads(pickle.dumps(handle))),
}


@pytest.mark.parametrize("way", PASSED_ON)
def test_a_compiled_handle_takes_its_tape_along(way):
    again = PASSED_ON[way](HANDLE)
    assert "_code" not in vars(again)  # it's compiled when it's used
    value, gradient = again(np.array([1.0, 3.0, 2.0]))
    assert value == 18.0
    np.testing.assert_array_equal(gradient, [6.0, 6.0, 6.0])
    assert again.memory_length == HANDLE.memory_length
    # Where a guard fails the derivative that came along goes on.
    value, gradient = again(np.array([-1.0, 3.0, 2.0]))
    assert value == -6.0
    np.testing.assert_array_equal(gradient, [-6.0, -2.0, -6.0])


def test_a_handles_form_and_address_are_made_again():
    HANDLE.njit  # noqa: B018
    again = pickle.loads(pickle.dumps(HANDLE))
    out = np.empty(3)
    assert again.njit(np.array([1.0, 3.0, 2.0]), out) == 18.0
    np.testing.assert_array_equal(out, [6.0, 6.0, 6.0])
    assert again.address not in (0, HANDLE.address)


def test_a_handle_of_what_cant_be_pickled_says_what_to_do_which_works():
    handle = tg.value_and_grad(lambda x: np.sum(x**2)).compiled(X)
    with pytest.raises(NotPicklableError, match=r"cloudpickle\.dumps"):
        pickle.dumps(handle)
    value, gradient = cloudpickle.loads(cloudpickle.dumps(handle))(X)
    assert value == 14.0
    np.testing.assert_array_equal(gradient, 2.0 * X)


def test_another_process_runs_a_handle(tmp_path):
    (tmp_path / "losses_of_a_handle.py").write_text(
        textwrap.dedent(
            """
            import numpy as np

            def loss(x):
                return np.sum(x**3) if x[0] > 0.0 else np.sum(x)
            """
        )
    )
    receiver = """
    import pickle, sys
    import numpy as np
    handle = pickle.load(open("handle.pickle", "rb"))
    for x in ([1.0, 2.0], [-1.0, 2.0]):
        value, gradient = handle(np.array(x))
        print(value, gradient.tolist())
    """
    sender = """
    import pickle
    import numpy as np, tapegrad as tg
    from losses_of_a_handle import loss
    pickle.dump(tg.value_and_grad(loss).compiled(np.ones(2)), open("handle.pickle", "wb"))
    """
    for script in (sender, receiver):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True, text=True, timeout=300, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["9.0 [3.0, 12.0]", "1.0 [1.0, 1.0]"]
