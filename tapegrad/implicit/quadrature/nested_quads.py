"""scipy.integrate's integrals over several variables: integrals whose integrands are integrals."""

from __future__ import annotations

import functools
from typing import Any

from tapegrad.implicit.quadrature.quad_rule import integral_of
from tapegrad.implicit.solver_rules import refuse_solver, scipy_solver_rule

PAIR, FIRST, SWAPPED = "pair", "first", "swapped"
"""What limits that are functions are given: all, and return both; the first; the second, first."""


def _nested(forms: tuple[str, ...], level: int, func: Any, *rest: Any) -> Any:
    """Return the integral over the variables up to a level's; it's given those beyond.

    `rest` has the two limits and the options of each level, and then these variables.
    """
    n = 3 * len(forms)
    limits, args = rest[:n], rest[n:]
    low, high, options = limits[3 * level : 3 * level + 3]
    if forms[level] == PAIR:
        low, high = low(*args)
    else:
        given = args[:1] if forms[level] == FIRST else args[1::-1]
        low, high = (x(*given) if callable(x) else x for x in (low, high))
    options = dict(options(*args)) if callable(options) else dict(options)
    if "points" in options:
        options["points"] = [x for x in options["points"] if low <= x <= high]
    inner = functools.partial(_nested, forms, level - 1, func, *limits) if level else func
    is_last = level == len(forms) - 1
    found = integral_of(inner, low, high, args, func, is_last, **options)
    return found if is_last else found[0]


def _over(func: Any, levels: list[tuple[str, Any, Any, Any]], args: Any) -> Any:
    forms = tuple([form for form, *_ in levels])
    limits = [part for _, *parts in levels for part in parts]
    return _nested(forms, len(levels) - 1, func, *limits, *args)


def _row(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


@scipy_solver_rule("scipy.integrate.dblquad", functions="func gfun hfun")
def dblquad(func: Any, a: Any, b: Any, gfun: Any, hfun: Any, args: Any = (),
            epsabs: Any = 1.49e-8, epsrel: Any = 1.49e-8) -> Any:  # fmt: skip
    """Record an integral over two variables."""
    options = {"epsabs": epsabs, "epsrel": epsrel}
    return _over(func, [(FIRST, gfun, hfun, options), (FIRST, a, b, options)], _row(args))


@scipy_solver_rule("scipy.integrate.tplquad", functions="func gfun hfun qfun rfun")
def tplquad(func: Any, a: Any, b: Any, gfun: Any, hfun: Any, qfun: Any, rfun: Any, args: Any = (),
            epsabs: Any = 1.49e-8, epsrel: Any = 1.49e-8) -> Any:  # fmt: skip
    """Record an integral over three variables."""
    options = {"epsabs": epsabs, "epsrel": epsrel}
    levels = [(SWAPPED, qfun, rfun, options), (FIRST, gfun, hfun, options), (FIRST, a, b, options)]
    return _over(func, levels, _row(args))


@scipy_solver_rule("scipy.integrate.nquad", functions="func ranges opts")
def nquad(func: Any, ranges: Any, args: Any = None, opts: Any = None) -> Any:
    """Record an integral over several variables."""
    n = len(ranges)
    options = [opts or {}] * n if opts is None or isinstance(opts, dict) else list(opts)
    levels = [
        (PAIR, limits, None, option) if callable(limits) else (FIRST, *limits, option)
        for limits, option in zip(ranges, options, strict=True)
    ]
    return _over(func, levels, () if args is None else _row(args))


# --- what has no rule -----------------------------------------------------------------------------


for _name, _instead in (
    ("tanhsinh", "integrate with scipy.integrate.quad"),
    ("nsum", "sum as many terms as count with numpy.sum"),
    ("cubature", "integrate with scipy.integrate.nquad"),
    ("qmc_quad", "average the integrand at points of scipy.stats.qmc drawn outside"),
    ("romberg", "integrate with scipy.integrate.quad"),
    ("quadrature", "integrate with scipy.integrate.quad"),
):
    refuse_solver(f"scipy.integrate.{_name}", _instead)
