"""Moments, entropies, intervals and negative logarithms of likelihoods of SciPy's distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from tapegrad.record.distributions import scipy_private
from tapegrad.record.distributions.methods import Call, method, recording
from tapegrad.record.distributions.scipy_code import each
from tapegrad.record.functions.operands import is_active
from tapegrad.record.scipy.recognised import Row, no_rule, on_import
from tapegrad.record.trampolines import stand_for


def _moment(made: Call, order: str) -> Any:
    """Return the mean or the variance of the standard distribution."""
    twin = made.twin
    options = {"moments": order} if made.dist._stats_has_moments else {}
    mean, variance, *_ = twin._stats(*made.shapes, **options)
    if order == "m":
        return twin._munp(1, *made.shapes) if mean is None else mean
    if variance is not None:
        return variance
    mean = twin._munp(1, *made.shapes) if mean is None else mean
    return twin._munp(2, *made.shapes) - np.square(mean)


def _mean(made: Call) -> Any:
    return _moment(made, "m") * made.scale + made.loc


def _variance(made: Call) -> Any:
    # What adds nothing is NaN where the parameters aren't valid.
    return _moment(made, "v") * made.scale * made.scale + 0.0 * made.loc


def _deviation(made: Call) -> Any:
    return np.sqrt(_variance(made))


def _entropy(made: Call) -> Any:
    if type(made.dist)._entropy is scipy_private.infrastructure().rv_continuous._entropy:
        found = each(made.twin._entropy, *made.shapes)  # an integral for each
        return found + np.log(made.scale) + 0.0 * made.loc
    return made.twin._entropy(*made.shapes) + np.log(made.scale) + 0.0 * made.loc


for _name, _rule in (("mean", _mean), ("var", _variance), ("std", _deviation),
                     ("entropy", _entropy)):  # fmt: skip
    method(f"rv_generic.{_name}")(recording(_rule, _name))


@method("rv_generic.moment")
def _of_order(self: Any, order: Any, *args: Any, **kwds: Any) -> Any:
    n = int(order)

    def rule(made: Call) -> Any:
        ratio, found = made.loc / made.scale, 0.0 * made.loc
        for k in range(n + 1):
            moment = 1.0 if k == 0 else made.twin._munp(k, *made.shapes)
            found = found + math.comb(n, k) * ratio ** (n - k) * moment
        return found * made.scale**n

    if n != order or n < 1 or scipy_private.is_discrete(self):
        raise no_rule(f"scipy.stats.{self.name}.moment of order {order}")
    return recording(rule, "moment", (n,))(self, *args, **kwds)


@method("rv_generic.median")
def _median(self: Any, *args: Any, **kwds: Any) -> Any:
    return self.ppf(0.5, *args, **kwds)


@method("rv_generic.interval")
def _interval(self: Any, confidence: Any, *args: Any, **kwds: Any) -> Any:
    alpha = confidence if is_active(confidence) else np.asarray(confidence)
    if not bool(np.all((alpha <= 1.0) & (alpha >= 0.0))):
        raise ValueError("alpha must be between 0 and 1 inclusive")
    low, high = (1.0 - alpha) / 2, (1.0 + alpha) / 2
    return self.ppf(low, *args, **kwds), self.ppf(high, *args, **kwds)


@method("rv_generic.stats")
def _stats(self: Any, *args: Any, **kwds: Any) -> Any:
    shapes, loc, scale, moments = self._parse_args_stats(*args, **kwds)
    scales = {} if scipy_private.is_discrete(self) else {"scale": scale}
    methods = {"m": self.mean, "v": self.var}
    for order in moments:
        if order not in methods:
            raise no_rule(f"scipy.stats.{self.name}.stats with moments={moments!r}")
    found = [methods[order](*shapes, loc=loc, **scales) for order in moments]
    return found[0] if len(found) == 1 else tuple(found)


@method("rv_generic.nnlf")
def _nnlf(self: Any, theta: Any, x: Any) -> Any:
    loc, scale, args = self._unpack_loc_scale(theta)
    if scipy_private.is_discrete(self):
        found = -np.sum(self.logpmf(x, *args, loc=loc), axis=0)
    else:
        found = -np.sum(self.logpdf(x, *args, loc=loc, scale=scale), axis=0)
    return np.where(np.isnan(found), np.inf, found)


# --- what has no rule -------------------------------------------------------------------------


def _refused(name: str, way_out: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwds: Any) -> Any:
        raise no_rule(f"scipy.stats.{getattr(self, 'name', '')}.{name}", way_out)

    return refuse


_DRAWN = ("draw standard numbers outside, rvs(size=n) without active parameters, and compute with "
          "them, as in loc + scale * draws or ppf(uniforms, ...), or ")  # fmt: skip
for _name, _kinds, _way_out in (
    ("rvs", ("rv_generic", "rv_discrete"), _DRAWN),
    ("fit", ("rv_continuous",), "minimize the sum of -logpdf, or "),
    ("expect", ("rv_discrete",), "sum over points and weights of your own, or "),
    ("support", ("rv_generic",), ""),
):
    for _kind in _kinds:
        method(f"{_kind}.{_name}", is_refused=True)(_refused(_name, _way_out))


@method("rv_frozen.__init__")
def _frozen(self: Any, dist: Any, *args: Any, **kwds: Any) -> None:
    """Freeze a distribution with active parameters, in a recorded function."""
    self.args, self.kwds = args, kwds
    self.dist = dist.__class__(**dist._updated_ctor_param())
    made = Call(dist, "freeze", (), args, kwds)
    self.a, self.b = made.twin._get_support(*made.shapes)


# --- the classes that `make_distribution` makes -----------------------------------------------


def _of_new_kind(name: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwds: Any) -> Any:
        raise no_rule(
            f"scipy.stats.{type(self).__name__}.{name}",
            "use SciPy's other distributions, as scipy.stats.norm, or ",
        )

    return refuse


@on_import(scipy_private.NEW_KIND)
def _prepare(module: Any) -> None:
    """Have all that takes numbers refuse active ones."""
    kind = vars(module.UnivariateDistribution)
    makers = {
        thing: Row(f"scipy.stats.{name}", thing, _of_new_kind(name)).neutral
        for name, thing in kind.items()
        if isinstance(thing, FunctionType) and (name == "__init__" or name[0] != "_")
    }
    stand_for(makers)
