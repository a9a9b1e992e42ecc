"""The memory that blocks are given: what they read stays as it is while they run."""

from __future__ import annotations

import numpy as np

import tapegrad as tg
from tapegrad.blocks import Block
from tapegrad.record.called import call

N = 256


class Watching(Block):
    """Twice its operand; it takes memory as its results' and sees whether what it reads stays."""

    def __init__(self):
        super().__init__("twice", ((N,),), ((N,),), (True,))

    def watched(self, *arrays):
        before = [array.copy() for array in arrays]
        taken = [np.full(n, np.nan) for n in (N, 2, 3, 4, 8) for _ in range(50)]
        assert all(map(np.array_equal, before, arrays))
        assert len(taken) == 250
        return [2.0 * before[-1]]

    def value(self, operands):
        return self.watched(*operands)

    def pullback(self, operands, results, adjoints):
        return self.watched(*operands, *results, *adjoints)

    def pushforward(self, operands, results, tangents):
        return self.watched(*operands, *results, *tangents)


def test_what_a_block_reads_stays_while_it_runs():
    twice = Watching()
    x = np.linspace(1.0, 2.0, N)

    def f(x):
        y = x
        for _ in range(20):
            y = call(twice, [y])[0]
        return np.sum(y)

    gradient = tg.grad(f, compile="never")
    for point in (x, 3.0 * x, -x):
        assert np.array_equal(gradient(point), np.full(N, 2.0**20))
        assert tg.jvp(f, (point,), (x,))[1] == np.sum(2.0**20 * x)
