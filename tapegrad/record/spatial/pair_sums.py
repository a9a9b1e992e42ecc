"""Sums over pairs of points and over coordinates, of which every derivative is one again.

With points a_i and b_j, `pair_sum` is the sum over i, j and k of P_ij U_ik V_jk w_k f(a_ik, b_jk)
less the sums that its result's indices stand for. A partial derivative by a factor is the same sum
with the adjoint in the factor's place, one by a point the same with another f, so that all orders
are calls of this one block. A function f is data: terms, products of powers of atoms, whose
derivatives are in one table. No array has as many numbers as there are pairs times coordinates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.linear.shaped import ShapedBlock, applied, total_of

# --- functions of two coordinates -----------------------------------------------------------------

Term = tuple[float, tuple[tuple[str, float], ...]]
Terms = tuple[Term, ...]
"""A sum of products: of each a number, and atoms with exponents."""

_ATOMS: dict[str, Mapping[str, Sequence[tuple[float, dict[str, float]]]]] = {
    "|a-b|": {"a": [(1.0, {"sign(a-b)": 1.0})], "b": [(-1.0, {"sign(a-b)": 1.0})]},
    "|a+b|": {"a": [(1.0, {"sign(a+b)": 1.0})], "b": [(1.0, {"sign(a+b)": 1.0})]},
    "|a|+|b|": {"a": [(1.0, {"sign(a)": 1.0})], "b": [(1.0, {"sign(b)": 1.0})]},
    "a": {"a": [(1.0, {})]},
    "b": {"b": [(1.0, {})]},
    "a+b": {"a": [(1.0, {})], "b": [(1.0, {})]},
    "log(2a/(a+b))": {"a": [(1.0, {"a": -1.0}), (-1.0, {"a+b": -1.0})],
                      "b": [(-1.0, {"a+b": -1.0})]},
    "log(2b/(a+b))": {"a": [(-1.0, {"a+b": -1.0})],
                      "b": [(1.0, {"b": -1.0}), (-1.0, {"a+b": -1.0})]},
}  # fmt: skip
"""The derivatives of atoms by a and b; those that aren't here have none."""


def term(number: float = 1.0, **atoms: float) -> Terms:
    """Return a function of one term, of atoms by their short names."""
    return ((number, tuple(sorted((_SHORT[name], power) for name, power in atoms.items()))),)


_SHORT = {"distance": "|a-b|", "side": "sign(a-b)", "sum": "|a+b|", "sizes": "|a|+|b|",
          "a": "a", "b": "b", "log_a": "log(2a/(a+b))", "log_b": "log(2b/(a+b))",
          "largest": "largest"}  # fmt: skip

DIFFERENCE = term(distance=1.0, side=1.0)
LARGEST = term(largest=1.0)
"""The sign of a - b where |a - b| is the pair's largest, shared among those that are."""


@functools.cache
def derivative(terms: Terms, by: str) -> Terms:
    """Return the derivative of a function by `a` or `b`."""
    found: dict[tuple[tuple[str, float], ...], float] = {}
    for number, powers in terms:
        for atom, exponent in powers:
            for factor, inner in _ATOMS.get(atom, {}).get(by, ()):
                product = dict(powers)
                product[atom] = exponent - 1.0
                for other, power in inner.items():
                    product[other] = product.get(other, 0.0) + power
                kept = tuple(sorted((a, reduced) for a, p in product.items()
                                    if (reduced := _reduced(a, p)) != 0.0))  # fmt: skip
                found[kept] = found.get(kept, 0.0) + number * exponent * factor
    return tuple((number, powers) for powers, number in found.items() if number != 0.0)


def _reduced(atom: str, power: float) -> float:
    if atom in ("sign(a-b)", "sign(a+b)"):  # at 0 the even powers are the functions' limits
        return power % 2.0
    return power - 2.0 if atom in ("sign(a)", "sign(b)") and power > 2.0 else power


def _power(x: Any, exponent: float) -> Any:
    if exponent == 1.0:
        return x
    return x * x if exponent == 2.0 else x**exponent


def _values(terms: Terms, a: Any, b: Any) -> Any:
    """Return a function's values; 0 where nothing is divided by nothing."""
    parts = [_term(number, dict(powers), a, b) for number, powers in terms]
    return np.broadcast_to(functools.reduce(np.add, parts), np.broadcast_shapes(a.shape, b.shape))


def _term(number: float, powers: dict[str, float], a: Any, b: Any) -> Any:
    may_be_nothing = any(
        exponent < 0.0 or atom.startswith("log") for atom, exponent in powers.items()
    )
    if "|a-b|" in powers and powers.get("sign(a-b)", 0.0) == powers["|a-b|"] % 2.0:
        powers = {("a-b" if atom == "|a-b|" else atom): power for atom, power in powers.items()
                  if atom != "sign(a-b)"}  # fmt: skip
    parts = [_power(_EVALUATE[atom](a, b), exponent) for atom, exponent in powers.items()]
    found = functools.reduce(np.multiply, parts if number == 1.0 and parts else [number, *parts])
    if may_be_nothing:
        is_nothing = np.isnan(found) & (a == 0.0) & (b == 0.0)
        found = np.where(is_nothing, 0.0, found) if is_nothing.any() else found
    return found


def _largest(difference: Any) -> Any:
    sizes = np.abs(difference)
    is_largest = sizes == sizes.max(axis=0)
    return np.sign(difference) * is_largest / is_largest.sum(axis=0)


_EVALUATE = {
    "a-b": lambda a, b: a - b,
    "|a-b|": lambda a, b: np.abs(a - b),
    "sign(a-b)": lambda a, b: np.sign(a - b),
    "|a+b|": lambda a, b: np.abs(a + b),
    "sign(a+b)": lambda a, b: np.sign(a + b),
    "|a|+|b|": lambda a, b: np.abs(a) + np.abs(b),
    "sign(a)": lambda a, b: np.sign(a),
    "sign(b)": lambda a, b: np.sign(b),
    "a": lambda a, b: a,
    "b": lambda a, b: b,
    "a+b": lambda a, b: a + b,
    "log(2a/(a+b))": lambda a, b: np.log(2.0 * a / (a + b)),
    "log(2b/(a+b))": lambda a, b: np.log(2.0 * b / (a + b)),
    "largest": lambda a, b: _largest(a - b),
}


# --- sums -----------------------------------------------------------------------------------------

_LIMIT = 1 << 15  # numbers at once


class PairSum(ShapedBlock):
    """A sum over pairs and coordinates: its options are f, its result's indices and its factors'.

    Operands are the points, and a factor for each of the indices.
    """

    title = "pair_sum"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the result's shape."""
        (n, d), (m, _) = operand_shapes[:2]
        lengths = {"i": n, "j": m, "k": d}
        return (tuple(lengths[index] for index in self.options[1]),)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the sum; a factor of zero leaves nothing of an infinite value."""
        found = self._sum(operands, np.multiply)
        return [found if np.isfinite(found).all() else self._sum(operands, _product)]

    def _sum(self, operands: Sequence[Any], times: Callable[[Any, Any], Any]) -> Any:
        """Return the sum, computed in parts that stay in a cache."""
        terms, out, given = self.options
        scale = terms[0][0] if len(terms) == 1 else 1.0
        terms = ((1.0, terms[0][1]),) if len(terms) == 1 else terms
        a, b = operands[:2]
        factors = dict(zip(given, operands[2:], strict=True))
        found = np.zeros(self.result_shapes[0])
        for rows, columns in self._parts():
            part_a, part_b = a[rows, columns].T[:, :, None], b[:, columns].T[:, None, :]
            values = _values(terms, part_a, part_b)
            for indices, factor in factors.items():
                values = times(values, _part(indices, factor, rows, columns))
            if out == "ij":
                found[rows] += values.sum(axis=0)
            elif out == "ik":
                found[rows, columns] = values.sum(axis=2).T
            elif out == "jk":
                found[:, columns] += values.sum(axis=1).T
            else:
                found[columns] += values.sum(axis=(1, 2))
        return found if scale == 1.0 else scale * found

    def _parts(self) -> Iterator[tuple[slice, slice]]:
        (n, d), (m, _) = self.operand_shapes[:2]
        n_rows = max(1, min(n, _LIMIT // max(m, 1)))
        needs_all = any(atom == "largest" for _, powers in self.options[0] for atom, _ in powers)
        n_columns = d if needs_all else max(1, min(d, _LIMIT // max(n_rows * m, 1)))
        for i in range(0, n, n_rows):
            for k in range(0, d, n_columns):
                yield slice(i, i + n_rows), slice(k, k + n_columns)

    def _with(self, operands: Sequence[Any], out: str, terms: Terms | None = None,
              **changes: Any) -> Any:  # fmt: skip
        """Return the sum with other factors, functions or indices; a factor of None is left out."""
        own, _, given = self.options
        factors = {**dict(zip(given, operands[2:], strict=True)), **changes}
        kept = {indices: factor for indices, factor in factors.items() if factor is not None}
        return pair_sum(own if terms is None else terms, out, operands[0], operands[1], kept)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints, sums with the adjoint among the factors."""
        terms, out, given = self.options
        factors = dict(zip(given, operands[2:], strict=True))
        adjoint = adjoints[0] * factors[out] if out in factors else adjoints[0]
        found: list[Any] = []
        for by, indices, is_active in zip("ab", ("ik", "jk"), self.is_active, strict=False):
            changed = derivative(terms, by) if is_active else ()
            found.append(
                self._with(operands, indices, changed, **{out: adjoint}) if changed else None
            )
        for indices, is_active in zip(given, self.is_active[2:], strict=True):
            if not is_active:
                found.append(None)
            elif indices == out:
                found.append(self._with(operands, out, **{out: adjoints[0]}))
            else:
                found.append(self._with(operands, indices, **{out: adjoint, indices: None}))
        return found

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent, the sum of those by each operand."""
        terms, out, given = self.options
        factors = dict(zip(given, operands[2:], strict=True))
        parts = []
        for by, indices, tangent in zip("ab", ("ik", "jk"), tangents, strict=False):
            changed = derivative(terms, by)
            if tangent is not None and changed:
                moved = tangent * factors[indices] if indices in factors else tangent
                parts.append(self._with(operands, out, changed, **{indices: moved}))
        for indices, tangent in zip(given, tangents[2:], strict=True):
            if tangent is not None:
                parts.append(self._with(operands, out, **{indices: tangent}))
        return [total_of(*parts)]


def _part(indices: str, factor: Any, rows: slice, columns: slice) -> Any:
    """Return a factor of some rows of a and some coordinates, its axes those of values."""
    if indices == "ij":
        return factor[rows][None]
    if indices == "ik":
        return factor[rows, columns].T[:, :, None]
    return factor[:, columns].T[:, None, :] if indices == "jk" else factor[columns][:, None, None]


def _product(values: Any, factor: Any) -> Any:
    return np.where(factor == 0.0, 0.0, values * factor)


def pair_sum(terms: Terms, out: str, a: Any, b: Any, factors: Mapping[str, Any]) -> Any:
    """Return the sum over pairs and coordinates that `out` doesn't name.

    Parameters
    ----------
    terms : Terms
        The function of two coordinates.
    out : {"ij", "ik", "jk", "k"}
        The result's indices: of points of `a`, of points of `b`, of coordinates.
    a, b : array
        Points as rows.
    factors : mapping
        Arrays by their indices.
    """
    given = tuple(sorted(factors))
    operands = [a, b, *(factors[indices] for indices in given)]
    return applied(PairSum, operands, terms, out, given)[0]
