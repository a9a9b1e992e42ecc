"""Text of functions that compiled code calls for a rule: what they read, and pass to the rule."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tapegrad.blocks import Kind
from tapegrad.custom.tree_forms import UNKNOWN, Form, is_number, without_more
from tapegrad.tree import LEAF, Structure

if TYPE_CHECKING:
    from tapegrad.custom.block import RuleBlock


class NotPlainError(Exception):
    """A layout holds more than tuples, lists and dicts, or a result more than a tuple."""


class Writer:
    """The text of a function, and the things that it names."""

    def __init__(self) -> None:
        self.things: dict[str, Any] = {}
        self._addresses = (f"r{k}" for k in itertools.count())
        self.reads: list[str] = []
        self._wanted: Iterator[bool] | None = None

    def name(self, thing: Any, kind: str) -> str:
        """Return a new name for a thing."""
        name = f"{kind}{len(self.things)}"
        self.things[name] = thing
        return name

    def skip(self, count: int) -> None:
        """Leave out arrays that aren't read."""
        self.reads += ["_"] * count

    def number(self, spec: Any) -> str:
        """Return the text that reads the next number or array."""
        if self._wanted is not None and not next(self._wanted):
            self.skip(1)
            return self.zero(spec)
        address = next(self._addresses)
        self.reads.append(address)
        return self.read(spec, address)

    def read(self, spec: Any, address: str) -> str:
        """Return the text that reads a number or an array at an address."""
        raise NotImplementedError

    def tree(self, form: Form, wanted: Sequence[bool] | None = None) -> str:
        """Return the text that makes a tree, with zeros for what isn't wanted."""
        self._wanted = None if wanted is None else iter(wanted)
        return self.part(form.structure, iter(form.specs))

    def part(self, structure: Structure, specs: Iterator[Any]) -> str:
        """Return the text that makes a tree of the next leaves."""
        if structure is LEAF:
            spec = next(specs)
            return self.number(spec) if is_number(spec) else self.fixed(spec.thing)
        kind, keys, children = structure
        parts = [self.part(child, specs) for child in children]
        if kind is tuple:
            return f"({''.join(f'{part}, ' for part in parts)})"
        if kind is list:
            return f"[{', '.join(parts)}]"
        if kind is dict:
            named = [f"{self.name(k, 'key')}: {p}" for k, p in zip(keys, parts, strict=True)]
            return f"{{{', '.join(named)}}}"
        raise NotPlainError

    def fixed(self, thing: Any) -> str:
        """Return the text for what is no number."""
        if thing is None:
            return "None"
        return self.other(thing)

    def zero(self, spec: Any) -> str:
        """Return the text for what isn't wanted."""
        raise NotImplementedError

    def other(self, thing: Any) -> str:
        """Return the text for an object."""
        raise NotImplementedError


class Written(NamedTuple):
    """The text of a call, and what comes back.

    Attributes
    ----------
    call : str
        What is passed.
    specs : sequence
        Of the leaves of all parts of what is found.
    parts : list of (int, int, bool)
        The parts: their leaves, and whether there is one alone.
    is_active : tuple of bool, optional
        Of what is added to, whether it's wanted; without it, all is set.
    """

    call: str
    specs: Sequence[Any]
    parts: list[tuple[int, int, bool]]
    is_active: Sequence[bool] | None = None


def written(writer: Writer, block: RuleBlock, kind: Kind) -> Written:
    """Return the text of what a block's function of one kind is called with, and what it returns.

    Raises
    ------
    NotPlainError
        If that is more than tuples of numbers.
    """
    layout, rules = block.layout, block.rules
    if UNKNOWN in block.residuals.specs:
        raise NotPlainError
    n_operands, n_results = len(layout.form.shapes), len(block.result.shapes)
    n_kept = len(block.residuals.shapes)
    if kind == "pullback" and rules.keeps:
        others = "".join(f"{writer.fixed(other.thing)}, " for other in layout.others)
        writer.skip(n_operands + n_results)
        residuals = writer.tree(block.residuals)
        moved = writer.tree(without_more(block.result))
        writer.skip(n_kept)
        specs = _flat(layout.form)
        text = f"{others}{residuals}, {moved}"
        return Written(text, specs, [(0, len(specs), False)], block.is_active)
    arguments = _arguments(writer, block)
    if kind == "value":
        return _written_value(block, arguments)
    result = writer.tree(block.result)
    writer.skip(n_kept)
    is_single = len(layout.keys) == 1
    alone = Form(layout.form.structure[2][0], layout.form.specs) if is_single else layout.form
    if kind == "pullback":
        moved = writer.tree(without_more(block.result))
        writer.skip(n_kept)
        specs, is_leaf = _flat(alone), is_single and alone.structure is LEAF
        text = f"{moved}, {result}, {arguments}"
        return Written(text, specs, [(0, len(specs), is_leaf)], block.is_active)
    moved = writer.tree(without_more(alone if rules.is_own else layout.form), block.is_active)
    parts = [(0, len(block.result.specs), block.result.structure is LEAF)]
    return Written(f"{moved}, {result}, {arguments}", _flat(block.result), parts)


def _arguments(writer: Writer, block: RuleBlock) -> str:
    """Return the text of the arguments: as a call's, or as a tuple and a dict."""
    layout, rules = block.layout, block.rules
    structure, specs = layout.form
    remaining, others = iter(specs), iter(layout.others)
    given = dict(zip(layout.keys, structure[2], strict=True))
    text = {
        key: writer.part(given[key], remaining) if key in given
        else writer.fixed(next(others).thing)
        for key in (*range(layout.n_positional), *layout.names)
    }  # fmt: skip
    positional = "".join(f"{text[k]}, " for k in range(layout.n_positional))
    if rules.is_own or rules.keeps:
        return positional + ", ".join(f"{name}={text[name]}" for name in layout.names)
    return f"({positional}), {{}}"


def _flat(form: Form) -> Sequence[Any]:
    """Return the specs of a number, of None, or of a tuple of numbers."""
    structure = form.structure
    is_flat = structure is LEAF or (
        structure[0] is tuple and all(child is LEAF for child in structure[2])
    )
    if not is_flat or not all(is_number(s) or s.thing is None for s in form.specs):
        raise NotPlainError
    return form.specs


def _written_value(block: RuleBlock, arguments: str) -> Written:
    n = len(block.result.specs)
    parts = [(0, n, block.result.structure is LEAF)]
    specs = [*_flat(block.result)]
    if not block.rules.is_own:
        specs += _flat(block.residuals)
        parts.append((n, len(specs), block.residuals.structure is LEAF))
    return Written(arguments, specs, parts)
