"""Powers of a matrix, and products of several in the cheapest order."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tapegrad.record.functions.dot import matmul
from tapegrad.record.functions.operands import array_on, tape_of
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.linear.shaped import square


@rule(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    matrix, n = square(a), operator.index(n)
    if n == 0:
        identity = array_on(matrix.tape, np.eye(matrix.shape[-1]))
        return np.broadcast_to(identity, matrix.shape).copy()
    base = np.linalg.inv(matrix) if n < 0 else matrix
    result, n = None, abs(n)
    while True:
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        if not n:
            return result
        base = matmul(base, base)


@rule(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")
    if len(arrays) == 2:
        return np.dot(arrays[0], arrays[1], out=out)
    tape = tape_of(list(arrays))
    factors = [array_on(tape, part) for part in arrays]
    is_row, is_column = factors[0].ndim == 1, factors[-1].ndim == 1
    factors[0] = np.atleast_2d(factors[0])
    factors[-1] = factors[-1][:, np.newaxis] if is_column else factors[-1]
    if any(part.ndim != 2 for part in factors):
        raise np.linalg.LinAlgError("all factors but the first and the last must be matrices")
    product = _product_of(
        factors, _cheapest_order([len(factors[0]), *(f.shape[1] for f in factors)])
    )
    product = product[0] if is_row else product
    product = product[..., 0] if is_column else product
    return store(out, product, "multi_dot")


def _cheapest_order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Return where to split each run of factors (Cormen et al., Introduction to Algorithms, 14.2).

    `sizes` are the numbers of rows of all matrices, and of columns of the last.
    """
    count = len(sizes) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = [
                cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            ]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(cost[i, j])
    return split


def _product_of(factors: list[Any], split: dict[tuple[int, int], int]) -> Any:
    def product(i: int, j: int) -> Any:
        if i == j:
            return factors[i]
        k = split[i, j]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(factors) - 1)
