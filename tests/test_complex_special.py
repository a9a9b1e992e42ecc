"""scipy.special's functions of complex numbers that depend on the input, beside mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special as sc

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

PLACES = [0.5 + 0.3j, 3 + 4j, 9.9 + 0.1j, 10.1 + 0.1j, 1e3 + 2j, 30 - 1e-3j, 2 - 1j, 12 - 0.5j,
          0.1 - 3j, 50j, 1e-9 + 0j, 15 + 0j, -20 + 3j]  # fmt: skip


def _wofz(z):
    w = mpmath.exp(-z * z) * mpmath.erfc(-1j * z)
    return 2j / mpmath.sqrt(mpmath.pi) - 2 * z * w


DERIVATIVES = {
    "wofz": (_wofz, PLACES),
    "erf": (lambda z: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-z * z), [0.5 + 0.3j, -1 + 2j, 3j]),
    "erfc": (lambda z: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-z * z), [0.5 + 0.3j, 2 - 1j]),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_values_are_scipys_and_derivatives_holomorphic(name):
    function, (derivative, places) = getattr(sc, name), DERIVATIVES[name]

    def both(x, y):
        found = function(x + 1j * y)
        return found.real, found.imag

    with mpmath.workdps(40):
        for z in places:
            found, moved = tg.jvp(both, (z.real, z.imag), (1.0, 0.0))
            assert complex(*found) == function(z)
            wanted = complex(derivative(mpmath.mpc(z.real, z.imag)))
            assert abs(complex(*moved) - wanted) <= 1e-13 * abs(wanted)
            turned = complex(*tg.jvp(both, (z.real, z.imag), (0.0, 1.0))[1])
            assert abs(turned - 1j * wanted) <= 1e-13 * abs(wanted)


@pytest.mark.parametrize("x", [[0.5, 0.3], [12.0, 0.3]])
def test_second_derivatives_are_right_near_and_far(x):
    check_grads(lambda p: abs(sc.wofz(p[0] + 1j * p[1])), (np.array(x),), order=2)


def test_a_line_of_a_spectrum_is_that_of_voigt():
    x = np.linspace(-3.0, 3.0, 7)

    def line(p):
        scale = p[0] * np.sqrt(2.0)
        return np.sum(np.cos(x) * sc.wofz((x + 1j * p[1]) / scale).real / (scale * np.sqrt(np.pi)))

    p = np.array([0.8, 0.3])
    voigt = tg.grad(lambda p: np.sum(np.cos(x) * sc.voigt_profile(x, p[0], p[1])))
    np.testing.assert_allclose(tg.grad(line)(p), voigt(p), rtol=1e-12)
    np.testing.assert_allclose(tg.grad(line, compile="never")(p), voigt(p), rtol=1e-12)


def test_real_numbers_have_complex_values_and_others_are_refused_by_name():
    assert tg.grad(lambda x: sc.wofz(x).real)(0.5) == pytest.approx(-np.exp(-0.25), rel=1e-14)
    with pytest.raises(
        UnsupportedFunctionError, match=r"scipy\.special\.gamma has no rule for comp"
    ):
        tg.grad(lambda x: sc.gamma(x * 1j).real)(0.5)
