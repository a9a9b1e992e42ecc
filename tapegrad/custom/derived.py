"""Derivatives of a function with rules, those that are missing made of those that are given.

A `Case` is a call at a point: it runs the user's functions with plain numbers; one for higher
orders records them. Pullbacks need a vjp, else the Jacobian, else a jvp for each number of the
arguments; pushforwards a jvp, else the Jacobian, else a vjp for each number of the result. A
pattern of the Jacobian saves most of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.custom import plainly
from tapegrad.custom.recorded_rules import recorded
from tapegrad.custom.sparsity import DenseMatrix, Matrix, groups, stacked, tape_of
from tapegrad.custom.tree_forms import UNKNOWN, Form, is_number, size, without_more
from tapegrad.errors import StructureError, UnsupportedFunctionError
from tapegrad.function.vectors import join
from tapegrad.tree import LEAF

if TYPE_CHECKING:
    from tapegrad.custom.block import RuleBlock


def of_arguments(block: RuleBlock, found: Any, what: str) -> list[Any]:
    """Return what there is for each operand in what a rule returns, one for each argument."""
    if block.rules.keeps:
        what = "bwd"
    elif len(block.layout.keys) == 1:
        found = (found,)
    found = tuple(found) if type(found) is list else found
    return block.layout.form.numbers(found, f"result of the {what} of {block.name}")


def of_results(block: RuleBlock, found: Any) -> list[Any]:
    """Return what there is for each result in what a jvp returns."""
    return block.result.numbers(found, f"result of the jvp of {block.name}")


class Case:
    """A call of a function with rules, at a point.

    Parameters
    ----------
    block : RuleBlock
    operands, results : sequence of ndarray
    """

    def __init__(self, block: RuleBlock, operands: Sequence[Any], results: Sequence[Any]) -> None:
        self.block, self.rules = block, block.rules
        self._operands, self._results = operands, results
        self.args, self.kwargs = block.layout.arguments(operands)

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return plainly.run(self.rules.name, function, *args)

    @property
    def _result(self) -> Any:
        result = self.block.result
        return result.tree(self._results[: len(result.shapes)])

    def _residuals(self) -> Any:
        kept = self.block.residuals
        if UNKNOWN in kept.specs:
            return self._run(self.rules.forward, self.args, self.kwargs)[1]
        start = len(self.block.result.shapes)
        return kept.tree(self._results[start : start + len(kept.shapes)])

    # --- the rules themselves ---------------------------------------------------------------------

    def push(self, moved: Sequence[Any]) -> list[Any]:
        """Return the results' tangents by the jvp; None for zero."""
        form = self.block.layout.form
        tangents = without_more(form).tree(filled(moved, form.shapes))
        assert self.rules.push is not None
        found = self._run(self.rules.push, tangents, self._result, self.args, self.kwargs)
        return of_results(self.block, found)

    def pull(self, adjoints: Sequence[Any]) -> list[Any]:
        """Return the operands' adjoints by the vjp; None for zero."""
        cotangent = without_more(self.block.result).tree(adjoints)
        return of_arguments(self.block, self._pulled(cotangent), "vjp")

    def _pulled(self, cotangent: Any) -> Any:
        assert self.rules.pull is not None
        return self._run(
            self.rules.pull, cotangent, self._result, self._residuals(), self.args, self.kwargs
        )

    # --- the Jacobian -----------------------------------------------------------------------------

    def matrix(self) -> Matrix | DenseMatrix:
        """Return the Jacobian, of the results' numbers by the operands'."""
        if self.rules.jacobian is not None:
            found = self._run(self.rules.jacobian, self.args, self.kwargs)
            return self._given(found)
        n_rows, n_columns = self._n_rows, self._n_columns
        by_columns = self.rules.push is not None
        if self.rules.pattern is None:
            made = stacked([self._line(one, by_columns) for one in self._seeds(by_columns)])
            made = made.reshape((-1, n_rows) if by_columns else (-1, n_columns))
            return DenseMatrix(made.T if by_columns else made)
        rows, columns = self._pattern()
        own, other, n = (columns, rows, n_columns) if by_columns else (rows, columns, n_rows)
        length = n_rows if by_columns else n_columns
        lines, entries = np.zeros(n, np.int64), []
        for k, part in enumerate(groups(own, other, n)):
            lines[part] = k
            seed = np.zeros(n)
            seed[part] = 1.0
            entries.append(self._line(seed, by_columns))
        if not entries:
            return Matrix((n_rows, n_columns), rows, columns, np.zeros(0))
        flat = join(entries)
        return Matrix((n_rows, n_columns), rows, columns, flat[lines[own] * length + other])

    @property
    def _n_rows(self) -> int:
        return size(self.block.result.shapes)

    @property
    def _n_columns(self) -> int:
        return size(self.block.layout.form.shapes)

    def _pattern(self) -> tuple[Any, Any]:
        assert self.rules.pattern is not None
        return self.rules.pattern.entries(self._n_rows, self._n_columns, self.rules.name)

    def _seeds(self, by_columns: bool) -> Any:
        return np.eye(self._n_columns if by_columns else self._n_rows)

    def _line(self, seed: Any, by_columns: bool) -> Any:
        """Return a column of the Jacobian, or a row, or a sum of several.

        Columns of what isn't differentiated by are zeros.
        """
        inputs, outputs = self.block.layout.form.shapes, self.block.result.shapes
        if by_columns:
            is_asked = np.repeat(self.block.is_active, self.block.operand_sizes)
            if not seed[is_asked].any():
                return np.zeros(self._n_rows)
            return join(filled(self.push(parted(seed, inputs)), outputs))
        return join(filled(self.pull(parted(seed, outputs)), inputs))

    def _given(self, found: Any) -> Matrix | DenseMatrix:
        """Return what the user's jacobian returned as a matrix."""
        form, result, name = self.block.layout.form, self.block.result, self.rules.name
        n_rows, n_columns = self._n_rows, self._n_columns
        if hasattr(found, "tocoo"):
            coordinates = found.tocoo()
            if coordinates.shape != (n_rows, n_columns):
                raise StructureError(
                    f"the result of the jacobian of {name} must be of shape {(n_rows, n_columns)}, "
                    f"not {coordinates.shape}"
                )
            rows, columns = (np.asarray(x, np.int64) for x in (coordinates.row, coordinates.col))
            return Matrix((n_rows, n_columns), rows, columns, coordinates.data)
        if self.rules.pattern is not None:
            rows, columns = self._pattern()
            dense = (*result.shapes[0], *form.shapes[0]) if n_rows and n_columns else ()
            if np.size(found) == len(rows) and np.shape(found) != dense:
                return Matrix((n_rows, n_columns), rows, columns, join([found]))
        if result.structure is LEAF:
            parts: Sequence[Any] = (found,)
        else:
            names = Form(result.structure, ((),) * len(result.specs))
            parts = _subtrees(result.structure, found, f"result of the jacobian of {name}", names)
            parts = [p for p, spec in zip(parts, result.specs, strict=True) if is_number(spec)]
        rows_of = [
            self._rows_of(part, shape) for part, shape in zip(parts, result.shapes, strict=True)
        ]
        joined = join(rows_of)
        return DenseMatrix(joined.reshape(n_rows, n_columns))

    def _rows_of(self, part: Any, shape: tuple[int, ...]) -> Any:
        """Return the rows of the Jacobian that belong to a leaf of the result, as a vector."""
        form = self.block.layout.form
        specs = tuple((*shape, *_shape(spec)) if is_number(spec) else spec for spec in form.specs)
        found = part if len(self.block.layout.keys) != 1 else (part,)
        found = tuple(found) if type(found) is list else found
        what = f"result of the jacobian of {self.rules.name}"
        blocks = filled(
            without_more(Form(form.structure, specs)).numbers(found, what),
            [spec for spec in specs if is_number(spec)],
        )
        n = size([shape])
        widths = [size([s]) for s in form.shapes]
        if tape_of(*blocks) is None:
            flat = [np.reshape(b, (n, w)) for b, w in zip(blocks, widths, strict=True)]
            return np.concatenate(flat, axis=1).reshape(-1) if flat else np.zeros(0)
        flat = [join([b]).reshape(n, w) for b, w in zip(blocks, widths, strict=True)]
        return join([block[k] for k in range(n) for block in flat])


def _shape(spec: Any) -> tuple[int, ...]:
    return spec if type(spec) is tuple else ()


def _subtrees(structure: Any, tree: Any, what: str, names: Form) -> list[Any]:
    """Return what a tree has at the leaves of an outer structure."""
    if structure is LEAF:
        return [tree]
    kind, keys, children = structure
    if type(tree) is not kind or (isinstance(tree, Sequence) and len(tree) != len(children)):
        raise StructureError(
            f"the {what} must have the structure of the result, with a Jacobian at each "
            f"of its {len(names.specs)} leaves, and it's a {type(tree).__name__}"
        )
    if isinstance(tree, dict):
        parts = [tree.get(key) for key in keys[-len(children) :]]
    elif isinstance(tree, Sequence):
        parts = list(tree)
    else:
        parts = [getattr(tree, key) for key in keys]
    return [
        leaf
        for child, part in zip(children, parts, strict=True)
        for leaf in _subtrees(child, part, what, names)
    ]


class RecordedCase(Case):
    """A call at a point some of whose numbers are active: what the rules do is recorded."""

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return recorded(self.rules, function, args)

    def _pulled(self, cotangent: Any) -> Any:
        return self._run(self.rules.pull_again, cotangent, self._result, self.args, self.kwargs)


# --- what blocks ask for --------------------------------------------------------------------------


def pulled(case: Case, adjoints: Sequence[Any]) -> list[Any]:
    """Return the operands' adjoints; None for zero."""
    if case.rules.pull is not None:
        return case.pull(adjoints)
    _require(case)
    shapes = case.block.layout.form.shapes
    return parted(case.matrix().transposed_times(join(list(adjoints))), shapes)


def pushed(case: Case, moved: Sequence[Any]) -> list[Any]:
    """Return the results' tangents; None for zero."""
    if case.rules.push is not None:
        return case.push(moved)
    _require(case)
    vector = join(filled(moved, case.block.layout.form.shapes))
    return parted(case.matrix().times(vector), case.block.result.shapes)


def _require(case: Case) -> None:
    rules = case.rules
    if rules.push is None and rules.pull is None and rules.jacobian is None:
        raise no_rule(rules.name)


def no_rule(name: str) -> UnsupportedFunctionError:
    """Return the error for a function whose rule was never given."""
    return UnsupportedFunctionError(
        f"{name} has no rule yet: give its jvp, its vjp or its Jacobian, as in "
        f"`@tapegrad.custom_rule(vjp=...)` or `{name}.defvjp(...)`"
    )


def filled(numbers: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """Return arrays with zeros in place of None."""
    return [np.zeros(shape) if number is None else number
            for number, shape in zip(numbers, shapes, strict=True)]  # fmt: skip


def parted(vector: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """Return a vector's numbers as arrays."""
    stops = np.cumsum([0, *(size([shape]) for shape in shapes)]).tolist()
    return [vector[start:stop].reshape(shape)
            for (start, stop), shape in zip(pairwise(stops), shapes, strict=True)]  # fmt: skip
