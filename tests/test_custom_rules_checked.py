"""Rules that are wrong, or can't be recorded where a higher derivative needs it."""

import ctypes
import ctypes.util
import math
import re

import numpy as np
import pytest
from user_rules import X, sine

import tapegrad as tg
from tapegrad.errors import (
    StructureError,
    UnsupportedFunctionError,
    WrongRuleWarning,
)

# --- wrong rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vjp", "jvp", "jacobian"])
def test_a_rule_that_is_no_derivative_is_told_with_both_numbers(kind):
    rules = {
        "vjp": lambda ct, result, x: 3.0 * x * ct,
        "jvp": lambda t, result, x: 3.0 * x * t,
        "jacobian": lambda x: 3.0 * np.diag(x),
    }
    wrong = tg.custom_rule(lambda x: x * x, **{kind: rules[kind]})
    message = rf"the {kind} of .*<lambda> doesn't agree .* has (\S+), the difference (\S+)\. If it"
    with pytest.warns(WrongRuleWarning, match=message) as caught:
        tg.grad(lambda x: np.sum(wrong(x)))(X)
    (warning,) = caught
    assert warning.filename == __file__
    product, difference = map(float, re.search(message, str(warning.message)).groups())
    assert product == pytest.approx(1.5 * difference, rel=1e-4)
    tg.grad(lambda x: np.sum(wrong(2.0 * x)))(X)  # once
    quiet = tg.custom_rule(lambda x: x * x, check=False, **{kind: rules[kind]})
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(quiet(x)))(X), 3.0 * X)


def test_only_one_wrong_entry_is_found_and_nan_too():
    def wrong_entry(x):
        found = np.diag(2.0 * x)
        found[0, 2] = 0.1
        return found

    with pytest.warns(WrongRuleWarning):
        tg.grad(lambda x: np.sum(tg.custom_rule(lambda x: x * x, jacobian=wrong_entry)(x)))(X)
    with pytest.warns(WrongRuleWarning, match="nan, the difference"):
        tg.grad(tg.custom_rule(lambda x: x * x, vjp=lambda ct, r, x: math.nan))(1.0)


def test_right_rules_are_not_told_at_kinks_edges_and_with_a_solvers_tolerance():
    cases = [
        (abs, lambda ct, result, x: ct * np.sign(x), 0.0),
        (lambda x: max(x, 0.0), lambda ct, result, x: ct * (x > 0.0), 0.0),
        (lambda x: max(x, 0.0), lambda ct, result, x: ct * (x >= 0.0), 0.0),
        (math.sqrt, lambda ct, result, x: 0.5 * ct / math.sqrt(x), 1e-300),
        (math.log, lambda ct, result, x: ct / x, 5e-324),
        (lambda x: round(math.sin(x), 7), lambda ct, result, x: ct * math.cos(x), 0.7),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, 1e200),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, math.inf),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, math.nan),
        (lambda x: 1e-30 * x, lambda ct, result, x: 1e-30 * ct, 1e-8),
        (lambda x: float("nan"), lambda ct, result, x: ct, 1.0),
        (math.floor, lambda ct, result, x: None, 1.5),
    ]
    for function, vjp, x in cases:
        tg.grad(lambda x, f=function, v=vjp: tg.custom_rule(f, vjp=v)(x) + x)(x)
    zeros = np.zeros(4)
    relu = tg.custom_rule(lambda x: np.maximum(x, 0.0), vjp=lambda ct, result, x: ct * (x > 0.0))
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(relu(x)))(zeros), zeros)


SHAPES = {
    "vjp": [
        (lambda ct, result, x, y: ct, r"must be \(an array of shape \(3,\), a float\), and it's an "
                                      r"array of shape \(3,\)"),
        (lambda ct, result, x, y: (ct,), r"and it's \(an array of shape \(3,\),\)"),
        (lambda ct, result, x, y: (ct[:2], 0.0), r"has shape \(2,\) where \(3,\) is needed"),
        (lambda ct, result, x, y: (ct, np.zeros(1)), r"has shape \(1,\) where \(\) is needed"),
        (lambda ct, result, x, y: (ct, "no"), "must be numbers of shape"),
        (lambda ct, result, x, y: {"x": ct, "y": 0.0}, r"and it's dict\(x: an array"),
    ],
    "jvp": [
        (lambda t, result, x, y: (t[0], 1.0), r"must be an array of shape \(3,\), and it's \("),
        (lambda t, result, x, y: 1.0, r"has shape \(\) where \(3,\) is needed"),
    ],
    "jacobian": [
        (lambda x, y: (np.eye(2), x), r"has shape \(2, 2\) where \(3, 3\) is needed"),
        (lambda x, y: np.eye(3), r"must be \(an array of shape \(3, 3\), an array of shape"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_what_a_rule_returns_is_compared_with_what_it_must(kind):
    for rule, message in SHAPES[kind]:
        times = tg.custom_rule(lambda x, y: x * y, **{kind: rule})
        with pytest.raises(StructureError, match=f"the result of the {kind} of .*{message}"):
            tg.grad(lambda x: np.sum(times(x, 2.0)))(X)  # noqa: B023


# --- what can't be recorded -----------------------------------------------------------------------

libm = ctypes.CDLL(ctypes.util.find_library("m") or "ucrtbase")
libm.erf.restype, libm.erf.argtypes = ctypes.c_double, [ctypes.c_double]
SLOPE = 2.0 / math.sqrt(math.pi)


def test_code_of_another_language_has_second_derivatives_where_its_rule_can_be_recorded():
    erf = tg.custom_rule(lambda x: libm.erf(x),
                         vjp=lambda ct, result, x: ct * SLOPE * math.exp(-x * x))  # fmt: skip
    derivative = tg.grad(lambda x: erf(x) * x)
    assert derivative(0.5) == pytest.approx(math.erf(0.5) + 0.5 * SLOPE * math.exp(-0.25))
    assert tg.grad(tg.grad(erf))(0.5) == pytest.approx(-SLOPE * math.exp(-0.25))
    assert tg.grad(tg.grad(tg.grad(erf)))(0.5) == pytest.approx(-SLOPE * math.exp(-0.25))


def test_a_rule_that_can_not_be_recorded_is_named_where_a_higher_derivative_needs_it():
    rules = [
        lambda ct, result, x: ct * libm.erf(x),
        lambda ct, result, x: ct * float(x),
        lambda ct, result, x: ct * np.linalg.norm(ctypes.c_double(x).value),
    ]
    for vjp in rules:
        opaque = tg.custom_rule(lambda x: x, vjp=vjp, check=False)
        tg.grad(lambda x: opaque(x) * x)(0.5)  # noqa: B023
        with pytest.raises(UnsupportedFunctionError, match=r"rule of .* can't be recorded"):
            tg.grad(tg.grad(lambda x: opaque(x) * x))(0.5)  # noqa: B023
    assert tg.grad(tg.grad(sine))(0.5) == pytest.approx(-math.sin(0.5))


def test_a_sparsity_that_leaves_out_what_is_not_zero_is_told_of():
    x = np.array([0.7, 0.4, 1.2])

    def value(x):
        return np.array([x[0] * x[1], x[2], x[1]])

    def jvp(t, result, x):
        return np.array([t[0] * x[1] + x[0] * t[1], t[2], t[1]])

    def vjp(w, result, x):
        return np.array([w[0] * x[1], w[0] * x[0] + w[2], w[1]])

    for rule in ({"jvp": jvp}, {"vjp": vjp}):
        wrong = tg.custom_rule(value, sparsity="diagonal", **rule)
        with pytest.warns(WrongRuleWarning, match=r"the sparsity of .*value doesn't agree"):
            tg.grad(lambda p, wrong=wrong: np.sum(wrong(p)))(x)
        right = tg.custom_rule(value, sparsity=([0, 0, 1, 2], [0, 1, 2, 1]), **rule)
        found = tg.grad(lambda p, right=right: np.sum(right(p)))(x)
        np.testing.assert_allclose(found, [0.4, 1.7, 1.0], rtol=1e-14)


def test_whole_numbers_among_results_have_cotangents_of_zero():
    @tg.custom_rule(vjp=lambda w, result, x: w * (2.0 * x if x > 0.0 else 0.0))
    def square_of_positive(x):
        return 0 if x < 0.0 else float(x) ** 2

    gradient = tg.value_and_grad(lambda p: square_of_positive(p) * p)
    assert gradient(-1.0) == (0.0, 0.0)
    assert gradient(2.0) == (8.0, 12.0)
    assert gradient(-1.0) == (0.0, 0.0)
