"""Formulas of distributions in place of what SciPy has in compiled code, or finds by search."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.distributions import scipy_private
from tapegrad.record.distributions.case_formulas import (
    _tukeylambda_density,
    special,
    with_value,
)
from tapegrad.record.distributions.quantiles import steps
from tapegrad.record.distributions.scipy_code import formula
from tapegrad.record.functions.operands import is_active
from tapegrad.record.functions.registry import RULES
from tapegrad.record.scipy.recognised import on_import


@formula("tukeylambda_gen._cdf")
def _tukeylambda_cdf(self: Any, x: Any, lam: Any) -> Any:
    value = steps(self.scipys, "cdf", [x, lam])
    q = value
    for _ in range(2):
        q = q - (self._ppf(q, lam) - x) * _tukeylambda_density(q, lam)
    return with_value(q, value)


# --- logarithms -------------------------------------------------------------------------------


@formula("rv_continuous._logcdf", "rv_generic._logcdf")
def _logcdf(self: Any, x: Any, *shapes: Any) -> Any:
    """Return the logarithm of the smaller of the cdf and its complement, or of one without it."""
    lower, upper = self._cdf(x, *shapes), self._sf(x, *shapes)
    return np.where(lower < 0.5, np.log(lower), np.log1p(-upper))


@formula("rv_continuous._logsf", "rv_generic._logsf")
def _logsf(self: Any, x: Any, *shapes: Any) -> Any:
    """Return the same of the complement."""
    lower, upper = self._cdf(x, *shapes), self._sf(x, *shapes)
    return np.where(upper < 0.5, np.log(upper), np.log1p(-lower))


# --- sums over whole numbers ------------------------------------------------------------------


def _whole(number: Any) -> int:
    """Return a parameter that's one whole number, which has no derivative."""
    plain = np.unique(np.asarray(number))
    if plain.size != 1:
        raise UnsupportedFunctionError("a sum of as many terms as an array says")
    return int(plain[0])


@formula("rv_discrete._cdf")
def _sum_of_masses(self: Any, k: Any, *shapes: Any) -> Any:
    """Return the sum of the masses from the lowest number on, as SciPy does."""
    low, _ = self._get_support(*shapes)
    if is_active(low) or not np.all(np.isfinite(low)):
        raise UnsupportedFunctionError("a sum of infinitely many masses")
    last, first = np.floor(np.asarray(k)), float(np.min(low))
    count = max(int(np.max(last, initial=first) - first) + 1, 1)
    if count * max(map(np.size, shapes), default=1) > _MOST_MASSES:
        raise UnsupportedFunctionError(f"a sum of {count:,} masses")
    n_dimensions = max([last.ndim, *map(np.ndim, shapes)])
    m = first + np.arange(count, dtype=float).reshape(-1, *(1,) * n_dimensions)
    sums = np.cumsum(np.where(m >= low, self._pmf(m, *shapes), 0.0), axis=0)
    size = np.broadcast_shapes(last.shape, sums.shape[1:])
    index = np.clip(np.broadcast_to(last, size) - first, 0, count - 1).astype(np.intp)
    if sums.shape[1:] == (1,) * n_dimensions:
        return sums.reshape(-1)[index]
    sums = np.broadcast_to(sums, (count, *size))
    return sums.reshape(count, -1)[index.reshape(-1), np.arange(index.size)].reshape(size)


_MOST_MASSES = 1_000_000


@formula("zipfian_gen._logpmf")
def _zipfian_logpmf(self: Any, k: Any, a: Any, n: Any) -> Any:
    j = np.log(np.arange(1.0, _whole(n) + 1.0)).reshape(-1, *(1,) * np.ndim(a))
    return -a * np.log(k) - np.log(np.sum(np.exp(-a * j), axis=0))


@formula("zipfian_gen._pmf")
def _zipfian_pmf(self: Any, k: Any, a: Any, n: Any) -> Any:
    return np.exp(self._logpmf(k, a, n))


formula("zipfian_gen._cdf")(_sum_of_masses)


@formula("zipfian_gen._sf")
def _zipfian_sf(self: Any, k: Any, a: Any, n: Any) -> Any:
    return 1.0 - self._cdf(k, a, n)


@formula("nchypergeom_fisher_gen._logpmf")
def _fisher_logpmf(self: Any, x: Any, M: Any, n: Any, N: Any, odds: Any) -> Any:  # noqa: N803
    total, good, draws = map(_whole, (M, n, N))
    low, high = max(0, draws - (total - good)), min(good, draws)

    def log_weight(k: Any) -> Any:
        ways = -special().betaln(k + 1.0, good - k + 1.0) - special().betaln(
            draws - k + 1.0, total - good - draws + k + 1.0
        )
        return ways + k * np.log(odds)

    k = np.arange(low, high + 1.0).reshape(-1, *(1,) * np.ndim(odds))
    weights = log_weight(k)
    top = np.max(weights.primal if is_active(weights) else weights, axis=0)
    return log_weight(x) - top - np.log(np.sum(np.exp(weights - top), axis=0))


@formula("nchypergeom_fisher_gen._pmf")
def _fisher_pmf(self: Any, x: Any, M: Any, n: Any, N: Any, odds: Any) -> Any:  # noqa: N803
    return np.exp(self._logpmf(x, M, n, N, odds))


# --- of compiled code --------------------------------------------------------------------------


@formula("binom_gen._pmf")
def _binom_pmf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return np.exp(self._logpmf(x, n, p))


@formula("binom_gen._cdf")
def _binom_cdf(self: Any, x: Any, n: Any, p: Any) -> Any:
    k = np.floor(x)
    return special().betaincc(k + 1.0, n - k, p)


@formula("binom_gen._sf")
def _binom_sf(self: Any, x: Any, n: Any, p: Any) -> Any:
    k = np.floor(x)
    return special().betainc(k + 1.0, n - k, p)


@formula("nbinom_gen._pmf")
def _nbinom_pmf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return np.exp(self._logpmf(x, n, p))


@formula("nbinom_gen._cdf")
def _nbinom_cdf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return special().betainc(n, np.floor(x) + 1.0, p)


@formula("nbinom_gen._sf")
def _nbinom_sf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return special().betaincc(n, np.floor(x) + 1.0, p)


@formula("nbinom_gen._logcdf")
def _nbinom_logcdf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return np.log(self._cdf(x, n, p))


@formula("beta_gen._pdf")
def _beta_pdf(self: Any, x: Any, a: Any, b: Any) -> Any:
    return np.exp(self._logpdf(x, a, b))


@formula("genhyperbolic_gen._logpdf")
def _genhyperbolic_logpdf(self: Any, x: Any, p: Any, a: Any, b: Any) -> Any:
    t, s = np.sqrt((a - b) * (a + b)), np.hypot(1.0, x)
    bessel = np.log(special().kve(p - 0.5, a * s)) - a * s
    constant = (p * np.log(t) - 0.5 * math.log(2.0 * math.pi) - (p - 0.5) * np.log(a)
                - np.log(special().kve(p, t)) + t)  # fmt: skip
    return constant + bessel + b * x + (p - 0.5) * np.log(s)


@formula("genhyperbolic_gen._pdf")
def _genhyperbolic_pdf(self: Any, x: Any, p: Any, a: Any, b: Any) -> Any:
    return np.exp(self._logpdf(x, p, a, b))


@formula("geninvgauss_gen._logpdf")
def _geninvgauss_logpdf(self: Any, x: Any, p: Any, b: Any) -> Any:
    exponent = (p - 1.0) * np.log(x) - 0.5 * b * (x + 1.0 / x)
    return exponent - math.log(2.0) - np.log(special().kve(p, b)) + b


@formula("geninvgauss_gen._pdf")
def _geninvgauss_pdf(self: Any, x: Any, p: Any, b: Any) -> Any:
    return np.exp(self._logpdf(x, p, b))


@on_import(scipy_private.BOOST)
def _prepare(module: Any) -> None:
    """Give rules to compiled functions of two numbers at most that distributions call."""
    log1mexp = getattr(module, "_log1mexp", None)
    if log1mexp is not None:
        RULES[log1mexp] = _log1mexp


def _log1mexp(x: Any) -> Any:
    return np.where(x < -0.7, np.log1p(-np.exp(x)), np.log(-np.expm1(x)))


# --- of one parameter or none -----------------------------------------------------------------


@formula("irwinhall_gen._pdf")
def _irwinhall_pdf(self: Any, x: Any, n: Any) -> Any:
    count = _whole(n)
    y = np.minimum(x, count - x)
    terms = [
        (-1) ** k * math.comb(count, k) * np.maximum(y - k, 0.0) ** (count - 1)
        for k in range(count // 2 + 1)
    ]
    return sum(terms[1:], terms[0]) / math.factorial(count - 1)


@formula("kstwobign_gen._pdf")
def _kstwobign_pdf(self: Any, x: Any) -> Any:
    """Return the derivative of Kolmogorov's limit, of which one of two series is short."""
    square = np.square(x)
    upper: Any = 0.0
    for k in range(1, 7):
        upper = upper + (-1) ** (k - 1) * 8.0 * k**2 * x * np.exp(-2.0 * k**2 * square)
    lower: Any = 0.0
    for k in range(1, 7):
        c = (2 * k - 1) ** 2 * math.pi**2 / 8.0
        lower = lower + (2.0 * c / square - 1.0) * np.exp(-c / square)
    return np.where(x > 1.0, upper, math.sqrt(2.0 * math.pi) * lower / square)
