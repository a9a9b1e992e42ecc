"""A random program: a tree of lines of source text, and the functions made of it.

A line is a text, or a pair of a header and the lines of its block, so that a program can be shrunk
by leaving lines out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

Line = Any
"""`str | tuple[str, list[Line]]`"""


@dataclass(frozen=True)
class Program:
    """A function `f` of an array `x`, and what may be asked of it.

    Attributes
    ----------
    lines : list of Line
        Of a module that defines `f`; functions that Numba is to compile are marked `@compiled`.
    size : int
        The length of `x`.
    is_analytic : bool
        It can be evaluated at complex numbers.
    is_compilable : bool
        It keeps to what Numba knows.
    """

    lines: list[Line]
    size: int
    is_analytic: bool
    is_compilable: bool

    @property
    def text(self) -> str:
        """The source."""
        return "\n".join(_indented(self.lines, "")) + "\n"

    def function(self, compiled: bool = False) -> Any:
        """Return `f`, in Python or compiled by Numba, from a module of its own."""
        names = {"np": np, "math": math, "compiled": njit if compiled else lambda f: f}
        names["__name__"] = "program"
        exec(compile(self.text, "<program>", "exec"), names)
        return names["f"]


def _indented(lines: list[Line], indent: str) -> Iterator[str]:
    for line in lines:
        if isinstance(line, str):
            yield indent + line
        else:
            header, body = line
            yield indent + header
            yield from _indented(body or ["pass"], indent + "    ")


def smaller(lines: list[Line]) -> Iterator[list[Line]]:
    """Yield the same lines with one left out, with one block's lines in its place, or smaller."""
    for k, line in enumerate(lines):
        yield lines[:k] + lines[k + 1 :]
        if not isinstance(line, str):
            header, body = line
            yield lines[:k] + body + lines[k + 1 :]
            for shorter in smaller(body):
                yield [*lines[:k], (header, shorter), *lines[k + 1 :]]
