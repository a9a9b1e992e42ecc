"""Look-ups as blocks: compiled forms against the bases' own weights, transposes, equality."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tapegrad.blocks import _FUNCTION, _pointers
from tapegrad.record.interpolation.bases import (
    CLAMPED,
    EXTRAPOLATED,
    NOWHERE,
    PowerBasis,
    ProductBasis,
    SplineBasis,
    Table,
)
from tapegrad.record.interpolation.lookups import Evaluated


def bases(seed):
    """A spline's basis, and a piecewise polynomial's in either order, of random degrees."""
    random = np.random.default_rng(seed)
    k, beyond = int(random.integers(0, 6)), [NOWHERE, EXTRAPOLATED, CLAMPED][seed % 3]
    inner = random.choice([0.2, 0.3, 0.5, 0.7], int(random.integers(0, 7)))
    knots = np.sort(np.concatenate([np.zeros(k + 1), np.ones(k + 1), inner]))
    breaks = np.sort(random.uniform(0.0, 1.0, int(random.integers(2, 9))))
    yield SplineBasis(Table(knots), k, beyond), random
    for order in (1, -1):
        yield PowerBasis(Table(breaks[::order]), k + 1, beyond, bool(seed % 2)), random


def run(block, kind, reads, writes):
    """Run a compiled form."""
    function, context = block.address_of(kind)
    pointers = _pointers(reads), _pointers(writes)
    assert _FUNCTION(function)(pointers[0].ctypes.data, pointers[1].ctypes.data, context) == 0


@pytest.mark.parametrize("seed", range(24))
def test_compiled_forms_are_what_the_weights_say(seed):
    close = {"rtol": 1e-9, "atol": 1e-9, "equal_nan": True}
    for basis, random in bases(seed):
        m, r, order = (int(random.integers(*ends)) for ends in ((0, 6), (1, 4), (0, 7)))
        places, c = random.uniform(-0.3, 1.3, (m, 1)), random.normal(size=(basis.size, r))
        for is_held in (True, False):
            operands = [places] if is_held else [places, c]
            shapes = tuple(operand.shape for operand in operands)
            block = Evaluated(shapes, (True,) * len(operands), basis, (order,),
                              Table(c) if is_held else None)  # fmt: skip
            results = block.evaluated(operands)
            slopes = basis.evaluate(places, c, (order + 1,))
            np.testing.assert_allclose(results[0], basis.evaluate(places, c, (order,)), **close)
            np.testing.assert_allclose(results[1], slopes, **close)
            adjoint, added = random.normal(size=(m, r)), [np.zeros(shape) for shape in shapes]
            run(block, "pullback", [*operands, *results, adjoint, np.zeros((m, r))], added)
            np.testing.assert_allclose(added[0], (adjoint * slopes).sum(1)[:, None], **close)
            moved = [random.normal(size=shape) for shape in shapes]
            expected = slopes * moved[0]
            if not is_held:
                given = basis.scatter(places, adjoint, (order,))
                np.testing.assert_allclose(added[1], given, **close)
                change = basis.evaluate(places, moved[1], (order,))
                expected = expected + np.where(np.isnan(change), 0.0, change)
            tangents = [np.full((m, r), 7.0), np.full((m, r), 7.0)]
            run(block, "pushforward", [*operands, *results, *moved], tangents)
            np.testing.assert_allclose(tangents[0], expected, **close)
            assert not tangents[1].any()


def test_evaluation_and_scattering_are_transposes():
    random = np.random.default_rng(2)
    knots = Table([0.0, 0.0, 0.0, 0.4, 1.0, 1.0, 1.0])
    factor = SplineBasis(knots, 2, EXTRAPOLATED)
    basis, places = ProductBasis(factor, factor), random.uniform(0.0, 1.0, (5, 2))
    for orders in ((0, 0), (1, 0), (1, 2)):
        c, values = random.normal(size=(basis.size, 3)), random.normal(size=(5, 3))
        left = np.sum(values * basis.evaluate(places, c, orders))
        right = np.sum(c * basis.scatter(places, values, orders))
        assert left == pytest.approx(right)


def test_blocks_of_equal_tables_are_equal_and_can_be_pickled():
    def made(step):
        basis = PowerBasis(Table(np.arange(4.0) * step), 2, EXTRAPOLATED)
        return Evaluated(((1, 1),), (True,), basis, (0,), Table(np.ones((6, 1))))

    assert made(1.0) == made(1.0)
    assert hash(made(1.0)) == hash(made(1.0))
    assert made(1.0) != made(2.0)
    block = made(1.0)
    assert block.words.size
    again = pickle.loads(pickle.dumps(block))
    assert again == block
    place = np.array([[1.5]])
    assert again.evaluated([place])[0] == block.evaluated([place])[0]
