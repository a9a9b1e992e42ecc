"""The methods of SciPy's distributions: one rule, which reads a distribution's own formulas.

`logpdf(x, *shapes, loc, scale)` is a composition of what the distribution's `_logpdf` records of
`(x - loc) / scale`, and of choices that say where it's outside of its support. So for all methods,
of every class that SciPy has or a user derives. What has been recorded is compared with SciPy's
own value: a formula that doesn't give it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.record.creation import as_array
from tapegrad.record.distributions import quantiles, scipy_private
from tapegrad.record.distributions.cases import at_a_case
from tapegrad.record.distributions.likelihoods import DENSITIES
from tapegrad.record.distributions.scipy_code import NO_FORMULA, recorded
from tapegrad.record.functions.operands import is_active, tape_of
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.plain import has_derivative
from tapegrad.record.scipy.recognised import HOLDERS, Row, no_rule, on_import
from tapegrad.record.stopping import stop_gradient
from tapegrad.record.trampolines import stand_for

TOLERANCE = 1e-7
"""How far what is recorded may be from SciPy's value."""

_METHODS: dict[str, Callable[..., Any]] = {}


_ROWS: dict[str, Callable[..., Row]] = {}
"""What makes the rows of methods that aren't called active by their arguments alone."""


def method(
    *names: str, is_refused: bool = False, row: Callable[..., Row] = Row
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the rule of methods, named as ``"rv_continuous.pdf"``."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        _METHODS.update(dict.fromkeys(names, rule))
        _ROWS.update(dict.fromkeys(names, row))
        if not is_refused:
            NAMED.update(f"scipy.stats.{name}" for name in names if "__init__" not in name)
        return rule

    return register


@on_import(scipy_private.INFRASTRUCTURE)
def _prepare(module: Any) -> None:
    """Have the methods replaced, however they're reached."""
    makers = {}
    for full, rule in _METHODS.items():
        kind, _, name = full.partition(".")
        function = vars(getattr(module, kind)).get(name)
        if function is not None:
            makers[function] = _ROWS[full](f"scipy.stats.{full}", function, rule).neutral
    stand_for(makers)
    HOLDERS.update(scipy_private.frozen_kinds())


# --- operands ---------------------------------------------------------------------------------


class Call:
    """A call of a method: the operands, aligned, and the distribution that records."""

    def __init__(self, dist: Any, name: str, points: Sequence[Any], args: Any, kwds: Any) -> None:
        self.dist, self.name = dist, name
        self.twin = recorded(dist)
        shapes, loc, scale = dist._parse_args(*args, **kwds)
        if len(shapes) != dist.numargs:
            raise no_rule(f"{self.title} of as many parameters as an array says")
        operands = [*points, loc, scale, *shapes]
        self.n_dimensions = max(map(np.ndim, operands))
        aligned = [_aligned(operand, self.n_dimensions) for operand in operands]
        self.points, (loc, scale, *self.shapes) = aligned[: len(points)], aligned[len(points) :]
        self._check_whole()
        self.loc, self.scale = loc, scale
        valid = self.twin._argcheck(*self.shapes) & (scale > 0)
        if is_active(valid) or not np.all(valid):
            self._spoil(valid)

    def _spoil(self, valid: Any) -> None:
        """Make NaN of a number that all results are made of, where the parameters aren't valid."""
        k = next((k for k, shape in enumerate(self.shapes) if is_active(shape)), None)
        if not scipy_private.is_discrete(self.dist):
            self.scale = np.where(valid, self.scale, np.nan)
        elif k is None:
            self.loc = np.where(valid, self.loc, np.nan)
        else:
            self.shapes[k] = np.where(valid, self.shapes[k], np.nan)

    def _check_whole(self) -> None:
        """Refuse to differentiate by parameters that must be whole numbers."""
        whole = scipy_private.whole_parameters(self.dist, len(self.shapes))
        for k, (shape, is_whole) in enumerate(zip(self.shapes, whole, strict=True)):
            if is_whole and is_active(shape) and has_derivative(shape):
                plain = [_plain(x) for x in self.shapes]
                plain[k] = np.floor(plain[k]) + 0.5
                if not np.any(self.dist._argcheck(*plain)):
                    name = (self.dist.shapes or "").replace(" ", "").split(",")[k]
                    raise no_rule(
                        f"{self.title} by its parameter {name}, which is a whole number,",
                        f"pass tapegrad.stop_gradient({name}) or a constant, or ",
                    )

    @property
    def title(self) -> str:
        """What the method is called in errors."""
        return f"scipy.stats.{self.dist.name or type(self.dist).__name__}.{self.name}"

    def standard(self) -> Any:
        """Return the point, as one of the standard distribution."""
        if scipy_private.is_discrete(self.dist):  # whose steps have no slope
            return stop_gradient(self.points[0] - self.loc)
        return (self.points[0] - self.loc) / self.scale

    def result(self, found: Any) -> Any:
        """Return a result in the shape that SciPy's has."""
        return found if self.n_dimensions else found[(0,) * found.ndim]


def _aligned(operand: Any, n: int) -> Any:
    array: Any = as_array(operand) if is_active(operand) else np.asarray(operand)
    return np.reshape(array, (1,) * (max(n, 1) - array.ndim) + array.shape)


def squeezed(found: Any) -> Any:
    """Return a result without axes of length one, a number if nothing else is left."""
    found = found.squeeze() if np.ndim(found) else found
    return found[()] if np.ndim(found) == 0 and hasattr(found, "data") else found


def _plain(operand: Any) -> Any:
    return operand.primal if is_active(operand) else operand


# --- recording and checking -------------------------------------------------------------------


def recording(rule: Callable[[Call], Any], name: str,
              first: tuple[Any, ...] = ()) -> Callable[..., Any]:  # fmt: skip
    """Return the rule of a method: what it records is checked against SciPy's value.

    `first` are plain arguments before all others.
    """

    def call(self: Any, *args: Any, **kwds: Any) -> Any:
        n_points = name not in _WITHOUT_POINTS
        points, shapes = args[:n_points], args[n_points:]
        if len(points) < n_points:  # by its keyword
            points = (kwds.pop(next(key for key in ("x", "k", "q") if key in kwds)),)
        made = Call(self, name, points, shapes, kwds)
        operands = [*points, *shapes, *kwds.values()]
        tape = tape_of(*operands)
        start = len(tape)
        with np.errstate(all="ignore"):
            try:
                found = rule(made)
            except NO_FORMULA as error:
                raise no_rule(f"{made.title} ({_reason(error)})") from error
            at = at_a_case(tape, start)
            if at is not None:
                raise no_rule(
                    f"{made.title} has a case of its own at {at:g}, without a derivative, and",
                )
            _check(made, found, first)
        return made.result(found)

    return call


_WITHOUT_POINTS = frozenset(["mean", "var", "std", "median", "entropy", "stats", "moment"])


def _reason(error: Exception) -> str:
    return str(error).partition(", at ")[0].partition(" has no rule for")[0]


def _check(made: Call, found: Any, first: tuple[Any, ...]) -> None:
    """Raise unless what is recorded has SciPy's value."""
    plain = [_plain(x) for x in (*made.points, *made.shapes)]
    method = getattr(made.dist, made.name)
    scale = {} if scipy_private.is_discrete(made.dist) else {"scale": _plain(made.scale)}
    expected = method(*first, *plain, loc=_plain(made.loc), **scale)
    value = np.broadcast_to(_plain(found), np.shape(expected))
    if not np.allclose(value, expected, TOLERANCE, 1e-300 if _is_small(made.name) else TOLERANCE,
                       equal_nan=True):  # fmt: skip
        raise no_rule(f"{made.title}, whose formula hasn't the value that it returns,")


def _is_small(name: str) -> bool:
    return name in ("pdf", "pmf", "cdf", "sf")


# --- densities --------------------------------------------------------------------------------


def _outside(point: Any, low: Any, high: Any, is_open: bool = False) -> tuple[Any, Any]:
    """Return where a point is below and above the support; None where it can't be."""
    below = above = None
    if is_active(low) or not np.all(low == -np.inf) or _is_reached(point, -np.inf):
        below = point <= low if is_open else point < low
    if is_active(high) or not np.all(high == np.inf) or _is_reached(point, np.inf):
        above = point >= high if is_open else point > high
    return below, above


def _is_reached(point: Any, bound: float) -> bool:
    return bool(np.any(_plain(point) == bound))


def _where_it_may(mask: Any, number: Any, found: Any) -> Any:
    """Return a number where a mask holds, if it may hold at all."""
    is_open = is_active(mask) and not mask.is_passive
    return np.where(mask, number, found) if is_open or np.any(_plain(mask)) else found


def _unknown(point: Any, found: Any) -> Any:
    """Return NaN where a point is, of which not all formulas make it."""
    is_lost = np.isnan(_plain(point)) & ~np.isnan(_plain(found))
    return np.where(point != point, np.nan, found) if np.any(is_lost) else found


def _within(found: Any, outside: tuple[Any, Any], below: float, above: float) -> Any:
    """Return a result, and what it is below the support and above it."""
    for mask, number in zip(outside, (below, above), strict=True):
        found = found if mask is None else np.where(mask, number, found)
    return found


def _density(name: str, nothing: float) -> Callable[[Call], Any]:
    def rule(made: Call) -> Any:
        quick = DENSITIES.get(type(made.dist).__name__) if name == "logpdf" else None
        if quick is not None and type(made.dist).__module__.startswith("scipy."):
            found = quick(made.points[0] - made.loc, made.scale, *made.shapes)
            if found is not None:
                return found
        y = made.standard()
        found = getattr(made.twin, f"_{name}")(y, *made.shapes)
        found = found / made.scale if name == "pdf" else found - np.log(made.scale)
        low, high = made.twin._get_support(*made.shapes)
        distance = made.points[0] - made.loc
        if not is_active(low) and np.all(low == 0.0) and not is_active(distance):
            # Of data alone, in units of any scale: no choice on the tape.
            found = _where_it_may(distance < 0.0, nothing + 0.0 * made.scale, found)
            low = -np.inf
        return _unknown(y, _within(found, _outside(y, low, high), nothing, nothing))

    return rule


def _mass(name: str, nothing: float) -> Callable[[Call], Any]:
    def rule(made: Call) -> Any:
        k = made.standard()
        low, high = made.twin._get_support(*made.shapes)
        found = _within(getattr(made.twin, f"_{name}")(k, *made.shapes),
                        _outside(k, low, high), nothing, nothing)  # fmt: skip
        if scipy_private.is_sample(made.dist):
            return found
        # What isn't whole has none; NaN, of which nothing is known, stays.
        return _where_it_may(~made.twin._nonzero(k, *made.shapes) & (k == k), nothing, found)

    return rule


def _cumulative(name: str, below: float, above: float) -> Callable[[Call], Any]:
    def rule(made: Call) -> Any:
        is_discrete = scipy_private.is_discrete(made.dist)
        y = made.standard()
        low, high = made.twin._get_support(*made.shapes)
        outside = _outside(y, low, high, is_open=True)
        if is_discrete:  # all that is at the lowest is there
            outside = _outside(y, low, np.inf)[0], outside[1]
        found = quantiles.cumulative(made.dist, made.twin, name, y, made.shapes,
            is_discrete)  # fmt: skip
        return _unknown(y, _within(found, outside, below, above))

    return rule


for _name, _nothing in (("pdf", 0.0), ("logpdf", -np.inf)):
    method(f"rv_continuous.{_name}")(recording(_density(_name, _nothing), _name))
for _name, _nothing in (("pmf", 0.0), ("logpmf", -np.inf)):
    method(f"rv_discrete.{_name}")(recording(_mass(_name, _nothing), _name))
for _name, _below, _above in (("cdf", 0.0, 1.0), ("logcdf", -np.inf, 0.0),
                              ("sf", 1.0, 0.0), ("logsf", 0.0, -np.inf)):  # fmt: skip
    method(f"rv_continuous.{_name}", f"rv_discrete.{_name}")(
        recording(_cumulative(_name, _below, _above), _name)
    )


# --- quantiles --------------------------------------------------------------------------------


def _quantile(name: str) -> Callable[[Call], Any]:
    def rule(made: Call) -> Any:
        q = made.points[0]
        if scipy_private.is_discrete(made.dist):
            return quantiles.steps(made.dist, name, [q, *made.shapes]) + made.loc
        low, high = made.twin._get_support(*made.shapes)
        inner = q if is_active(q) else np.where((q > 0.0) & (q < 1.0), q, 0.5)
        found = quantiles.inverse(made.dist, made.twin, name, inner, made.shapes)
        at_zero, at_one = (low, high) if name == "ppf" else (high, low)
        for mask, bound in ((q <= 0.0, at_zero), (q >= 1.0, at_one)):
            found = _where_it_may(mask, bound, found)
        found = _where_it_may((q < 0.0) | (q > 1.0), np.nan, found)
        return found * made.scale + made.loc

    return rule


for _name in ("ppf", "isf"):
    method(f"rv_continuous.{_name}", f"rv_discrete.{_name}")(recording(_quantile(_name), _name))
