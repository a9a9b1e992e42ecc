"""scipy.spatial.distance's cdist, pdist and squareform: a block for all pairs of points.

A distance's value is SciPy's own, its derivatives are in `distance_metrics`. A metric that is a
function is called on rows, as SciPy does, and what it computes is recorded.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.array import ActiveArray
from tapegrad.record.creation import as_array
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.linear.shaped import ShapedBlock, applied
from tapegrad.record.scipy.families import operand, values_of
from tapegrad.record.scipy.recognised import Row, is_held, no_rule, on_import, scipy_rule
from tapegrad.record.spatial.distance_metrics import METRICS, Metric, Pairs, minkowski
from tapegrad.record.spatial.pairwise import REFUSED, RefusedRow
from tapegrad.record.trampolines import stand_for

_DISTANCE = "scipy.spatial.distance"


def scipys() -> Any:
    """Return scipy.spatial.distance itself."""
    return importlib.import_module(_DISTANCE)


# --- the block --------------------------------------------------------------------------------


class Distances(ShapedBlock):
    """Distances of all pairs of points, of two sets or of one.

    Options are the metric, its order where it has one, the keyword that the last operand is given
    by, if there is one, and SciPy's function; `pdist` has one set, and counts its pairs once.
    """

    title = "distances"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shape of a matrix, or of what is above its diagonal."""
        n = operand_shapes[0][0]
        if self.options[3] == "pdist":
            return ((n * (n - 1) // 2,),)
        return ((n, operand_shapes[1][0]),)

    @property
    def _metric(self) -> Metric:
        name, order, *_ = self.options
        if name == "minkowski":
            return minkowski(order)
        return METRICS.get(name) or Metric()

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return SciPy's distances."""
        name, order, keyword, function = self.options
        if function == "distance_matrix":
            return [_spatial().distance_matrix(*operands, order)]
        n_sets = 1 if function == "pdist" else 2
        given = {} if keyword is None else {keyword: operands[n_sets]}
        if order is not None:
            given["p"] = order
        return [np.asarray(getattr(scipys(), function)(*operands[:n_sets], name, **given))]

    @property
    def _is_one(self) -> bool:
        return bool(self.options[3] == "pdist")

    def _pairs(self, operands: Sequence[Any], results: Sequence[Any]) -> Pairs:
        is_one, keyword = self._is_one, self.options[2]
        a, b = operands[0], operands[0] if is_one else operands[1]
        parameter = None if keyword is None else operands[-1]
        return Pairs(a, b, parameter, self._matrix(results[0]))

    def _matrix(self, numbers: Any) -> Any:
        """Return numbers of pairs as a matrix, zeros where no pair is counted."""
        if not self._is_one:
            return numbers
        places = np.full((self.operand_shapes[0][0],) * 2, -1)
        places[self._counted] = np.arange(len(numbers))
        return np.concatenate([numbers, [0.0]])[places]

    @property
    def _counted(self) -> Any:
        return np.triu_indices(self.operand_shapes[0][0], 1)

    def _wanted(self) -> tuple[bool, bool, bool]:
        is_one, keyword = self._is_one, self.options[2]
        by_parameter = keyword is not None and self.is_active[-1]
        return self.is_active[0], self.is_active[0 if is_one else 1], by_parameter

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        pairs = self._pairs(operands, results)
        ga, gb, gp = self._metric.pull(pairs, self._matrix(adjoints[0]), self._wanted())
        found = [ga, gb]
        if self._is_one:
            found = [None if ga is None or gb is None else ga + gb]
        return [*found, gp] if self.options[2] is not None else found

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        is_one, keyword = self._is_one, self.options[2]
        da, db = (tangents[0], tangents[0]) if is_one else tangents[:2]
        dp = None if keyword is None else tangents[-1]
        found = self._metric.push(self._pairs(operands, results), (da, db, dp))
        return [found[self._counted] if is_one and found is not None else found]


# --- rules ------------------------------------------------------------------------------------

_KEYWORDS = {"seuclidean": "V", "mahalanobis": "VI"}
_COUNTING = ("hamming", "jaccard", "yule", "dice", "rogerstanimoto", "russellrao", "sokalsneath",
             "matching", "kulczynski1", "sokalmichener")  # fmt: skip
_WEIGHTED = (*(name for name in METRICS if name not in (*_KEYWORDS, "jensenshannon")), "minkowski",
             *_COUNTING)  # fmt: skip


def _canonical(metric: Any) -> str | None:
    """Return a metric's name, of those that SciPy has for it."""
    aliases = getattr(scipys(), "_METRIC_ALIAS", {})
    info = aliases.get(metric.lower().removeprefix("test_") if isinstance(metric, str) else metric)
    return None if info is None else str(info.canonical_name)


def _distances(sets: Sequence[Any], metric: Any, given: dict[str, Any]) -> Any:
    function = "pdist" if len(sets) == 1 else "cdist"
    title = f"{_DISTANCE}.{function}"
    points = [operand(x) for x in sets]
    name = _canonical(metric)
    given = {key: value for key, value in given.items() if value is not None}
    order = given.pop("p", 2.0) if name == "minkowski" else None
    if is_held(order):
        raise no_rule(f"{title} by the order p of a norm", "hold it constant, or ")
    keyword = _KEYWORDS.get(name or "", "w" if name in _WEIGHTED and "w" in given else None)
    is_fit = (
        all(x.ndim == 2 for x in points)
        and len({x.shape[1] for x in points}) == 1
        and name in (*METRICS, "minkowski", *_COUNTING)
        and not set(given) - {keyword}
        and not (order is not None and order <= 0)
    )
    if not is_fit or 0 in (size for x in points for size in x.shape):
        order_given = {} if order is None else {"p": order}
        plain = {key: values_of(value) for key, value in given.items()}
        found = getattr(scipys(), function)(*map(values_of, points), metric, **order_given, **plain)
        if found.size:
            raise no_rule(f"{title} with metric={metric!r}")
        return found
    if name in _COUNTING and is_held(given.get("w")):
        raise no_rule(f"{title} with metric={metric!r} by w=", "hold it constant, or ")
    operands = [x if is_held(x) else np.asarray(x, np.float64) for x in points]
    if keyword is not None:
        operands.append(_parameter(name, given.get(keyword), points, title))
    order = None if order is None else float(order)
    return applied(Distances, operands, name, order, keyword, function)[0]


def _parameter(name: Any, given: Any, points: Sequence[Any], title: str) -> Any:
    """Return a metric's weights, variances or form; by default those of the points."""
    if given is not None:
        given = operand(given)
        return given if is_held(given) else np.asarray(given, np.float64)
    both = np.concatenate(points) if len(points) > 1 else points[0]
    if name == "seuclidean":
        return np.var(both, axis=0, ddof=1)
    n, d = both.shape
    if n <= d:
        scipys().pdist(values_of(both), "mahalanobis")  # raises
    return np.linalg.inv(np.atleast_2d(np.cov(both.T))).T


def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, w: Any = None,  # noqa: N803  # SciPy's
          V: Any = None, VI: Any = None, p: Any = None) -> Any:  # noqa: N803  # fmt: skip
    """Record the distances between points of two sets."""
    return _distances((XA, XB), metric, {"w": w, "V": V, "VI": VI, "p": p})


def pdist(X: Any, metric: Any = "euclidean", *, w: Any = None, V: Any = None,  # noqa: N803
          VI: Any = None, p: Any = None) -> Any:  # noqa: N803  # fmt: skip
    """Record the distances between points of one set."""
    return _distances((X,), metric, {"w": w, "V": V, "VI": VI, "p": p})


@scipy_rule("scipy.spatial.distance_matrix")
def distance_matrix(x: Any, y: Any, p: Any = 2, threshold: Any = 1000000) -> Any:
    """Record the norms of differences between points of two sets."""
    x, y = operand(x), operand(y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or 0 in x.shape + y.shape:
        return _spatial().distance_matrix(values_of(x), values_of(y), p)
    if is_held(p):
        raise no_rule("scipy.spatial.distance_matrix by the order p", "hold it constant, or ")
    operands = [points if is_held(points) else np.asarray(points, np.float64) for points in (x, y)]
    return applied(Distances, operands, "minkowski", float(p), None, "distance_matrix")[0]


def _spatial() -> Any:
    return importlib.import_module("scipy.spatial")


# --- metrics that are functions ---------------------------------------------------------------


def _by_calls(sets: Sequence[Any], metric: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Return what a function of two rows returns for all pairs."""
    points = [operand(x) for x in sets]
    keyword = _KEYWORDS.get(_canonical(getattr(metric, "__name__", None)) or "")
    if keyword is not None and given.get(keyword) is None:
        name = _canonical(metric.__name__)
        given = {**given, keyword: _parameter(name, None, points, _DISTANCE)}
    n = len(points[0])
    pairs: Iterable[tuple[Any, ...]] = itertools.product(*points)
    shape: tuple[int, ...] = tuple(map(len, points))
    if len(sets) == 1:
        pairs, shape = itertools.combinations(points[0], 2), (n * (n - 1) // 2,)
    found = [metric(u, v, **given) for u, v in pairs]
    if is_held(found):
        return as_array(found).reshape(shape)
    return np.array(found, np.float64).reshape(shape)


class _MetricRow(Row):
    """cdist or pdist, whose metric may be a function that gives active numbers."""

    def neutral(self, plain: FunctionType) -> Any:
        """Return what calls a metric that is a function, and is SciPy's or the rule otherwise."""
        by_name = super().neutral(plain)
        n_sets = 1 if plain.__name__ == "pdist" else 2
        names = self._parameters[:n_sets]

        @functools.wraps(by_name)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = dict(kwargs)
            sets = [*args[:n_sets], *(given.pop(name) for name in names[len(args) :])]
            metric = args[n_sets] if len(args) > n_sets else given.pop("metric", "euclidean")
            if not callable(metric) or len(args) > n_sets + 1:
                return by_name(*args, **kwargs)
            if given.pop("out", None) is not None:
                if not is_held(sets):
                    return plain(*args, **kwargs)
                raise no_rule(f"{self.name} with out=", "leave it out, or ")
            points = [operand(x) for x in sets]
            if any(x.ndim != 2 or x.shape[1] != points[0].shape[1] for x in points):
                return plain(*map(values_of, points), metric, **given)  # raises
            return _by_calls(sets, metric, given)

        return call


@on_import(_DISTANCE)
def _prepare(module: Any) -> None:
    """Have what takes a function as its metric call it with active rows, and refuse others."""
    rows: dict[FunctionType, Row] = {}
    for name, rule in _RULES.items():
        function = getattr(module, name)
        rows[function] = _MetricRow(f"{_DISTANCE}.{name}", function, rule)
    for name in REFUSED:
        function = getattr(module, name, None)
        if isinstance(function, FunctionType):
            rows[function] = RefusedRow(f"{_DISTANCE}.{name}", function)
    stand_for({function: row.neutral for function, row in rows.items()})


_RULES: dict[str, Callable[..., Any]] = {"cdist": cdist, "pdist": pdist}
NAMED.update(f"{_DISTANCE}.{name}" for name in _RULES)

# --- vectors and matrices of distances --------------------------------------------------------


@scipy_rule(f"{_DISTANCE}.squareform")
def squareform(X: Any, force: Any = "no", checks: Any = True) -> Any:  # noqa: N803  # SciPy's
    """Record nothing: a matrix of distances and what is above its diagonal are the same numbers."""
    x = operand(X)
    wanted = {"tomatrix": 1, "tovector": 2}.get(str(force).lower(), x.ndim)
    n_pairs = x.shape[0] if x.ndim == 1 else 0
    n = int(np.ceil(np.sqrt(n_pairs * 2))) if x.ndim == 1 else len(x)
    is_fit = x.ndim == wanted and (
        n * (n - 1) == 2 * n_pairs if x.ndim == 1 else x.ndim == 2 and x.shape == (n, n)
    )
    if not is_fit or n_pairs == n == 0:
        return scipys().squareform(np.array(values_of(x)), force, checks)
    if x.ndim == 1:
        above = np.full((n, n), n_pairs)
        above[np.triu_indices(n, 1)] = np.arange(n_pairs)
        return _moved(x, np.minimum(above, above.T))
    if checks and not (_are_equal(x, x.T) and _are_equal(np.diagonal(x), np.zeros(n))):
        scipys().squareform(np.array(values_of(x)), force, checks)  # raises
    return x[np.triu_indices(n, 1)]


def _moved(x: Any, places: Any) -> Any:
    return np.concatenate([x, [0.0]])[places]


def _are_equal(x: Any, y: Any) -> bool:
    """Whether active numbers are equal, under guards unless they're the same ones."""
    if isinstance(x, ActiveArray) and isinstance(y, ActiveArray):
        differ = (x.data["slot"] != y.data["slot"]) | (x.data["slot"] == 0)
        x, y = x[differ], y[differ]
    return bool(np.all(x == y))
