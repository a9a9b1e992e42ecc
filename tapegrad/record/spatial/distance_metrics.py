"""Derivatives of distances between points by the points and by a metric's parameter.

Each metric has a `pull` and a `push` for all pairs of two sets of points, written with NumPy's
names and sums over pairs, so that they compute and are recorded. Where two points coincide a
distance has no derivative and 0 is taken, of every order; squared distances have all theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.record.linear.shaped import total_of
from tapegrad.record.scipy.families import values_of
from tapegrad.record.spatial.pair_sums import (
    DIFFERENCE,
    LARGEST,
    Terms,
    derivative,
    pair_sum,
    term,
)


@dataclass(frozen=True)
class Pairs:
    """Two sets of points, their distances, and the metric's parameter: weights or a matrix."""

    a: Any
    b: Any
    parameter: Any
    distances: Any


Three = tuple[Any, Any, Any]
"""Something of a, b and the parameter; None where it's not wanted, or zero."""


class Metric:
    """What is constant: distances that count which coordinates differ."""

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints of a, b and the parameter."""
        return None, None, None

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the distances' tangent."""
        return None


def _factors(**given: Any) -> dict[str, Any]:
    return {indices: factor for indices, factor in given.items() if factor is not None}


def _inside(distances: Any, found: Any) -> Any:
    """Return 0 where points coincide."""
    return np.where(distances == 0.0, 0.0, found)


class SumOfTerms(Metric):
    """The root of a sum over coordinates, (sum of w f(a, b) / scale) ** (1 / root)."""

    def __init__(self, terms: Terms, root: float = 1.0, scale: float = 1.0,
                 by_a: Terms | None = None, by_b: Terms | None = None) -> None:  # fmt: skip
        self.terms, self.root, self.scale = terms, root, scale
        self.by_a = derivative(terms, "a") if by_a is None else by_a
        self.by_b = derivative(terms, "b") if by_b is None else by_b

    def _outer(self, distances: Any, factor: Any) -> Any:
        """Return a factor times the derivative of the distances by the sums."""
        if self.root == 1.0:
            return factor if self.scale == 1.0 else factor / self.scale
        power = 1.0 / distances if self.root == 2.0 else distances ** (1.0 - self.root)
        return _inside(distances, factor * power / (self.root * self.scale))

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints, sums over pairs."""
        weights = _factors(ij=self._outer(pairs.distances, adjoint), k=pairs.parameter)
        a, b = pairs.a, pairs.b
        return (
            pair_sum(self.by_a, "ik", a, b, weights) if wanted[0] else None,
            pair_sum(self.by_b, "jk", a, b, weights) if wanted[1] else None,
            pair_sum(self.terms, "k", a, b, {"ij": weights["ij"]}) if wanted[2] else None,
        )

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent, sums over coordinates."""
        a, b, weights = pairs.a, pairs.b, pairs.parameter
        da, db, dw = tangents
        total = total_of(
            None if da is None else pair_sum(self.by_a, "ij", a, b, _factors(ik=da, k=weights)),
            None if db is None else pair_sum(self.by_b, "ij", a, b, _factors(jk=db, k=weights)),
            None if dw is None else pair_sum(self.terms, "ij", a, b, {"k": dw}),
        )
        return None if total is None else self._outer(pairs.distances, total)


class Largest(SumOfTerms):
    """The largest difference of coordinates that have a weight; it's shared at ties."""

    def __init__(self) -> None:
        super().__init__(DIFFERENCE, by_a=LARGEST, by_b=term(-1.0, largest=1.0))

    @staticmethod
    def _masked(pairs: Pairs) -> tuple[Pairs, Any]:
        if pairs.parameter is None:
            return pairs, 1.0
        counts = pairs.parameter > 0.0
        a, b = (np.where(counts, x, 0.0) for x in (pairs.a, pairs.b))
        return Pairs(a, b, None, pairs.distances), np.where(counts, 1.0, 0.0)

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints."""
        masked, counts = self._masked(pairs)
        ga, gb, _ = super().pull(masked, adjoint, (*wanted[:2], False))
        return None if ga is None else ga * counts, None if gb is None else gb * counts, None

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent."""
        masked, counts = self._masked(pairs)
        da, db, _ = (None if tangent is None else tangent * counts for tangent in tangents)
        return super().push(masked, (da, db, None))


class Standardised(SumOfTerms):
    """Euclidean distances weighted by inverse variances."""

    def __init__(self) -> None:
        super().__init__(term(distance=2.0), root=2.0)

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints."""
        inverse = 1.0 / pairs.parameter
        weighted = Pairs(pairs.a, pairs.b, inverse, pairs.distances)
        ga, gb, gw = super().pull(weighted, adjoint, wanted)
        return ga, gb, None if gw is None else -gw * inverse * inverse

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent."""
        inverse = 1.0 / pairs.parameter
        da, db, dv = tangents
        dw = None if dv is None else -dv * inverse * inverse
        return super().push(Pairs(pairs.a, pairs.b, inverse, pairs.distances), (da, db, dw))


class BrayCurtis(Metric):
    """Sums of differences by sums of sums."""

    differences, sums = SumOfTerms(term(distance=1.0)), SumOfTerms(term(sum=1.0))

    @staticmethod
    def _denominator(pairs: Pairs) -> Any:
        weights = _factors(k=pairs.parameter)
        return pair_sum(term(sum=1.0), "ij", pairs.a, pairs.b, weights)

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints of a quotient."""
        share = _inside(pairs.distances, adjoint / self._denominator(pairs))
        above = self.differences.pull(pairs, share, wanted)
        below = self.sums.pull(pairs, -share * pairs.distances, wanted)
        ga, gb, gw = map(total_of, above, below)
        return ga, gb, gw

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent of a quotient."""
        above = self.differences.push(pairs, tangents)
        if above is None:
            return None
        change = above - pairs.distances * self.sums.push(pairs, tangents)
        return _inside(pairs.distances, change / self._denominator(pairs))


class JensenShannon(SumOfTerms):
    """Distances of distributions: rows that are divided by their sums."""

    def __init__(self) -> None:
        terms = term(a=1.0, log_a=1.0) + term(b=1.0, log_b=1.0)
        super().__init__(terms, 2.0, 2.0, term(log_a=1.0), term(log_b=1.0))

    @staticmethod
    def _normalised(pairs: Pairs) -> tuple[Pairs, list[Any]]:
        sums = [np.sum(x, axis=1)[:, None] for x in (pairs.a, pairs.b)]
        return Pairs(pairs.a / sums[0], pairs.b / sums[1], None, pairs.distances), sums

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints, through the sums."""
        shares, sums = self._normalised(pairs)
        found = super().pull(shares, adjoint, (*wanted[:2], False))
        ga, gb = (
            None if g is None else
            (g - np.sum(np.where(x == 0.0, 0.0, g * x), axis=1)[:, None]) / total
            for g, x, total in zip(found, (shares.a, shares.b), sums, strict=False)
        )  # fmt: skip
        return ga, gb, None

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent, through the sums."""
        shares, sums = self._normalised(pairs)
        da, db = (
            None if t is None else (t - x * np.sum(t, axis=1)[:, None]) / total
            for t, x, total in zip(tangents, (shares.a, shares.b), sums, strict=False)
        )
        return super().push(shares, (da, db, None))


class Mahalanobis(Metric):
    """Distances by a quadratic form, of which the symmetric part counts."""

    @staticmethod
    def _weights(distances: Any, factor: Any) -> Any:
        return _inside(distances, 0.5 * factor / distances)

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints."""
        a, b, form = pairs.a, pairs.b, pairs.parameter
        weights = {"ij": self._weights(pairs.distances, adjoint)}
        rows = pair_sum(DIFFERENCE, "ik", a, b, weights) if wanted[0] or wanted[2] else None
        columns = -pair_sum(DIFFERENCE, "jk", a, b, weights) if wanted[1] or wanted[2] else None
        both = form + form.T
        middle = np.mean(values_of(a), axis=0)  # which doesn't matter, but for rounding
        return (
            rows @ both if wanted[0] else None,
            columns @ both if wanted[1] else None,
            (a - middle).T @ rows + (b - middle).T @ columns if wanted[2] else None,
        )

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent."""
        a, b, form = pairs.a, pairs.b, pairs.parameter
        da, db, dform = tangents
        both, terms = form + form.T, []
        if da is not None:
            terms.append(pair_sum(DIFFERENCE, "ij", a, b, {"ik": da @ both}))
        if db is not None:
            terms.append(pair_sum(DIFFERENCE, "ij", a, b, {"jk": -db @ both}))
        if dform is not None:
            middle = np.mean(values_of(a), axis=0)
            terms.append(pair_sum(DIFFERENCE, "ij", a, b, {"ik": (a - middle) @ dform}))
            terms.append(pair_sum(DIFFERENCE, "ij", a, b, {"jk": (middle - b) @ dform}))
        total = total_of(*terms)
        return None if total is None else self._weights(pairs.distances, total)


class Cosine(Metric):
    """One less the cosine of the angle between points, or between their deviations from means."""

    def __init__(self, is_centered: bool) -> None:
        self.is_centered = is_centered

    def _prepared(self, pairs: Pairs) -> tuple[Any, Any, Any]:
        """Return the points, from their means, and weights that sum to one."""
        w = pairs.parameter
        w = np.ones(pairs.a.shape[1]) if w is None else w
        w = w / np.sum(w)
        if not self.is_centered:
            return pairs.a, pairs.b, w
        return pairs.a - (pairs.a @ w)[:, None], pairs.b - (pairs.b @ w)[:, None], w

    def pull(self, pairs: Pairs, adjoint: Any, wanted: tuple[bool, bool, bool]) -> Three:
        """Return the adjoints."""
        a, b, w = self._prepared(pairs)
        xx, yy = (a * a) @ w, (b * b) @ w
        shares = -adjoint / np.sqrt(xx[:, None] * yy)
        turned = adjoint * (1.0 - pairs.distances)
        sx, sy = np.sum(turned, axis=1) / xx, np.sum(turned, axis=0) / yy
        by_a, by_b = shares @ b + sx[:, None] * a, shares.T @ a + sy[:, None] * b
        ga, gb = by_a * w, by_b * w
        gw = None
        if wanted[2]:
            gw = np.sum(a * (shares @ b), axis=0) + 0.5 * (sx @ (a * a) + sy @ (b * b))
        if self.is_centered:
            total_a, total_b = np.sum(ga, axis=1), np.sum(gb, axis=1)
            ga, gb = ga - total_a[:, None] * w, gb - total_b[:, None] * w
            if gw is not None:
                gw = gw - total_a @ a - total_b @ b
        if gw is not None:
            gw = (gw - gw @ w) / np.sum(pairs.parameter)
        return ga if wanted[0] else None, gb if wanted[1] else None, gw

    def push(self, pairs: Pairs, tangents: Three) -> Any:
        """Return the tangent."""
        a, b, w = self._prepared(pairs)
        da, db, dw = (0.0 if tangent is None else tangent for tangent in tangents)
        if tangents[2] is not None:
            dw = (dw - w * np.sum(dw)) / np.sum(pairs.parameter)
        if self.is_centered:
            da, db = (
                dx - (np.sum(dx * w, axis=1)[:, None] if np.ndim(dx) else 0.0)
                - (np.sum(x * dw, axis=1)[:, None] if np.ndim(dw) else 0.0)
                for dx, x in ((da, a), (db, b))
            )  # fmt: skip
        xx, yy = (a * a) @ w, (b * b) @ w
        norms = np.sqrt(xx[:, None] * yy)
        products = (da * w + 0.5 * a * dw) @ b.T + a @ (db * w + 0.5 * b * dw).T
        dxx = np.sum(a * (2.0 * da * w + a * dw), axis=1) / xx
        dyy = np.sum(b * (2.0 * db * w + b * dw), axis=1) / yy
        cosine = 1.0 - pairs.distances
        return 0.5 * cosine * (dxx[:, None] + dyy) - products / norms


def minkowski(p: float) -> Metric:
    """Return the metric of the norm of some order."""
    if p == np.inf:
        return Largest()
    return SumOfTerms(term(distance=p), root=p)


METRICS: Mapping[str, Metric] = {
    "euclidean": minkowski(2.0),
    "sqeuclidean": SumOfTerms(term(distance=2.0)),
    "cityblock": minkowski(1.0),
    "chebyshev": Largest(),
    "seuclidean": Standardised(),
    "mahalanobis": Mahalanobis(),
    "cosine": Cosine(is_centered=False),
    "correlation": Cosine(is_centered=True),
    "canberra": SumOfTerms(term(distance=1.0, sizes=-1.0)),
    "braycurtis": BrayCurtis(),
    "jensenshannon": JensenShannon(),
}
