"""Functions of complex numbers, and what mpmath says of them."""

from __future__ import annotations

import mpmath
import numpy as np

# By NumPy's name, mpmath's function.
FUNCTIONS = {
    "exp": mpmath.exp, "exp2": lambda z: mpmath.mpf(2) ** z, "expm1": mpmath.expm1,
    "log": mpmath.log, "log2": lambda z: mpmath.log(z) / mpmath.log(2),
    "log10": lambda z: mpmath.log(z) / mpmath.log(10), "log1p": mpmath.log1p,
    "sqrt": mpmath.sqrt, "square": lambda z: z * z, "reciprocal": lambda z: 1 / z,
    "negative": lambda z: -z, "positive": lambda z: z, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh,
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh, "arctanh": mpmath.atanh,
}  # fmt: skip

# In every quadrant, about 1 and about the unit circle, small and large; on no branch cut.
POINTS = np.array(
    [0.3 + 0.4j, -1.7 + 0.2j, -0.6 - 1.1j, 2.5 - 0.7j, 0.8 + 0.6j, 1.0 + 1e-9j, 0.6 - 0.8j,
     1e-3 + 2e-3j, -4.0 + 5.0j, 1.0 + 1.0j]
)  # fmt: skip

# Both sides of all branch cuts, and zeros.
EDGES = np.array(
    [complex(re, im) for re in (0.0, -0.0, 0.5, 1.0, 2.0, -0.5, -2.0)
     for im in (0.0, -0.0, 0.5, 2.0, -2.0)]
)  # fmt: skip

SPECIAL = (0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan)


def derivatives(name, z):
    """The first and the second derivative, from mpmath."""
    with mpmath.workdps(40):
        function, point = FUNCTIONS[name], mpmath.mpc(z.real, z.imag)
        return [complex(mpmath.diff(function, point, n)) for n in (1, 2)]


def weighted(z):
    """A number made of both parts of each element, none like another's."""
    z = np.ravel(z)
    weights = 1.0 + np.arange(np.size(z))
    return np.sum(weights * np.real(z)) + np.sum(np.cos(weights) * np.imag(z))


def made(re, im):
    """Complex numbers of their parts, infinities and signs of zeros kept."""
    z = np.zeros(np.shape(re), complex)
    z.real, z.imag = re, im
    return z


def is_close(found, wanted, ulps=2.0):
    """Whether numbers are NumPy's, to some units in the last place of their moduli."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    finite = np.isfinite(wanted)
    near = np.abs(found - wanted)[finite] <= ulps * np.spacing(np.abs(wanted[finite]))
    return bool(np.all(near) and np.all(np.isfinite(found) == finite))
