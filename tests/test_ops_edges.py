"""Second derivatives where operations have an edge, and remainders to the bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special as sp

import tapegrad as tg

inf, nan = math.inf, math.nan

# Function, point, and the Hessian there, in closed form.
HESSIANS = [
    ("xlogy", (0.0, 2.0), [[0.0, 0.5], [0.5, 0.0]]),
    ("xlogy", (-0.0, 4.0), [[0.0, 0.25], [0.25, 0.0]]),
    ("xlogy", (3.0, 2.0), [[0.0, 0.5], [0.5, -0.75]]),
    ("xlog1py", (0.0, 1.0), [[0.0, 0.5], [0.5, 0.0]]),
    ("xlog1py", (0.0, 0.0), [[0.0, 1.0], [1.0, 0.0]]),
    ("xlog1py", (2.0, 1.0), [[0.0, 0.5], [0.5, -0.5]]),
    ("rel_entr", (0.0, 2.0), [[inf, -0.5], [-0.5, 0.0]]),
    ("rel_entr", (2.0, 2.0), [[0.5, -0.5], [-0.5, 0.5]]),
    ("kl_div", (0.0, 2.0), [[inf, -0.5], [-0.5, 0.0]]),
    ("kl_div", (2.0, 4.0), [[0.5, -0.25], [-0.25, 0.125]]),
    ("huber", (1.0, 0.0), [[0.0, 0.0], [0.0, 1.0]]),
    ("huber", (1.0, -0.0), [[0.0, 0.0], [0.0, 1.0]]),
    ("huber", (1.0, 0.5), [[0.0, 0.0], [0.0, 1.0]]),
    ("huber", (1.0, -3.0), [[-1.0, -1.0], [-1.0, 0.0]]),
    ("huber", (0.0, -3.0), [[-1.0, -1.0], [-1.0, 0.0]]),
    ("pseudo_huber", (2.0, 0.0), [[0.0, 0.0], [0.0, 1.0]]),
    ("pseudo_huber", (0.0, 3.0), [[-2.0, 1.0], [1.0, 0.0]]),
    ("pseudo_huber", (0.0, -3.0), [[-2.0, -1.0], [-1.0, 0.0]]),
    ("entr", (0.0,), [[-inf]]),
]


@pytest.mark.parametrize(("name", "point", "wanted"), HESSIANS)
def test_the_hessian_at_an_edge_is_its_closed_form(name, point, wanted):
    function = getattr(sp, name)
    hessian = tg.hessian(lambda v: function(*v), compile="never")
    np.testing.assert_allclose(hessian(np.array(point)), wanted, rtol=1e-15)


def test_gradients_at_zero_are_the_limits():
    for name, point, wanted in (
        ("boxcox", (0.0, 2.0), (0.0, 0.25)),
        ("boxcox", (0.0, 1.0), (1.0, 1.0)),
        ("pseudo_huber", (0.0, -3.0), (3.0, 0.0)),
        ("pseudo_huber", (0.0, 0.0), (0.0, 0.0)),
        ("pseudo_huber", (1.0, 1e200), (1e200, 1.0)),
        ("huber", (2.0, 0.0), (0.0, 0.0)),
        ("xlogy", (0.0, 0.0), (-inf, 0.0)),
        (
            "kl_div",
            (3.0, np.nextafter(3.0, 4.0)),
            (-1.4802973661668753e-16, 1.4802973661668753e-16),
        ),
    ):
        function = getattr(sp, name)
        gradient = tg.grad(lambda v, f=function: f(*v))(np.array(point))
        np.testing.assert_allclose(gradient, wanted, rtol=1e-13, err_msg=name)


REMAINDERS = (0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 3.0, 7.0, 0.3, 1e16, 1e308, -1e308, 1e-5,
              5e-324, 1e-310, inf, -inf, nan)  # fmt: skip


def test_a_remainder_is_pythons_to_the_bit():
    derivative = tg.value_and_grad(lambda v: math.remainder(v[0], v[1]))
    rng = np.random.default_rng(0)
    pairs = [(x, y) for x in REMAINDERS for y in REMAINDERS]
    pairs += [tuple(pair) for pair in rng.integers(-30, 30, (100, 2)) * 0.5]
    for x, y in pairs:
        value, gradient = derivative(np.array([x, y]))
        try:
            wanted = math.remainder(x, y)
        except ValueError:
            wanted = nan
        assert repr(float(value)) == repr(float(wanted)), (x, y)
        if wanted == wanted:
            assert gradient[0] == 1.0
    assert derivative.recorded.recordings[0].tape.op.size == 4


def test_the_derivative_of_a_remainder_counts_the_multiples():
    derivative = tg.grad(lambda v: math.remainder(v[0], v[1]))
    for x, y, n in ((7.0, 2.0, 4.0), (5.0, 2.0, 2.0), (-7.5, 2.0, -4.0), (0.5, inf, 0.0),
                    (1e16, 0.3, round(1e16 / 0.3)), (6.0, -4.0, -2.0)):  # fmt: skip
        assert derivative(np.array([x, y])) == pytest.approx([1.0, -n], rel=1e-15)
    by_number = tg.value_and_grad(lambda x: math.remainder(x, 2.0) * math.remainder(7.0, x))
    value, gradient = by_number(5.0)
    assert (value, gradient) == (2.0, 1.0 * 2.0 - 1.0)
