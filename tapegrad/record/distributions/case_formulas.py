"""Formulas of distributions in place of SciPy's, where one of its cases removes a singularity.

`log1p(c * x) / c` is written as `x / exprel(log1p(c * x))`, which needs no case at c = 0 and has
all of its derivatives there. What SciPy returns within a threshold of such a number, it keeps
returning: `with_value` gives a formula a value of another's.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE
from tapegrad.record.distributions.scipy_code import formula, scipys
from tapegrad.record.functions.operands import is_active
from tapegrad.record.functions.registry import record
from tapegrad.record.plain import has_derivative
from tapegrad.record.stopping import stop_gradient

_LOG_2PI = math.log(2.0 * math.pi)


def special() -> Any:
    """Return scipy.special."""
    return sys.modules["scipy.special"]


def with_value(found: Any, value: Any) -> Any:
    """Return what has the derivatives of one formula and the value of another."""
    return stop_gradient(value) + (found - stop_gradient(found))


def _moment(order: float, v: Any) -> Any:
    """Return the integral of `t**order * exp(t * v)` from 0 to 1."""
    if not is_active(v):
        exprel = special().exprel(v)
        if order == 0:
            return exprel
        nonzero = np.where(v == 0.0, 1.0, v)
        return np.where(np.abs(v) < 1e-2, 0.5 + v / 3.0 + v**2 / 8.0 + v**3 / 30.0 + v**4 / 144.0,
                        (np.exp(v) - exprel) / nonzero)  # fmt: skip
    return record(CODE["exponential_moment"], order, v)


def log1p_over(c: Any, x: Any) -> Any:
    """Return `log1p(c * x) / c`, which is x at c = 0."""
    return x / special().exprel(np.log1p(c * x))


def expm1_over(c: Any, x: Any) -> Any:
    """Return `expm1(c * x) / c`, which is x at c = 0."""
    return x * special().exprel(c * x)


def norm_logpdf(x: Any) -> Any:
    """Return the logarithm of the standard normal density."""
    return -0.5 * np.square(x) - 0.5 * _LOG_2PI


# --- generalised Pareto -----------------------------------------------------------------------


@formula("genpareto_gen._logpdf")
def _genpareto_logpdf(self: Any, x: Any, c: Any) -> Any:
    return np.where((c <= -1.0) & (x >= 1.0), 0.0, -(c + 1.0) * log1p_over(c, x))


@formula("genpareto_gen._logsf")
def _genpareto_logsf(self: Any, x: Any, c: Any) -> Any:
    return -log1p_over(c, x)


@formula("genpareto_gen._sf")
def _genpareto_sf(self: Any, x: Any, c: Any) -> Any:
    return np.exp(-log1p_over(c, x))


@formula("genpareto_gen._cdf")
def _genpareto_cdf(self: Any, x: Any, c: Any) -> Any:
    return -np.expm1(-log1p_over(c, x))


@formula("genpareto_gen._ppf")
def _genpareto_ppf(self: Any, q: Any, c: Any) -> Any:
    return expm1_over(c, -np.log1p(-q))


@formula("genpareto_gen._isf")
def _genpareto_isf(self: Any, q: Any, c: Any) -> Any:
    return expm1_over(c, -np.log(q))


# --- generalised extreme values ---------------------------------------------------------------


@formula("genextreme_gen._loglogcdf")
def _genextreme_loglogcdf(self: Any, x: Any, c: Any) -> Any:
    return -log1p_over(-c, x)


@formula("genextreme_gen._logpdf")
def _genextreme_logpdf(self: Any, x: Any, c: Any) -> Any:
    exponent = self._loglogcdf(x, c)
    return np.where(c * x >= 1.0, -np.inf, -np.exp(exponent) + exponent - np.log1p(-c * x))


@formula("genextreme_gen._ppf")
def _genextreme_ppf(self: Any, q: Any, c: Any) -> Any:
    return expm1_over(-c, -np.log(-np.log(q)))


@formula("genextreme_gen._isf")
def _genextreme_isf(self: Any, q: Any, c: Any) -> Any:
    return expm1_over(-c, -np.log(-np.log1p(-q)))


@formula("genextreme_gen._stats")
def _genextreme_stats(self: Any, c: Any) -> Any:
    refuse_near(0.0, 1e-3, c, "genextreme")
    return scipys(self, "_stats")(c)


def refuse_near(number: float, distance: float, parameter: Any, name: str) -> None:
    """Raise where SciPy's formula has a case near a number, which has no derivative by it."""
    is_variable = is_active(parameter) and has_derivative(parameter)
    if is_variable and bool(np.any(np.abs(parameter - number) < distance)):
        raise UnsupportedFunctionError(f"{name} with a parameter within {distance:g} of {number:g}")


# --- Pearson's type III -----------------------------------------------------------------------

_TRANSITION = 1.6e-5  # SciPy's, below which it takes the normal distribution
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def _stirling(w: Any) -> Any:
    """Return `gammaln(a) - (a - 1/2) * log(a) + a - log(2 pi) / 2` of a = 1 / w."""
    series = 0.0
    for term in reversed(_STIRLING):
        series = term + np.square(w) * series
    a = 1.0 / w
    whole = special().gammaln(a) - (a - 0.5) * np.log(a) + a - 0.5 * _LOG_2PI
    return np.where(w < 0.05, w * series, whole)


@formula("pearson3_gen._logpdf")
def _pearson3_logpdf(self: Any, x: Any, skew: Any) -> Any:
    v = np.log1p(0.5 * skew * x)
    first = _moment(0.0, v)
    # (log1p(u) - u) / u**2 of u = skew * x / 2
    shape = (_moment(1.0, v) - first) / np.square(first)
    found = np.square(x) * shape - v - _stirling(0.25 * np.square(skew)) - 0.5 * _LOG_2PI
    return np.where(np.abs(skew) < _TRANSITION, with_value(found, norm_logpdf(x)), found)


@formula("pearson3_gen._pdf")
def _pearson3_pdf(self: Any, x: Any, skew: Any) -> Any:
    return np.exp(self._logpdf(x, skew))


def _away_from_normal(method: str) -> None:
    @formula(f"pearson3_gen.{method}")
    def rule(self: Any, x: Any, skew: Any) -> Any:
        refuse_near(0.0, 1e-3, skew, "pearson3")
        return scipys(self, method)(x, skew)


for _name in ("_cdf", "_sf", "_ppf"):
    _away_from_normal(_name)


# --- Student's t ------------------------------------------------------------------------------


@formula("t_gen._logpdf")
def _t_logpdf(self: Any, x: Any, df: Any) -> Any:
    found = (-special().betaln(0.5 * df, 0.5) - 0.5 * np.log(df)
             - 0.5 * (df + 1.0) * np.log1p(np.square(x) / df))  # fmt: skip
    return np.where(df < np.inf, found, norm_logpdf(x)) if _may_be_infinite(df) else found


def _may_be_infinite(df: Any) -> bool:
    return is_active(df) or bool(np.any(df == np.inf))


@formula("t_gen._pdf")
def _t_pdf(self: Any, x: Any, df: Any) -> Any:
    return np.exp(self._logpdf(x, df))


# --- skewed normal ----------------------------------------------------------------------------


@formula("skewnorm_gen._logpdf")
def _skewnorm_logpdf(self: Any, x: Any, a: Any) -> Any:
    return math.log(2.0) + norm_logpdf(x) + special().log_ndtr(a * x)


@formula("skewnorm_gen._pdf")
def _skewnorm_pdf(self: Any, x: Any, a: Any) -> Any:
    return 2.0 * np.exp(norm_logpdf(x)) * special().ndtr(a * x)


# --- kappa of four parameters -----------------------------------------------------------------


def _kappa4_logcdf_of(h: Any, k: Any, x: Any) -> tuple[Any, Any]:
    exponent = -log1p_over(-k, x)
    return exponent, -log1p_over(-h, np.exp(exponent))


@formula("kappa4_gen._get_support")
def _kappa4_get_support(self: Any, h: Any, k: Any) -> Any:
    bound = 1.0 / k
    low = np.where(h > 0.0, -expm1_over(k, -np.log(h)), np.where(k < 0.0, bound, -np.inf))
    return low, np.where(k > 0.0, bound, np.inf)


@formula("kappa4_gen._logpdf")
def _kappa4_logpdf(self: Any, x: Any, h: Any, k: Any) -> Any:
    exponent, logcdf = _kappa4_logcdf_of(h, k, x)
    return (1.0 - k) * exponent + (1.0 - h) * logcdf


@formula("kappa4_gen._logcdf")
def _kappa4_logcdf(self: Any, x: Any, h: Any, k: Any) -> Any:
    return _kappa4_logcdf_of(h, k, x)[1]


@formula("kappa4_gen._ppf")
def _kappa4_ppf(self: Any, q: Any, h: Any, k: Any) -> Any:
    return -expm1_over(k, np.log(-expm1_over(h, np.log(q))))


# --- truncated normal -------------------------------------------------------------------------


def log_mass(a: Any, b: Any) -> Any:
    """Return the logarithm of a standard normal variable's probability to be between two."""
    is_right = a > 0.0  # where the lower tail has more digits than the upper one
    low, high = np.where(is_right, -b, a), np.where(is_right, -a, b)
    log_high = special().log_ndtr(high)
    d = special().log_ndtr(low) - log_high
    return log_high + np.where(d < -0.7, np.log1p(-np.exp(d)), np.log(-np.expm1(d)))


@formula("truncnorm_gen._logpdf")
def _truncnorm_logpdf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return norm_logpdf(x) - log_mass(a, b)


@formula("truncnorm_gen._logcdf")
def _truncnorm_logcdf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return log_mass(a, x) - log_mass(a, b)


@formula("truncnorm_gen._logsf")
def _truncnorm_logsf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return log_mass(x, b) - log_mass(a, b)


@formula("truncnorm_gen._cdf")
def _truncnorm_cdf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return np.exp(self._logcdf(x, a, b))


@formula("truncnorm_gen._sf")
def _truncnorm_sf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return np.exp(self._logsf(x, a, b))


# --- Tukey's lambda ---------------------------------------------------------------------------


@formula("tukeylambda_gen._ppf")
def _tukeylambda_ppf(self: Any, q: Any, lam: Any) -> Any:
    return expm1_over(lam, np.log(q)) - expm1_over(lam, np.log1p(-q))


def _tukeylambda_density(q: Any, lam: Any) -> Any:
    return 1.0 / (np.exp((lam - 1.0) * np.log(q)) + np.exp((lam - 1.0) * np.log1p(-q)))


@formula("tukeylambda_gen._pdf")
def _tukeylambda_pdf(self: Any, x: Any, lam: Any) -> Any:
    return _tukeylambda_density(self._cdf(x, lam), lam)
