"""Rules tried when they are first used: what they return, and one difference against the value."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.custom.block import RuleBlock
from tapegrad.custom.derived import Case, filled, pulled, pushed
from tapegrad.custom.tree_forms import described, form_of
from tapegrad.errors import StructureError, UnsupportedFunctionError, WrongRuleWarning
from tapegrad.function.vectors import join
from tapegrad.libraries import frames_to_user
from tapegrad.numba_internals import is_compiled
from tapegrad.tree import flatten

_STEPS = (1e-4, 1e-3)
"""Of differences, relative to the numbers: a solver's tolerance must not show in them."""

_RELATIVE = 1e-3
_BESIDE = 0.01
"""How far from the point a rule is tried again, relatively: at the point there may be a kink."""

Numbers = Sequence[Any]


class _Tried(Case):
    """A call at a point, whose compiled functions are seen not to write into their arguments."""

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        before = _copies(args)
        found = super()._run(function, *args)
        if any(map(is_compiled, self.rules.functions)) and _copies(args) != before:
            raise UnsupportedFunctionError(
                f"the rule of {self.rules.name} writes into its arguments, which in compiled code "
                "are memory of others: have it return what it computes"
            )
        return found


def _copies(args: Any) -> list[bytes]:
    leaves: list[Any] = []
    flatten(args, leaves)
    return [leaf.tobytes() for leaf in leaves if isinstance(leaf, np.ndarray)]


def check(block: RuleBlock, operands: Numbers, numbers: Numbers, is_compared: bool) -> None:
    """Try a call's rules at a point.

    Parameters
    ----------
    block : RuleBlock
    operands, numbers : sequence of ndarray
        Of the call, and what the block's value is there.
    is_compared : bool
        Whether the rules are derivatives, and are compared with a difference.

    Raises
    ------
    StructureError
        If what they return has another structure or other shapes than it must have.
    """
    rng = np.random.default_rng(20_250_101)
    with np.errstate(all="ignore"):
        found = _disagreeing(block, operands, numbers, rng, is_compared)
    for what, product, difference in found:
        warnings.warn(
            f"the {what} of {block.name} doesn't agree with a difference of its values: along a "
            f"direction it has {product:.6g}, the difference {difference:.6g}. If it's no "
            "derivative on purpose, say so by `check=False`",
            WrongRuleWarning,
            stacklevel=frames_to_user() + 1,
        )


def _disagreeing(block: RuleBlock, operands: Numbers, numbers: Numbers, rng: np.random.Generator,
                 is_compared: bool) -> list[tuple[str, float, float]]:  # fmt: skip
    """Return what rules give and a difference doesn't, at the point and beside it."""
    found = _compared(block, operands, numbers, rng, is_compared)
    if not found:
        return []
    beside = [x + _BESIDE * scale * rng.uniform(0.5, 1.5, x.shape)
              for x, scale in zip(operands, _scales(operands), strict=True)]  # fmt: skip
    try:
        there = block.value(beside)
    except Exception:  # the function has no value there: what was found stands
        there = None
    if there is not None and not _compared(block, beside, there, rng, True):
        return []
    return found


def _compared(block: RuleBlock, operands: Numbers, numbers: Numbers, rng: np.random.Generator,
              is_compared: bool) -> list[tuple[str, float, float]]:  # fmt: skip
    """Return what rules give along a direction where it isn't a difference, and that."""
    shapes = block.result.shapes
    results = numbers[: len(shapes)]
    case = _Tried(block, operands, numbers)
    direction = [
        rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape) * scale * is_active
        for x, scale, is_active in zip(operands, _scales(operands), block.is_active, strict=True)
    ]
    weights = [rng.uniform(0.5, 1.5, y.shape) / scale
               for y, scale in zip(results, _scales(results), strict=True)]  # fmt: skip
    products = _products(case, direction, weights)
    differences = _differences(block, operands, direction, weights) if is_compared else None
    if differences is None:
        return []
    difference, sizes, error = differences
    return [
        (what, product, difference)
        for what, product in products.items()
        if not abs(product - difference) <= _RELATIVE * sizes + 2.0 * error
        and not np.isinf(product)
    ]


def _products(case: Case, direction: Numbers, weights: Numbers) -> dict[str, float]:
    """Return the weighted derivative of the results along a direction, by every rule given."""
    rules, found = case.rules, {}
    if rules.push is not None:
        tangents = filled(case.push(direction), case.block.result.shapes)
        found["jvp"] = _dot(weights, tangents)
    if rules.pull is not None:
        adjoints = filled(case.pull(weights), case.block.layout.form.shapes)
        found["vjp"] = _dot(direction, adjoints)
    if rules.pattern is not None and rules.jacobian is None:
        # What is missing is derived by the pattern, which may leave out what isn't zero.
        if rules.pull is None:
            derived = filled(pulled(case, weights), case.block.layout.form.shapes)
            found["sparsity"] = _dot(direction, derived)
        elif rules.push is None:
            derived = filled(pushed(case, direction), case.block.result.shapes)
            found["sparsity"] = _dot(weights, derived)
    if rules.jacobian is not None:
        moved = case.matrix().times(join(list(direction)))
        found["jacobian"] = _dot(weights, [moved])
    return found


def _dot(xs: Numbers, ys: Numbers) -> float:
    return float(join(list(xs)) @ join(list(ys)))


def _differences(block: RuleBlock, operands: Numbers, direction: Numbers,
                 weights: Numbers) -> tuple[float, float, float] | None:  # fmt: skip
    """Return a central difference of the weighted results, its terms' size and its error.

    None where it can't be had.
    """
    found = []
    for step in _STEPS:
        ends = []
        for sign in (1.0, -1.0):
            moved = [x + sign * step * d for x, d in zip(operands, direction, strict=True)]
            try:
                values = block.value(moved)
            except Exception:  # outside the function's domain, or another branch
                return None
            ends.append(join(list(values[: len(weights)])))
        change = (ends[0] - ends[1]) / (2.0 * step)
        found.append(join(list(weights)) * change)
    if not all(np.isfinite(terms).all() for terms in found):
        return None
    difference, coarse = (float(terms.sum()) for terms in found)
    return difference, float(np.abs(found[0]).sum()), abs(difference - coarse)


def _scales(arrays: Numbers) -> list[Any]:
    """Return how large numbers are: each itself, one that is 0 as the array's largest, or 1."""
    found = []
    for array in arrays:
        sizes = np.abs(array)
        largest = float(sizes.max(initial=0.0))
        found.append(np.where(sizes > 0.0, sizes, largest or 1.0))
    return found


def check_forward(block: RuleBlock, operands: Numbers, function: Callable[..., Any],
                  numbers: Numbers) -> None:  # fmt: skip
    """Compare what `fwd` returns with what the function does.

    Raises
    ------
    StructureError
        If its result has another structure, or other shapes.
    """
    args, kwargs = block.layout.arguments(operands)
    form, plain = form_of(function(*args, **kwargs))
    if form != block.result:
        raise StructureError(
            f"what fwd of {block.name} returns first must be {described(form)}, as the function "
            f"returns, and it's {described(block.result)}"
        )
    own, theirs = join(list(numbers[: len(plain)])), join(plain)
    if not np.allclose(own, theirs, rtol=1e-6, atol=0.0, equal_nan=True):
        worst = int(np.argmax(np.abs(own - theirs)))
        warnings.warn(
            f"fwd of {block.name} returns another value than the function: {own[worst]:.6g} where "
            f"that is {theirs[worst]:.6g}",
            WrongRuleWarning,
            stacklevel=frames_to_user() + 1,
        )
