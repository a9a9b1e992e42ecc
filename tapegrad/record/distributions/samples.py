"""Statistics of samples, and densities estimated from them, as scipy.stats has them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tapegrad.record.distributions import scipy_private
from tapegrad.record.functions.operands import axes_of
from tapegrad.record.functions.registry import NAMED, SPECIAL_RULES
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import Row, no_rule, on_import, scipy_rule
from tapegrad.record.trampolines import stand_for

# --- moments ----------------------------------------------------------------------------------


def _count(a: Any, axis: Any) -> int:
    return math.prod(a.shape[k] for k in axes_of(a.ndim, axis))


def _central(a: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return deviations from the mean, their variance, and where it's zero but for rounding."""
    mean = np.mean(a, axis=axis, keepdims=True)
    deviation = a - mean
    variance = np.mean(np.square(deviation), axis=axis, keepdims=True)
    return deviation, variance, variance <= np.square(np.finfo(np.float64).eps * mean)


def _reduced(found: Any, axis: Any, keepdims: bool) -> Any:
    return found if keepdims else np.squeeze(found, axis=axes_of(found.ndim, axis))


@scipy_rule("scipy.stats.zscore")
def _zscore(a: Any, axis: Any = 0, ddof: Any = 0) -> Any:
    a = operand(a)
    deviation, variance, is_constant = _central(a, axis)
    n = _count(a, axis)
    found = deviation / np.sqrt(variance * (n / (n - ddof)))
    return np.where(is_constant, np.nan, found)


@scipy_rule("scipy.stats.skew")
def _skew(a: Any, axis: Any = 0, bias: bool = True, *, keepdims: bool = False) -> Any:
    a = operand(a)
    deviation, variance, is_constant = _central(a, axis)
    third = np.mean(deviation * np.square(deviation), axis=axis, keepdims=True)
    found, n = third / variance**1.5, _count(a, axis)
    if not bias and n > 2:
        found = found * (math.sqrt((n - 1.0) * n) / (n - 2.0))
    return _reduced(np.where(is_constant, np.nan, found), axis, keepdims)


@scipy_rule("scipy.stats.kurtosis")
def _kurtosis(a: Any, axis: Any = 0, fisher: bool = True, bias: bool = True, *,
              keepdims: bool = False) -> Any:  # fmt: skip
    a = operand(a)
    deviation, variance, is_constant = _central(a, axis)
    found = np.mean(np.square(np.square(deviation)), axis=axis, keepdims=True) / np.square(variance)
    n = _count(a, axis)
    if not bias and n > 3:
        excess = ((n * n - 1.0) * found - 3.0 * (n - 1.0) ** 2) / ((n - 2.0) * (n - 3.0))
        found = excess + 3.0
    found = np.where(is_constant, np.nan, found)
    return _reduced(found - 3.0 if fisher else found, axis, keepdims)


class Correlation:
    """What `pearsonr` returns: its statistic has derivatives, the rest is refused."""

    def __init__(self, statistic: Any) -> None:
        self.statistic = self.correlation = statistic

    @property
    def pvalue(self) -> Any:
        """Refuse: it has no rule."""
        raise no_rule("the pvalue of scipy.stats.pearsonr", "use its statistic alone, or ")

    def __getitem__(self, k: int) -> Any:
        return (self.statistic, None)[k] if k == 0 else self.pvalue

    def __iter__(self) -> Iterator[Any]:
        return iter((self.statistic, self.pvalue))


@scipy_rule("scipy.stats.pearsonr")
def _pearsonr(x: Any, y: Any, *, axis: Any = 0) -> Correlation:
    x, y = operand(x), operand(y)
    x = x - np.mean(x, axis=axis, keepdims=True)
    y = y - np.mean(y, axis=axis, keepdims=True)
    products = np.sum(x * y, axis=axis)
    squares = np.sum(np.square(x), axis=axis) * np.sum(np.square(y), axis=axis)
    # SciPy's keeps rounding from taking it beyond.
    return Correlation(np.clip(products / np.sqrt(squares), -1.0, 1.0))


# --- estimated densities ----------------------------------------------------------------------


def _logpdf(self: Any, x: Any) -> Any:
    points = operand(x)
    points = points.reshape(1, -1) if points.ndim < 2 else points
    if points.shape[0] != self.d:
        if points.shape != (1, self.d):
            raise ValueError(f"points have dimension {points.shape[0]}, "
                             f"dataset has dimension {self.d}")  # fmt: skip
        points = points.reshape(self.d, 1)
    whitening = np.linalg.inv(self.cho_cov)
    white = whitening @ points
    distances: Any = 0.0
    for own, data in zip(white, whitening @ self.dataset, strict=True):
        distances = distances + np.square(own[:, np.newaxis] - data)
    constant = np.sum(np.log(np.diag(self.cho_cov))) + 0.5 * self.d * math.log(2.0 * math.pi)
    terms = np.log(self.weights) - 0.5 * distances
    return SPECIAL_RULES["logsumexp"](terms, axis=1) - constant


def _evaluate(self: Any, points: Any) -> Any:
    return np.exp(_logpdf(self, points))


def _refuse(self: Any, *args: Any, **kwds: Any) -> None:
    raise no_rule("scipy.stats.gaussian_kde of active data or bandwidths")


@on_import(scipy_private.DENSITY_ESTIMATES)
def _prepare(module: Any) -> None:
    """Have the methods replaced."""
    kind = vars(module.gaussian_kde)
    rules = {"logpdf": _logpdf, "evaluate": _evaluate, "__init__": _refuse,
             "set_bandwidth": _refuse}  # fmt: skip
    stand_for({
        kind[name]: Row(f"scipy.stats.gaussian_kde.{name}", kind[name], rule).neutral
        for name, rule in rules.items()
    })  # fmt: skip


NAMED.update(f"scipy.stats.gaussian_kde.{name}" for name in ("logpdf", "evaluate", "pdf"))
