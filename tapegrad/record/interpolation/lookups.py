"""Look-ups: interpolants at places, as blocks; which coefficients count is found at each call.

`evaluated` and `scattered` are transposes of each other, linear in coefficients and values. The
derivative of either by places is the same with the basis differentiated once more, so that the
two are all that any order needs. Coefficients that nothing depends on are held by the block.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block, Kind, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.record.active import Active, make
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.called import call
from tapegrad.record.functions.elementwise_blocks import chained
from tapegrad.record.interpolation.bases import Basis, Orders, PowerBasis, SplineBasis, Table
from tapegrad.record.interpolation.lookup_forms import POWERS, SPLINES
from tapegrad.record.linear.compiled_forms import Forms
from tapegrad.record.linear.shaped import ShapedBlock, is_absent, total_of


class _Lookup(ShapedBlock):
    """What the two have in common: the first operand are places, the second what is linear."""

    def __init__(self, name: str, shapes: Shapes, results: Shapes, is_active: tuple[bool, ...],
                 basis: Basis, orders: Orders, *options: Any) -> None:  # fmt: skip
        self.options = (basis, orders, *options)
        self.basis, self.orders = basis, orders
        Block.__init__(self, name, shapes, results, is_active)

    @functools.cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for own in ("_hash", "_addresses"):  # of this process
            state.pop(own, None)
        return state

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results as every sweep finds them."""
        with np.errstate(all="ignore"):
            try:
                return Block.evaluated(self, operands)
            except BlockFailedError:
                self.basis.refuse(np.asarray(operands[0]))
                raise

    def _once_more(self) -> list[Orders]:
        """Return the orders of the derivatives by each number of a place."""
        return [tuple(n + (k == j) for k, n in enumerate(self.orders))
                for j in range(self.basis.n_dimensions)]  # fmt: skip

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints, recorded if they're active."""
        return self.pullback(operands, results, adjoints)


def _forms_of(basis: Basis) -> Forms:
    if isinstance(basis, PowerBasis):
        return POWERS
    return SPLINES if isinstance(basis, SplineBasis) else {}


class Evaluated(_Lookup):
    """An interpolant at places, times a row of coefficients each.

    Operands: places, shape (m, d), and coefficients, shape (n, r), unless a table has them. A
    compiled form has the derivatives by a number each place is as another result.
    """

    def __init__(self, shapes: Shapes, is_active: tuple[bool, ...], basis: Basis, orders: Orders,
                 table: Table | None) -> None:  # fmt: skip
        r = (shapes[1] if table is None else table.array.shape)[1]
        result = (shapes[0][0], r)
        self.table = table
        self._has_slopes = is_active[0] and bool(_forms_of(basis))
        super().__init__("interpolant", shapes, (result,) * (1 + self._has_slopes), is_active,
                         basis, orders, table)  # fmt: skip

    def compiled(self, kind: Kind) -> int:
        """Return the address of a compiled form, of the bases that have one."""
        return self._addresses.get(kind, 0)

    @functools.cached_property
    def _addresses(self) -> dict[Kind, int]:
        return {kind: form.address() for kind, form in _forms_of(self.basis).items()}

    @property
    def context(self) -> tuple[int, ...]:
        """Sizes, where held numbers are, and what is asked."""
        basis = self.basis
        if isinstance(basis, PowerBasis):
            knots, n, option = basis.breaks, basis.n_powers, 2 * basis.is_descending + basis.is_left
        elif isinstance(basis, SplineBasis):
            knots, n, option = basis.knots, basis.degree, 0
        else:
            return ()
        ((m, r), *_) = self.result_shapes
        is_one = (
            isinstance(basis, PowerBasis)
            and option == 0
            and ((m, r, self.orders[0], self._has_slopes) == (1, 1, 0, True))
        )
        return (m, r, n, len(knots.array), knots.address, self.orders[0],
                basis.beyond, option, 0 if self.table is None else self.table.address,
                int(self._has_slopes), int(self.table is None and self.is_active[1]), int(is_one),
                0)  # fmt: skip

    def _coefficients(self, operands: Sequence[Any]) -> Any:
        return operands[1] if self.table is None else self.table.array

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the values."""
        return [self.basis.evaluate(operands[0], self._coefficients(operands), self.orders)]

    def _again(self, places: Any, coefficients: Any, orders: Orders) -> Any:
        return evaluated(self.basis, places, coefficients, orders)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        places, coefficients, given = operands[0], self._coefficients(operands), adjoints[0]
        found: list[Any] = [None] * len(operands)
        if self.is_active[0]:
            found[0] = np.stack(
                [np.sum(chained(given, self._again(places, coefficients, orders)), axis=1)
                 for orders in self._once_more()], axis=1)  # fmt: skip
        if self.table is None and self.is_active[1]:
            found[1] = scattered(self.basis, places, given, self.orders)
        return found

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        places, coefficients = operands[0], self._coefficients(operands)
        terms: list[Any] = []
        if not is_absent(tangents[0]):
            terms += [chained(tangents[0][:, k : k + 1], self._again(places, coefficients, orders))
                      for k, orders in enumerate(self._once_more())]  # fmt: skip
        if self.table is None and not is_absent(tangents[1]):
            terms.append(self._again(places, tangents[1], self.orders))
        return [total_of(*terms), *[None] * (len(results) - 1)]


class Scattered(_Lookup):
    """The adjoints of coefficients for those of values: operands places (m, d), values (m, r)."""

    def __init__(self, shapes: Shapes, is_active: tuple[bool, ...], basis: Basis,
                 orders: Orders) -> None:  # fmt: skip
        results = ((basis.size, shapes[1][1]),)
        super().__init__("interpolant transposed", shapes, results, is_active, basis, orders)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the sums."""
        return [self.basis.scatter(operands[0], operands[1], self.orders)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        (places, values), (given,) = operands, adjoints
        of_places = of_values = None
        if self.is_active[0]:
            of_places = np.stack(
                [np.sum(chained(values, evaluated(self.basis, places, given, orders)), axis=1)
                 for orders in self._once_more()], axis=1)  # fmt: skip
        if self.is_active[1]:
            of_values = evaluated(self.basis, places, given, self.orders)
        return of_places, of_values

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        (places, values), (moved, changed) = operands, tangents
        terms: list[Any] = []
        if not is_absent(moved):
            terms += [scattered(self.basis, places, chained(moved[:, k : k + 1], values), orders)
                      for k, orders in enumerate(self._once_more())]  # fmt: skip
        if not is_absent(changed):
            terms.append(scattered(self.basis, places, changed, self.orders))
        return [total_of(*terms)]


# --- calls ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _held(shape: tuple[int, int], basis: Basis, orders: Orders, table: Table) -> Evaluated:
    """Return the block of held coefficients at active places: a loop asks for it over and over."""
    return Evaluated((shape,), (True,), basis, orders, table)


def evaluated_at(basis: Basis, place: Active, table: Table, order: int) -> Active:
    """Return an interpolant of one column at one active place: what loops over numbers ask for."""
    tape = place.tape
    tape.enter()
    block = tape.own(_held((1, 1), basis, (order,), table))
    results = block.evaluated([np.array([[place.primal]])])
    values = np.array([result[0, 0] for result in results])
    slots = tape.call(block, [place.slot], values)
    return make(tape, int(slots[0]), float(values[0]))


def evaluated(basis: Basis, places: Any, coefficients: Any, orders: Orders) -> Any:
    """Return an interpolant's derivatives at places, recorded if something is active.

    Parameters
    ----------
    basis : Basis
    places : array_like, shape (m, d)
    coefficients : array_like, shape (n, r), or Table
    orders : tuple of int

    Returns
    -------
    array_like, shape (m, r)
    """
    if type(coefficients) is np.ndarray:
        coefficients = Table(coefficients)
    elif isinstance(coefficients, ActiveArray) and coefficients.is_passive:
        coefficients = Table(coefficients.data["value"])
    if isinstance(coefficients, Table):
        if not any(True for _ in tapes_in(places)):
            return basis.evaluate(places, coefficients.array, orders)
        return call(_held(places.shape, basis, orders, coefficients), (places,))[0]
    shapes = places.shape, coefficients.shape
    return call(lambda is_active: Evaluated(shapes, is_active, basis, orders, None),
                (places, coefficients))[0]  # fmt: skip


def scattered(basis: Basis, places: Any, values: Any, orders: Orders) -> Any:
    """Return the coefficients' adjoints for those of values at places, recorded if active."""
    shapes = places.shape, values.shape
    return call(lambda is_active: Scattered(shapes, is_active, basis, orders),
                (places, values))[0]  # fmt: skip
