"""`numpy.einsum`: operands contracted two by two, each contraction a stack of matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.record.array import as_active_data, wrap
from tapegrad.record.functions.dot import matmul
from tapegrad.record.functions.operands import array_on, tape_of
from tapegrad.record.functions.reductions import total
from tapegrad.record.functions.registry import rule, store

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters(sublist: Any) -> str:
    return "".join("..." if k is Ellipsis else _LETTERS[k] for k in sublist)


def parsed(args: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Return subscripts as a string, and the operands."""
    if isinstance(args[0], str):
        return args[0].replace(" ", ""), list(args[1:])
    operands, sublists = list(args[0 : len(args) // 2 * 2 : 2]), args[1::2]
    subscripts = ",".join(map(_letters, sublists))
    if len(args) % 2:
        subscripts += "->" + _letters(args[-1])
    return subscripts, operands


def _expanded(subscripts: str, operands: list[Any]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the result, with no ellipsis and no default."""
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {len(operands)} operands for the subscripts {inputs!r}")
    unused = [letter for letter in _LETTERS if letter not in subscripts]
    extra = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True)]
    if any(n < 0 or (n and "..." not in t) for n, t in zip(extra, terms, strict=True)):
        raise ValueError(f"einsum: the operands' dimensions don't fit the subscripts {inputs!r}")
    dots = "".join(unused[: max(n for n, t in zip([0, *extra], ["...", *terms], strict=True))])
    terms = [t.replace("...", dots[len(dots) - n :]) for t, n in zip(terms, extra, strict=True)]
    if not arrow:
        joined = "".join(terms)
        output = dots + "".join(
            letter for letter in sorted(set(joined) - set(dots)) if joined.count(letter) == 1
        )
    elif dots and "..." not in output:
        raise ValueError(f"einsum: the result {output!r} has no ellipsis, as the operands have")
    output = output.replace("...", dots)
    if len(set(output)) < len(output) or not set(output) <= set("".join(terms)):
        raise ValueError(f"einsum: {output!r} can't be made of the subscripts {inputs!r}")
    return terms, output


def _diagonals(x: Any, labels: str) -> tuple[Any, str]:
    """Take the diagonal for each label an operand has twice."""
    for letter in dict.fromkeys(labels):
        while labels.count(letter) > 1:
            first, second = labels.index(letter), labels.rindex(letter)
            if x.shape[first] != x.shape[second]:
                raise ValueError(f"einsum: the label {letter!r} has two lengths, in {x.shape}")
            x = np.diagonal(x, axis1=first, axis2=second)
            labels = "".join(c for k, c in enumerate(labels) if k not in (first, second)) + letter
    return x, labels


def _summed(x: Any, labels: str, kept: set[str]) -> tuple[Any, str]:
    axes = tuple(k for k, letter in enumerate(labels) if letter not in kept)
    if not axes:
        return x, labels
    return array_on(x.tape, total(x, axes)), "".join(letter for letter in labels if letter in kept)


def _arranged(x: Any, labels: str, groups: list[str], sizes: dict[str, int]) -> Any:
    """Return an operand with one axis a group of labels; a label of length one is repeated."""
    order = [labels.index(letter) for group in groups for letter in group if letter in labels]
    wanted = [[letter for letter in group if letter in labels] for group in groups]
    moved = x.transpose(order)
    shape = tuple(sizes[letter] for group in wanted for letter in group)
    moved = array_on(x.tape, np.broadcast_to(moved, shape))
    return moved.reshape(tuple(math.prod(sizes[letter] for letter in group) for group in wanted))


def _contract(x: Any, x_labels: str, y: Any, y_labels: str, kept: set[str],
              sizes: dict[str, int]) -> tuple[Any, str]:  # fmt: skip
    x, x_labels = _summed(x, x_labels, kept | set(y_labels))
    y, y_labels = _summed(y, y_labels, kept | set(x_labels))
    shared = [letter for letter in x_labels if letter in y_labels]
    batch = "".join(letter for letter in shared if letter in kept)
    inner = "".join(letter for letter in shared if letter not in kept)
    rows = "".join(letter for letter in x_labels if letter not in shared)
    columns = "".join(letter for letter in y_labels if letter not in shared)
    left = _arranged(x, x_labels, [batch, rows, inner], sizes)
    right = _arranged(y, y_labels, [batch, inner, columns], sizes)
    labels = batch + rows + columns
    if not inner:  # an outer product: no sums to record
        product = left * np.swapaxes(right, 1, 2) if not columns else left * right
    else:
        product = matmul(left, right)
    return product.reshape(tuple(sizes[letter] for letter in labels)), labels


def _sizes(operands: list[Any], terms: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for x, labels in zip(operands, terms, strict=True):
        for letter, n in zip(labels, x.shape, strict=True):
            if 1 not in (n, sizes.get(letter, 1)) and sizes[letter] != n:
                raise ValueError(
                    f"einsum: the label {letter!r} has lengths {sizes[letter]} and {n}"
                )
            sizes[letter] = max(n, sizes.get(letter, n)) if n else 0
    return sizes


@rule(np.einsum)
def _einsum(*args: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Any:
    subscripts, operands = parsed(args)
    tape = tape_of(*operands)
    operands = [array_on(tape, x) for x in operands]
    terms, output = _expanded(subscripts, operands)
    sizes = _sizes(operands, terms)
    (result, labels), *others = [_diagonals(x, t) for x, t in zip(operands, terms, strict=True)]
    while others:
        (other, other_labels), *others = others
        kept = set(output).union(*(of_other for _, of_other in others))
        result, labels = _contract(result, labels, other, other_labels, kept, sizes)
    result, labels = _summed(result, labels, set(output))
    data = as_active_data(tape, result)
    moved = data.transpose([labels.index(letter) for letter in output])
    return store(out, wrap(tape, moved), "einsum")
