"""Bases of interpolants that are linear in their coefficients, and of few of them at any place.

A basis says of places which coefficients count there and how much, and of every derivative by the
place as well: all derivatives of an interpolant, by places and by coefficients and to any order,
are made of that. It's immutable, equals another of the same knots, and can be pickled.
"""

from __future__ import annotations

import functools
import math
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Orders = tuple[int, ...]


class Table:
    """Numbers that never change, told by their bits.

    Parameters
    ----------
    numbers : array_like
    """

    def __init__(self, numbers: Any) -> None:
        self.array = np.array(numbers, np.float64, order="C")
        self.array.flags.writeable = False

    @functools.cached_property
    def _key(self) -> tuple[tuple[int, ...], bytes]:
        return self.array.shape, self.array.tobytes()

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self._key)

    @functools.cached_property
    def is_finite(self) -> bool:
        """Whether all numbers are finite."""
        return bool(np.isfinite(self.array).all())

    @property
    def address(self) -> int:
        """Where the numbers are."""
        return int(self.array.ctypes.data)

    def has(self, numbers: Any) -> bool:
        """Whether an array has these bits."""
        if numbers.shape != self.array.shape or numbers.dtype != np.float64:
            return False
        if numbers.flags.c_contiguous:
            return bool(np.array_equal(numbers.view(np.int64), self.array.view(np.int64)))
        return bool(numbers.tobytes() == self._key[1])

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Table) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return Table, (self.array,)


_MOST_KEPT = 64
_kept: dict[tuple[int, Any], tuple[weakref.ref[Any], Table]] = {}


def table_of(numbers: Any, shape: tuple[int, ...] | None = None) -> Table:
    """Return a plain array as a table; the latest are kept, since loops ask for the same again."""
    found = _kept.get((id(numbers), shape))
    flat = numbers if shape is None else numbers.reshape(shape)
    if found is not None and found[0]() is numbers and found[1].has(flat):
        return found[1]
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    table = Table(flat)
    _kept[id(numbers), shape] = weakref.ref(numbers), table
    return table


class Basis:
    """Functions of places, of which few aren't zero at any.

    Parameters
    ----------
    n_dimensions, size : int
        How many numbers a place is, and how many functions there are.
    *key : hashable
        What tells one from another of its class.
    """

    def __init__(self, n_dimensions: int, size: int, *key: Any) -> None:
        self.n_dimensions, self.size, self.key = n_dimensions, size, key

    def refuse(self, places: Array) -> None:
        """Raise SciPy's error for a place beyond the ends, where that is one."""

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return of each place which functions aren't zero there, and their derivatives.

        Parameters
        ----------
        places : ndarray, shape (m, n_dimensions)
        orders : tuple of int
            How often they're differentiated, by each number of a place.

        Returns
        -------
        rows, weights : ndarray, shape (m, q)
        """
        raise NotImplementedError

    def evaluate(self, places: Array, coefficients: Array, orders: Orders) -> Array:
        """Return the sums of functions times coefficients, shape (m, r)."""
        rows, weights = self.weights(places, orders)
        return np.asarray(np.einsum("mq,mqr->mr", weights, coefficients[rows]))

    def scatter(self, places: Array, values: Array, orders: Orders) -> Array:
        """Return what the coefficients' adjoints are for those of the sums, shape (size, r)."""
        rows, weights = self.weights(places, orders)
        found = np.zeros((self.size, values.shape[1]))
        # Where there is no value, no coefficient is read.
        weights = np.where(np.isnan(weights), 0.0, weights)
        np.add.at(found, rows, weights[:, :, None] * values[:, None, :])
        return found

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Basis) and self.key == other.key

    def __hash__(self) -> int:
        return hash((type(self), self.key))


NOWHERE, EXTRAPOLATED, CLAMPED, REFUSED = range(4)
"""What a function is beyond the ends: not a number, what it's in the outer piece, constant, or an
error."""

Beyond = int


def _inner(x: Array, low: float, high: float, beyond: Beyond) -> tuple[Array, Mask, Mask]:
    """Return where a function is evaluated, where its value is none, and where it's constant."""
    is_inside = (low <= x) & (x <= high)
    is_lost = np.asarray(np.isnan(x) if beyond else ~is_inside, np.bool_)
    is_flat = np.asarray(~is_inside & ~is_lost & (beyond == CLAMPED), np.bool_)
    return np.where(is_flat, np.clip(x, low, high), x), is_lost, is_flat


def _refuse_beyond(x: Array, low: float, high: float) -> None:
    """Raise interp1d's error."""
    for is_beyond, side, bound in ((x < low, "below", low), (x > high, "above", high)):
        if is_beyond.any():
            name = "minimum" if side == "below" else "maximum"
            raise ValueError(
                f"A value ({x[np.argmax(is_beyond)]}) in x_new is {side} the interpolation range's "
                f"{name} value ({bound})."
            )


def _settled(weights: Array, is_lost: Mask, is_flat: Mask, order: int) -> Array:
    weights[is_lost] = np.nan
    if order:
        weights[is_flat] = 0.0
    return weights


class PowerBasis(Basis):
    """Powers of the distance from the breakpoint at which a piece begins, a set for each piece.

    Parameters
    ----------
    breaks : Table
        In either order.
    n_powers : int
    beyond : {NOWHERE, EXTRAPOLATED, CLAMPED, REFUSED}
    is_left : bool
        Whether a breakpoint belongs to the piece on its left. The last one always does, and the
        first one to the piece on its right.
    """

    def __init__(self, breaks: Table, n_powers: int, beyond: Beyond, is_left: bool = False) -> None:
        self.breaks, self.n_powers, self.beyond = breaks, n_powers, beyond
        self.n_pieces = len(breaks.array) - 1
        self.is_descending = bool(breaks.array[-1] < breaks.array[0])
        self.is_left = is_left and not self.is_descending
        super().__init__(1, n_powers * self.n_pieces, breaks, n_powers, beyond, is_left)

    @functools.cached_property
    def is_ascending(self) -> bool:
        """Whether no breakpoint is below the one before."""
        return bool(np.all(np.diff(self.breaks.array) >= 0.0))

    @functools.cached_property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest breakpoint."""
        low, high = sorted((self.breaks.array[0], self.breaks.array[-1]))
        return float(low), float(high)

    def refuse(self, places: Array) -> None:
        """Raise interp1d's error for a place beyond the ends."""
        if self.beyond == REFUSED:
            _refuse_beyond(places[:, 0], *self.ends)

    def _pieces(self, x: Array) -> Index:
        breaks = self.breaks.array
        if self.is_descending:
            piece = len(breaks) - 1 - np.searchsorted(breaks[::-1], x, "left")
        else:
            piece = np.searchsorted(breaks, x, "left" if self.is_left else "right") - 1
        return np.clip(piece, 0, self.n_pieces - 1)

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the powers' derivatives; NaN where there is no piece."""
        (order,) = orders
        self.refuse(places)
        x, is_lost, is_flat = _inner(places[:, 0], *self.ends, self.beyond)
        piece = self._pieces(x)
        s, n = x - self.breaks.array[piece], self.n_powers
        weights = np.zeros((len(x), n))
        power = np.ones(len(x))
        for k in range(order, n):
            factor = float(np.prod(np.arange(k, k - order, -1.0)))
            weights[:, n - 1 - k] = power * factor
            power = power * s
        rows = np.arange(n) * self.n_pieces + piece[:, None]
        return rows, _settled(weights, is_lost, is_flat, order)

    def __reduce__(self) -> Any:
        return PowerBasis, self.key


class SplineBasis(Basis):
    """B-splines of a degree, by their knots.

    Parameters
    ----------
    knots : Table
    degree : int
    beyond : {NOWHERE, EXTRAPOLATED, CLAMPED, REFUSED}
    """

    def __init__(self, knots: Table, degree: int, beyond: Beyond) -> None:
        self.knots, self.degree, self.beyond = knots, degree, beyond
        super().__init__(1, len(knots.array) - degree - 1, knots, degree, beyond)

    @property
    def ends(self) -> tuple[float, float]:
        """Between which knots all splines are."""
        t = self.knots.array
        return float(t[self.degree]), float(t[self.size])

    def refuse(self, places: Array) -> None:
        """Raise FITPACK's error for a place beyond the ends."""
        low, high = self.ends
        if self.beyond == REFUSED and np.any((places < low) | (places > high)):
            raise ValueError("Found x value not in the domain")

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the splines' derivatives by de Boor's recurrence; NaN where there are none."""
        (order,) = orders
        self.refuse(places)
        x, is_lost, is_flat = _inner(places[:, 0], *self.ends, self.beyond)
        t, k, n = self.knots.array, self.degree, self.size
        with np.errstate(all="ignore"):
            last = np.clip(np.searchsorted(t, x, "right") - 1, k, n - 1)
            weights = np.zeros((len(x), k + 1))
            weights[:, 0] = 1.0
            if order > k:
                weights[:, 0] = 0.0
            for j in range(1, k + 1):
                before = weights.copy()
                weights[:, 0] = 0.0
                for i in range(1, j + 1):
                    right, left = t[last + i], t[last + i - j]
                    part = np.where(right == left, 0.0, before[:, i - 1] / (right - left))
                    if j <= k - order:
                        weights[:, i - 1] += part * (right - x)
                        weights[:, i] = part * (x - left)
                    else:
                        weights[:, i - 1] -= j * part
                        weights[:, i] = j * part
        rows = last[:, None] + np.arange(-k, 1)
        return rows, _settled(weights, is_lost, is_flat, order)

    def __reduce__(self) -> Any:
        return SplineBasis, self.key


class ProductBasis(Basis):
    """Products of functions of one number each; their coefficients lie by rows.

    Parameters
    ----------
    *factors : Basis
    """

    def __init__(self, *factors: Basis) -> None:
        self.factors = factors
        super().__init__(len(factors), math.prod(basis.size for basis in factors), *factors)

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the products of the factors' derivatives."""
        rows: Any = np.zeros((len(places), 1), np.intp)
        weights: Any = np.ones((len(places), 1))
        for k, (basis, order) in enumerate(zip(self.factors, orders, strict=True)):
            own_rows, own = basis.weights(places[:, k : k + 1], (order,))
            rows = (rows[:, :, None] * basis.size + own_rows[:, None, :]).reshape(len(places), -1)
            weights = (weights[:, :, None] * own[:, None, :]).reshape(len(places), -1)
        return rows, weights

    def __reduce__(self) -> Any:
        return type(self), self.key
