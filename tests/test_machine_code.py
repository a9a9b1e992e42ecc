"""Derivatives as machine code: when they are compiled, what calls them, what they fall back to."""

import io
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit
from rolled_programs import KNOWN, point_of

import tapegrad as tg
from tapegrad.codegen import compiled_tape
from tapegrad.errors import (
    CompilationWarning,
    NotCompilableError,
    NotScalarError,
    UnsupportedFunctionError,
)
from tapegrad.function import tiers
from tapegrad.passes import simplified
from tapegrad.roll import rolled


def chain(x):
    total = 0.0
    for k in range(len(x) - 1):
        total = total + (x[k + 1] - x[k] * x[k]) ** 2 + math.exp(-x[k])
    return total


def two_ways(x):
    total = 0.0
    for k in range(len(x)):
        total = total + (x[k] * x[k] if x[k] > 0.0 else -3.0 * x[k])
    return total


X = np.linspace(-0.5, 1.5, 40)


def swept(function, x):
    return tg.value_and_grad(function, compile="never")(x)


# --- tiers -------------------------------------------------------------------------------------


def test_compiled_now_it_runs_as_machine_code_from_the_second_call():
    gradient = tg.value_and_grad(chain, compile="now")
    assert gradient.tier == "not recorded"
    for _ in range(3):
        value, found = gradient(X)
        expected_value, expected = swept(chain, X)
        assert value == pytest.approx(expected_value, rel=1e-13)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert gradient.tier == "compiled"


def test_strict_machine_code_has_the_bits_of_the_sweeps():
    gradient = tg.value_and_grad(chain, compile="now", strict=True)
    for x in (X, X[::-1], 3.0 * X, X):
        gradient(x)
        value, found = gradient(x)
        expected_value, expected = swept(chain, x)
        assert value == expected_value
        np.testing.assert_array_equal(found, expected)
    assert gradient.tier == "compiled"


def test_it_is_compiled_in_the_background_while_calls_go_on():
    gradient = tg.value_and_grad(chain)
    x = np.linspace(-1.0, 1.0, 3000)
    expected = swept(chain, x)
    calls = 0
    while gradient.tier == "not recorded" or gradient.tier == "swept":
        value, found = gradient(x)
        calls += 1
        assert value == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(found, expected[1], rtol=1e-11)
        assert calls < 100_000
    assert gradient.wait(120.0) == "compiled"
    np.testing.assert_allclose(gradient(x)[1], expected[1], rtol=1e-11)


def test_it_is_never_compiled_where_that_is_forbidden(monkeypatch):
    monkeypatch.setattr(tiers, "SECONDS_TO_COMPILE", 0.0)
    gradient = tg.value_and_grad(chain, compile="never")
    for _ in range(50):
        gradient(X)
    assert gradient.tier == "swept"
    assert gradient.wait() == "swept"


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="'auto', 'now' or 'never'"):
        tg.grad(chain, compile="always")


def test_what_is_long_and_in_no_loops_keeps_the_sweeps(monkeypatch):
    monkeypatch.setattr(compiled_tape, "MOST_RECORDS", 3)
    gradient = tg.value_and_grad(chain, compile="now")
    for _ in range(3):
        assert gradient(X)[0] == swept(chain, X)[0]
    assert gradient.tier == "swept"
    with pytest.raises(NotCompilableError, match="The sweeps go on"):
        gradient.compiled(X)


def test_a_failure_in_the_background_warns_once_and_sweeps_on(monkeypatch):
    def broken(*args):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(compiled_tape, "CompiledTape", broken)
    monkeypatch.setattr(tiers, "SECONDS_TO_COMPILE", 0.0)
    monkeypatch.setattr(tiers, "SECONDS_TO_ROLL", 0.0)
    gradient = tg.value_and_grad(chain)
    gradient(X)
    gradient(X)
    with pytest.warns(CompilationWarning, match="no such luck"):
        gradient.wait(60.0)
    assert gradient(X)[0] == swept(chain, X)[0]
    assert gradient.tier == "swept"
    at_once = tg.value_and_grad(chain, compile="now")
    at_once(X)
    with pytest.warns(CompilationWarning, match="no such luck"):
        assert at_once(X)[0] == swept(chain, X)[0]
    assert at_once(X)[0] == swept(chain, X)[0]
    with pytest.raises(NotCompilableError, match="no such luck"):
        at_once.compiled(X)


# --- guards and NaN ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_way_that_changes_anywhere_is_recorded_anew(place):
    gradient = tg.value_and_grad(two_ways, compile="now", strict=True)
    x = np.linspace(0.5, 1.5, 40)
    gradient(x)
    gradient(x)
    other = x.copy()
    other[place] = -2.0
    for point in (other, x, other, x):
        value, found = gradient(point)
        assert value == two_ways(point)
        np.testing.assert_array_equal(found, np.where(point > 0.0, 2.0 * point, -3.0))
    assert gradient.tier == "compiled"


def test_nan_and_infinity_are_as_in_the_sweeps():
    def function(x):
        total = 0.0
        for k in range(len(x)):
            total = total + x[k] * math.exp(x[k]) * 0.0 + np.sqrt(abs(x[k]))
        return total

    points = [np.array(p) for p in ([0.0, 1.0, 2.0], [np.inf, 1.0, 2.0], [np.nan, 0.0, 1.0],
                                    [800.0, 0.0, -800.0], [5e-324, -0.0, 1.0])]  # fmt: skip
    with np.errstate(all="ignore"):
        for strict in (False, True):
            gradient = tg.value_and_grad(function, compile="now", strict=strict)
            for x in [*points, *points]:
                value, found = gradient(x)
                expected_value, expected = swept(function, x)
                np.testing.assert_allclose(value, expected_value, rtol=1e-14)
                np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_what_the_function_reads_is_checked_before_machine_code_runs():
    scale = [2.0]

    def function(x):
        return scale[0] * chain(x)

    gradient = tg.grad(function, compile="now")
    gradient(X)
    first = gradient(X)
    scale[0] = 3.0
    np.testing.assert_allclose(gradient(X), 1.5 * first, rtol=1e-12)


# --- other derivatives -------------------------------------------------------------------------


def test_jacobians_and_hessian_products():
    def outputs(x):
        return [chain(x[:20]), chain(x[10:]) * x[0], 2.0]

    for mode in ("forward", "reverse"):
        compiled = tg.jacobian(outputs, mode=mode, compile="now", strict=True)
        plain = tg.jacobian(outputs, mode=mode, compile="never")
        for _ in range(2):
            for ours, theirs in zip(compiled(X), plain(X), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        assert compiled.tier == "compiled"

    v = np.cos(np.arange(40.0))
    expected = tg.hvp(chain, compile="never")(X, v)
    product = tg.hvp(chain, compile="now")
    for _ in range(2):
        np.testing.assert_allclose(product(X, v), expected, rtol=1e-11)
    hessian = tg.hessian(chain, compile="now")(X)
    np.testing.assert_allclose(hessian @ v, expected, rtol=1e-11)


def test_hessian_products_where_another_way_is_taken():
    product = tg.hvp(two_ways, compile="now")
    x, v = np.linspace(0.5, 1.5, 6), np.arange(6.0)
    other = x * [1, 1, -1, 1, 1, -1]
    for point in (x, other, x, other):
        np.testing.assert_array_equal(product(point, v), np.where(point > 0, 2.0 * v, 0.0))


def test_derivatives_of_derivatives_are_left_to_the_recorders():
    outer = tg.grad(lambda x: np.sum(tg.grad(chain, compile="now")(x) ** 2), compile="now")
    plain = tg.grad(lambda x: np.sum(tg.grad(chain, compile="never")(x) ** 2), compile="never")
    for _ in range(2):
        np.testing.assert_allclose(outer(X), plain(X), rtol=1e-10)


def test_gradients_and_hessian_products_are_of_one_float_at_every_call():
    for function in (lambda x: x * x, lambda x: x[:0] * 2.0):
        gradient, product = (make(function, compile="now") for make in (tg.grad, tg.hvp))
        for _ in range(3):
            with pytest.raises(NotScalarError):
                gradient(X)
            with pytest.raises(NotScalarError):
                product(X, X)
        with pytest.raises(NotScalarError):
            gradient.compiled(X)


# --- the compiled gradient itself --------------------------------------------------------------


def test_a_compiled_gradient_is_called_from_python_and_from_compiled_code():
    fast = tg.value_and_grad(chain).compiled(X)
    value, gradient = fast(X)
    expected_value, expected = swept(chain, X)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)
    inside = fast.njit

    @njit
    def descend(x, steps):
        out = np.empty_like(x)
        for _ in range(steps):
            inside(x, out)
            x = x - 0.01 * out
        return x

    by_hand = X
    for _ in range(5):
        by_hand = by_hand - 0.01 * fast(by_hand)[1]
    np.testing.assert_allclose(descend(X, 5), by_hand, rtol=1e-12)
    assert fast.address
    assert "define" in fast.ir()
    assert "bytes a call" in repr(fast)


def test_other_arguments_stay_as_they_were_and_shapes_are_kept():
    def function(x, data, power):
        total = 0.0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                total = total + (x[i, j] - data[j]) ** power
        return total

    x, data = np.arange(12.0).reshape(3, 4), np.array([0.5, 1.0, 1.5, 2.0])
    fast = tg.value_and_grad(function).compiled(x, data, 2)
    value, gradient = fast(x + 1.0)
    np.testing.assert_allclose(gradient, 2.0 * (x + 1.0 - data))
    assert value == pytest.approx(function(x + 1.0, data, 2))
    out = np.empty(12)
    assert fast.njit(x.ravel() + 1.0, out) == pytest.approx(value)
    np.testing.assert_allclose(out, gradient.ravel())
    with pytest.raises(ValueError, match=r"shape \(3, 4\)"):
        fast(x.T)


def test_where_it_will_not_do_it_is_recorded_in_python_and_refused_in_compiled_code():
    x = np.linspace(0.5, 1.5, 5)
    fast = tg.value_and_grad(two_ways).compiled(x)
    value, gradient = fast(-x)
    assert value == two_ways(-x)
    np.testing.assert_array_equal(gradient, [-3.0] * 5)
    with pytest.raises(ValueError, match="goes another way"):
        fast.njit(-x, np.empty(5))
    with pytest.raises(ValueError, match="size"):
        fast.njit(x[:3], np.empty(3))


def test_compiled_is_for_one_array():
    with pytest.raises(UnsupportedFunctionError, match="one float array"):
        tg.grad(lambda x: x * x).compiled(2.0)
    with pytest.raises(UnsupportedFunctionError, match="one float array"):
        tg.grad(lambda x, y: x @ y, argnums=(0, 1)).compiled(X, X)


def test_threads_call_one_gradient_at_once():
    gradient = tg.value_and_grad(chain, compile="now", strict=True)
    points = [X * (1.0 + 0.1 * k) for k in range(8)]
    gradient(X)
    expected = [swept(chain, point) for point in points]
    found = [None] * 8

    def work(k):
        for _ in range(200):
            found[k] = gradient(points[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0] == theirs[0]
        np.testing.assert_array_equal(ours[1], theirs[1])


# --- seeing it ---------------------------------------------------------------------------------


def test_explain_says_what_was_recorded_found_and_compiled():
    text = io.StringIO()
    found = tg.explain(chain, X, file=text)
    lines = text.getvalue().splitlines()
    assert lines[0] == "chain"
    assert str(found) == "\n".join(lines)
    headings = ["recorded", "apply_identities", "drop_dead", "loops", "compiled"]
    tiers_timed = ["the function itself", "its gradient, swept", "its gradient, compiled"]
    for start in headings + tiers_timed:
        assert any(line.strip().startswith(start) for line in lines), start
    assert "1 found" in text.getvalue()
    assert str(found.rolled).count("for i in range(39):") == 1
    assert found.adjoint.count("for i in range(39):") == 1
    assert found.adjoint.count("for i in reversed(range(39)):") == 1


def test_explain_takes_derivatives_and_what_cannot_be_compiled(monkeypatch):
    monkeypatch.setattr(compiled_tape, "MOST_RECORDS", 3)
    text = io.StringIO()
    found = tg.explain(tg.grad(chain), X, file=text)
    assert "The sweeps go on" in text.getvalue()
    assert found.native is None
    assert found.adjoint == ""


def test_what_is_computed_twice_is_compiled_once_but_for_the_bits_of_the_sweeps():
    gradient = tg.grad(lambda x: chain(x) * chain(x), compile="never")
    expected = gradient(X)
    tape = gradient.recorded.recordings[0].tape
    simple, strict = (compiled_tape.CompiledTape(tape, s) for s in (False, True))
    assert len(simple.compiled) < 0.6 * len(tape)
    assert strict.compiled is tape
    for native in (simple, strict):
        ok, _, found = native.pullback(X, np.ones(1))
        assert ok
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_what_would_have_to_be_kept_in_memory_is_computed_twice():
    function, _, (_, size) = KNOWN["paths"]
    gradient = tg.grad(function, compile="never")
    gradient(point_of("paths", size))
    tape = gradient.recorded.recordings[0].tape
    assert len(simplified(tape)) < 0.8 * len(tape)
    assert compiled_tape.CompiledTape(tape).compiled is tape


def test_a_tape_simplified_and_rolled():
    gradient = tg.grad(lambda x: chain(x) + 0.0 * chain(x), compile="never")
    gradient(X)
    tape = gradient.recorded.recordings[0].tape
    assert len(simplified(tape)) < 0.7 * len(tape)
    assert "for i in range(39):" in str(rolled(simplified(tape)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_compiles_on_its_own():
    code = """
import os, numpy as np, tapegrad as tg
from tapegrad.function import tiers
from tapegrad.passes import simplified
tiers.SECONDS_TO_COMPILE = tiers.SECONDS_TO_ROLL = 0.0
def f(x):
    total = 0.0
    for k in range(len(x)):
        total = total + x[k] * x[k]
    return total
here, there = tg.value_and_grad(f), tg.value_and_grad(f)
x = np.arange(9.0)
here(x), here(x)
child = os.fork()
for _ in range(3):
    there(x)
assert there.wait(120.0) == "compiled", there.tier
assert there(x)[1].tolist() == (2.0 * x).tolist()
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert here.wait(120.0) == "compiled"
else:
    os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
