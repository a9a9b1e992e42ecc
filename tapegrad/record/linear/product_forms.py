"""Compiled forms of the product of matrices."""

from __future__ import annotations

from typing import Any

from numba import int64

from tapegrad.jit import jit_inline
from tapegrad.memory import address, pointer, shift
from tapegrad.record.linear import kernels
from tapegrad.record.linear.compiled_forms import Pointers, forms
from tapegrad.record.linear.kernels import Numbers, fill

_NOT_FINITE = 0x7FF0000000000000


@jit_inline
def _all_finite(numbers: Numbers, size: int) -> bool:
    words, count = pointer(address(numbers), int64), 0
    for k in range(size):
        count += (words[k] & _NOT_FINITE) == _NOT_FINITE
    return count == 0


@jit_inline
def _add_moved(by: Numbers, by_steps: Any, x: Numbers, x_steps: Any, out: Numbers, out_steps: Any,
               sizes: Any) -> None:  # fmt: skip
    """Add the product of adjoints or tangents and numbers, of which some are not finite."""
    m, n, length = sizes
    for i in range(m):
        for k in range(length):
            number = by[i * by_steps[0] + k * by_steps[1]]
            if number != 0.0:
                for j in range(n):
                    place = i * out_steps[0] + j * out_steps[1]
                    out[place] += number * x[k * x_steps[0] + j * x_steps[1]]


def _product_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    m, n, length = context[2], context[3], context[4]
    fill(writes[0], 0.0, context[1] * m * n)
    for s in range(context[1]):
        a, b = shift(reads[0], s * m * length), shift(reads[1], s * length * n)
        out = shift(writes[0], s * m * n)
        kernels.add_product(1.0, a, 0, b, 0, out, m, n, length, context[7])
    return 0


def _product_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    m, n, length = context[2], context[3], context[4]
    for s in range(context[1]):
        a, b = shift(reads[0], s * m * length), shift(reads[1], s * length * n)
        by = shift(reads[3], s * m * n)
        of_a, of_b = shift(writes[0], s * m * length), shift(writes[1], s * length * n)
        if context[5] != 0:
            if _all_finite(b, length * n):
                kernels.add_product(1.0, by, 0, b, 1, of_a, m, length, n, context[7])
            else:
                _add_moved(by, (n, 1), b, (1, n), of_a, (length, 1), (m, length, n))
        if context[6] != 0:
            if _all_finite(a, m * length):
                kernels.add_product(1.0, a, 1, by, 0, of_b, length, n, m, context[7])
            else:
                _add_moved(by, (1, n), a, (length, 1), of_b, (1, n), (n, length, m))
    return 0


def _product_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    m, n, length = context[2], context[3], context[4]
    fill(writes[0], 0.0, context[1] * m * n)
    for s in range(context[1]):
        a, b = shift(reads[0], s * m * length), shift(reads[1], s * length * n)
        of_a, of_b = shift(reads[3], s * m * length), shift(reads[4], s * length * n)
        out = shift(writes[0], s * m * n)
        if context[5] != 0:
            if _all_finite(b, length * n):
                kernels.add_product(1.0, of_a, 0, b, 0, out, m, n, length, context[7])
            else:
                _add_moved(of_a, (length, 1), b, (n, 1), out, (n, 1), (m, n, length))
        if context[6] != 0:
            if _all_finite(a, m * length):
                kernels.add_product(1.0, a, 0, of_b, 0, out, m, n, length, context[7])
            else:
                _add_moved(of_b, (1, n), a, (1, length), out, (1, n), (n, m, length))
    return 0


PRODUCT = forms(
    "matmul",
    value=_product_value,
    pullback=_product_pullback,
    pushforward=_product_pushforward,
)
