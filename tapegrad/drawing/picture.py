"""Drawings of tapes: what to show, and how it's saved and shown."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tapegrad.blocks import raise_failure
from tapegrad.drawing.graph import Graph, Vector
from tapegrad.drawing.names import Names, Numbered, argument_names, result_names
from tapegrad.errors import GraphvizError, StructureError
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.vectors import join
from tapegrad.replay.programs import float_workspace, floats
from tapegrad.tape import Tape
from tapegrad.tree import flatten

MOST_RECORDS = 60
IMAGES = (".svg", ".png", ".pdf")
TEXTS = (".dot", ".gv")


class Drawing:
    """A tape's graph, which a notebook shows and `save` writes.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : Names
    seeds : ndarray or None
        The outputs' adjoints; without them, no adjoints are shown.
    limit : int
        See `draw`.
    """

    def __init__(self, tape: Tape, inputs: Names, outputs: Names, seeds: Vector | None,
                 limit: int) -> None:  # fmt: skip
        if limit < 3:
            raise ValueError(f"limit={limit}: three nodes is the least that can be drawn")
        self._tape = tape
        adjoints = None if seeds is None else _adjoints(tape, seeds)
        self._dot = Graph(tape, inputs, outputs, adjoints, seeds, limit).dot()

    def to_dot(self) -> str:
        """Return the graph in Graphviz's language, DOT; this needs no Graphviz."""
        return self._dot

    def save(self, path: str | Path) -> None:
        """Write the graph to a file.

        Parameters
        ----------
        path : str or Path
            Its suffix tells the format: `.svg`, `.png` and `.pdf` by Graphviz, `.dot` and `.gv`
            the text without it.

        Raises
        ------
        GraphvizError
            If Graphviz is needed and can't be used.
        ValueError
            If the suffix is another one.

        Examples
        --------
        >>> import tempfile, pathlib, tapegrad as tg
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "graph.dot"
        >>> tg.draw(lambda x: x * x, 3.0).save(path)
        >>> path.read_text(encoding="utf-8").startswith("digraph")
        True
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix in TEXTS:
            path.write_text(self._dot, encoding="utf-8")
        elif suffix in IMAGES:
            path.write_bytes(self._render(suffix[1:]))
        else:
            known = ", ".join([*IMAGES, *TEXTS])
            raise ValueError(f"a drawing can't be saved as {path.name!r}: the suffixes are {known}")

    def _render(self, image: str) -> bytes:
        try:
            graphviz = importlib.import_module("graphviz")
        except ImportError as error:
            raise GraphvizError("the Python package graphviz is not installed") from error
        try:
            return graphviz.Source(self._dot).pipe(format=image, quiet=True)  # type: ignore[no-any-return]
        except (graphviz.ExecutableNotFound, graphviz.CalledProcessError, OSError) as error:
            raise GraphvizError(f"Graphviz's program dot can't be run ({error})") from error

    @cached_property
    def _svg(self) -> str | None:
        try:
            return self._render("svg").decode()
        except GraphvizError:
            return None

    def _repr_svg_(self) -> str | None:
        return self._svg

    def _repr_html_(self) -> str | None:
        # Only where there is no picture, since a notebook would prefer this to it.
        return None if self._svg is not None else f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        return str(self._tape)

    def __repr__(self) -> str:
        return f"<Drawing of {self._tape!r}>"


def _adjoints(tape: Tape, seeds: Vector) -> Vector:
    """Return the adjoints of all slots."""
    value = float_workspace(tape)
    n_constants = len(tape.constants)
    value[n_constants:] = tape.value
    adjoint = np.zeros_like(value)
    out = np.empty(len(tape.inputs))
    if floats.pullback.run(tape.head, seeds, value, adjoint, out):
        raise_failure(tape)
    return adjoint[n_constants:]


def _seed_vector(tape: Tape, adjoints: bool, seeds: Any) -> Vector | None:
    """Return the outputs' adjoints; None if none are to be shown."""
    n = len(tape.outputs)
    if not adjoints:
        return None
    if seeds is None:
        return np.ones(1) if n == 1 else None
    leaves: list[Any] = []
    flatten(seeds, leaves)
    vector: Vector = join(leaves)
    if len(vector) != n:
        raise StructureError(f"there are {len(vector)} seeds for {n} outputs")
    return vector


def draw(function: Callable[..., Any] | Tape, *args: Any, adjoints: bool = True,
         seeds: Any = None, limit: int = MOST_RECORDS) -> Drawing:  # fmt: skip
    """Return a drawing of a function's operations at a point, or of a tape.

    Every node shows its value, and its adjoint (∂) if there is one output or `seeds` are given.
    Of a long tape's loops the first and the last iteration are drawn, and between them a count
    of the others; dashed arrows lead from one iteration to a later one. It's shown by a
    notebook, and saved by its method `save`, through Graphviz (`pip install tapegrad[draw]`, and
    the program `dot`); its method `to_dot` returns the text Graphviz draws it from.

    Parameters
    ----------
    function : callable or Tape
        A tape's inputs and outputs are numbered: it doesn't know their names.
    *args
        The function's arguments; floats and float arrays are inputs.
    adjoints : bool, optional
        Whether to show adjoints.
    seeds : array or structure of arrays, optional
        The adjoints of the outputs, one each; 1 for a single output.
    limit : int, optional
        The most records to draw, and folds that stand for others. Their constants and guards,
        and some of the outputs, are drawn beside them.

    Returns
    -------
    Drawing

    Raises
    ------
    StructureError
        If there are not as many seeds as outputs.

    Examples
    --------
    >>> import tapegrad as tg
    >>> drawing = tg.draw(lambda x, y: x * y + 1.0, 2.0, 3.0)
    >>> drawing
    <Drawing of <Tape: 4 records, 2 inputs, 1 outputs, 0 guards>>
    >>> print(drawing.to_dot().splitlines()[0])
    digraph tape {
    """
    if isinstance(function, Tape):
        if args:
            raise TypeError("a tape is drawn at the point where it was recorded: give no arguments")
        seeds = _seed_vector(function, adjoints, seeds)
        return Drawing(function, Numbered("x"), Numbered("y"), seeds, limit)
    recorded = RecordedFunction(function)
    plan, _ = recorded.sort(args, {})
    recording = recorded.recording(*args)
    tape, result = recording.tape, recording.result
    inputs = argument_names(function, plan.structure, plan.specs)
    outputs = result_names(function, result.structure, result.specs)
    return Drawing(tape, inputs, outputs, _seed_vector(tape, adjoints, seeds), limit)
