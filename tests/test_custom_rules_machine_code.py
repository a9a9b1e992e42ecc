"""Rules in machine code: called back in Python, or by address where they're compiled."""

import math
import pickle

import numpy as np
import pytest
from numba import njit

import tapegrad as tg

X = np.array([0.5, 0.2])


@tg.custom_rule(vjp=lambda ct, result, x: ct * math.cos(x),
                jvp=lambda tangent, result, x: tangent * math.cos(x))  # fmt: skip
def sine(x):
    assert isinstance(x, float)  # and no active one, which math takes for none
    return math.sin(x)


def chain(x):
    t = x[0]
    for _ in range(50):
        t = sine(t) * 1.1 + x[1]
    return t


def chain_without(x):
    t = x[0]
    for _ in range(50):
        t = math.sin(t) * 1.1 + x[1]
    return t


def agrees(found, right):
    assert found[0] == pytest.approx(right[0], rel=1e-14)
    np.testing.assert_allclose(found[1], right[1], rtol=1e-12)


def test_a_rule_in_a_loop_rolls_and_is_called_from_machine_code():
    derivative = tg.value_and_grad(chain, compile="now")
    right = tg.value_and_grad(chain_without)
    for x in (X, 2.0 * X, -X):
        agrees(derivative(x), right(x))
    assert derivative.tier == "compiled"
    rolled = str(tg.explain(chain, X).rolled)
    assert "sine(" in rolled
    assert len(rolled.splitlines()) < 10
    machine = tg.value_and_grad(chain).compiled(X)
    agrees(machine(2.0 * X), right(2.0 * X))
    agrees(pickle.loads(pickle.dumps(machine))(2.0 * X), right(2.0 * X))
    product = tg.hvp(chain, compile="now")
    expected = tg.hvp(chain_without)(X, np.ones(2))
    for _ in range(2):
        np.testing.assert_allclose(product(X, np.ones(2)), expected, rtol=1e-11)


@njit
def step(x, y):
    if y > 100.0:
        raise ValueError("too much")
    return x * y + 0.5


@njit
def step_vjp(ct, result, x, y):
    return ct * y, ct * x


compiled_step = tg.custom_rule(step, vjp=step_vjp)


def test_a_compiled_rule_is_called_without_python():
    def f(x):
        t = x[0]
        for _ in range(100):
            t = compiled_step(t, x[1])
        return t

    machine = tg.value_and_grad(f).compiled(X)
    agrees(machine(X), (0.625, [0.2**100, 0.78125]))
    run = machine.njit

    @njit(nogil=True)
    def compiled(x):
        out = np.empty(2)
        return run(x, out), out

    agrees(compiled(X), (0.625, [0.2**100, 0.78125]))
    derivative = tg.value_and_grad(f, compile="now")
    agrees(derivative(X), machine(X))
    with pytest.raises(ValueError, match="too much"):
        derivative(np.array([0.5, 101.0]))
    agrees(derivative(X), machine(X))


def test_what_is_raised_in_machine_code_arrives_as_it_is():
    failing = set()

    @tg.custom_rule
    def f(x):
        if "function" in failing:
            raise ValueError("no value")
        return x * x

    @f.defvjp
    def _(ct, result, x):
        if "vjp" in failing:
            raise ZeroDivisionError("no derivative")
        return 2.0 * x * ct

    derivative = tg.value_and_grad(lambda x: f(x) * x, compile="now")
    assert [derivative(x) for x in (1.0, 2.0)] == [(1.0, 3.0), (8.0, 12.0)]
    assert derivative.tier == "compiled"
    for where, error in (("function", ValueError), ("vjp", ZeroDivisionError)):
        failing.add(where)
        with pytest.raises(error, match="no "):
            derivative(3.0)
        failing.clear()
        assert derivative(3.0) == (27.0, 27.0)
        assert derivative.tier == "compiled"


def test_a_result_of_another_kind_is_recorded_again_from_machine_code():
    @tg.custom_rule(vjp=lambda ct, result, x: ct[1])
    def counted(x):
        return int(x), x

    def f(x):
        n, y = counted(x)
        return y * n

    derivative = tg.grad(f, compile="now")
    assert [derivative(x) for x in (1.5, 1.6, 2.5, 3.5, 1.5, 2.6)] == [1.0, 1.0, 2.0, 3.0, 1.0, 2.0]
