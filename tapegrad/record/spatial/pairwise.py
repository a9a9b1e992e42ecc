"""scipy.spatial.distance's functions of two vectors, whose own code wants arrays of floats.

`mahalanobis`, `hamming` and `jaccard` are recorded as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import numpy as np

from tapegrad.record.distributions.case_formulas import special
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import Row, is_held, no_rule, scipy_rule
from tapegrad.record.stopping import stop_gradient

_DISTANCE = "scipy.spatial.distance"


def _vector(u: Any) -> Any:
    u = operand(u)
    if u.ndim != 1:
        raise ValueError("Input vector should be 1-D.")
    return u


def _weights(w: Any) -> Any:
    w = _vector(w)
    if bool(np.any(w < 0)):
        raise ValueError("Input weights should be all non-negative")
    return w


def _root(total: Any, p: float) -> Any:
    """Return a root, which has the derivative 0 at 0."""
    is_zero = total == 0.0
    return np.where(is_zero, 0.0, np.where(is_zero, 1.0, total) ** (1.0 / p))


@scipy_rule(f"{_DISTANCE}.minkowski")
def minkowski(u: Any, v: Any, p: Any = 2, w: Any = None) -> Any:
    """Record the norm of the difference, of which w weights the powers."""
    if is_held(p):
        raise no_rule(f"{_DISTANCE}.minkowski by the order p of a norm", "hold it constant, or ")
    if p <= 0:
        raise ValueError("p must be greater than 0")
    difference = _vector(u) - _vector(v)
    if w is None:
        return np.linalg.norm(difference, p)
    w = _weights(w)
    if p == np.inf:
        return np.linalg.norm(np.where(w != 0.0, difference, 0.0), p)
    if not is_held(w):
        root = w if p == 1 else np.sqrt(w) if p == 2 else w ** (1.0 / p)
        return np.linalg.norm(root * difference, p)
    # A weight's root has no derivative at 0, where the sum has one.
    return _root(np.sum(w * np.abs(difference) ** p), p)


@scipy_rule(f"{_DISTANCE}.euclidean")
def euclidean(u: Any, v: Any, w: Any = None) -> Any:
    """Record the length of the difference."""
    return minkowski(u, v, 2, w)


@scipy_rule(f"{_DISTANCE}.seuclidean")
def seuclidean(u: Any, v: Any, V: Any) -> Any:  # noqa: N803  # SciPy's
    """Record the length of the difference by standard deviations."""
    u, v, variances = _vector(u), _vector(v), _vector(V)
    if not variances.shape[0] == u.shape[0] == v.shape[0]:
        raise TypeError("V must be a 1-D array of the same dimension as u and v.")
    return minkowski(u, v, 2, 1.0 / variances)


@scipy_rule(f"{_DISTANCE}.sqeuclidean")
def sqeuclidean(u: Any, v: Any, w: Any = None) -> Any:
    """Record the squared length of the difference."""
    difference = _vector(u) - _vector(v)
    return np.dot(difference, difference if w is None else _weights(w) * difference)


@scipy_rule(f"{_DISTANCE}.cityblock")
def cityblock(u: Any, v: Any, w: Any = None) -> Any:
    """Record the sum of absolute differences."""
    sizes = np.abs(_vector(u) - _vector(v))
    return np.sum(sizes if w is None else _weights(w) * sizes)


@scipy_rule(f"{_DISTANCE}.chebyshev")
def chebyshev(u: Any, v: Any, w: Any = None) -> Any:
    """Record the largest absolute difference of those that have a weight."""
    sizes = np.abs(_vector(u) - _vector(v))
    return np.max(sizes if w is None else np.where(_weights(w) > 0.0, sizes, 0.0))


@scipy_rule(f"{_DISTANCE}.correlation")
def correlation(u: Any, v: Any, w: Any = None, centered: Any = True) -> Any:
    """Record one less the correlation, which rounding doesn't take out of its bounds."""
    u, v = _vector(u), _vector(v)
    if w is None:
        share = np.full(u.shape, 1.0 / max(u.size, 1))
    else:
        w = _weights(w)
        share = w / np.sum(w)
    if centered:
        u, v = u - np.dot(u, share), v - np.dot(v, share)
    product, uu, vv = np.dot(u, v * share), np.dot(u, u * share), np.dot(v, v * share)
    found = 1.0 - product / np.sqrt(uu * vv)
    return found + stop_gradient(np.clip(found, 0.0, 2.0) - found)


@scipy_rule(f"{_DISTANCE}.cosine")
def cosine(u: Any, v: Any, w: Any = None) -> Any:
    """Record one less the cosine of the angle between two vectors."""
    return correlation(u, v, w, False)


@scipy_rule(f"{_DISTANCE}.canberra")
def canberra(u: Any, v: Any, w: Any = None) -> Any:
    """Record the sum of differences by sizes; what both have none of counts nothing."""
    u, v = _vector(u), _vector(v)
    sizes = np.abs(u) + np.abs(v)
    shares = np.where(sizes == 0.0, 0.0, np.abs(u - v) / np.where(sizes == 0.0, 1.0, sizes))
    return np.nansum(shares if w is None else _weights(w) * shares)


@scipy_rule(f"{_DISTANCE}.braycurtis")
def braycurtis(u: Any, v: Any, w: Any = None) -> Any:
    """Record the sum of differences by the sum of sums."""
    u, v = _vector(u), _vector(v)
    differences, sums = np.abs(u - v), np.abs(u + v)
    if w is not None:
        w = _weights(w)
        differences, sums = w * differences, w * sums
    return np.sum(differences) / np.sum(sums)


@scipy_rule(f"{_DISTANCE}.jensenshannon")
def jensenshannon(p: Any, q: Any, base: Any = None, *, axis: Any = 0, keepdims: Any = False) -> Any:
    """Record the root of the divergence of two distributions, of which each is divided by its sum.

    Its derivative is 0 where they're the same, and so is that by what neither has any of.
    """
    p, q = operand(p), operand(q)
    p = p / np.sum(p, axis=axis, keepdims=True)
    q = q / np.sum(q, axis=axis, keepdims=True)
    middle = (p + q) / 2.0
    is_nothing = middle == 0.0
    safe = np.where(is_nothing, 1.0, middle)
    rel_entr = special().rel_entr
    parts = [np.where(is_nothing, 0.0, rel_entr(np.where(is_nothing, 1.0, x), safe))
             for x in (p, q)]  # fmt: skip
    left, right = (np.sum(part, axis=axis, keepdims=keepdims) for part in parts)
    half = (left + right if base is None else (left + right) / np.log(base)) / 2.0
    return _root(half, 2.0)


REFUSED = ("dice", "directed_hausdorff", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
"""Functions of truth values, and what reads numbers in compiled code."""


class RefusedRow(Row):
    """A function of SciPy's that can't be recorded."""

    def __init__(self, name: str, function: FunctionType) -> None:
        super().__init__(name, function, function)

    def recorded(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Raise the error that names it."""
        raise no_rule(self.name)
