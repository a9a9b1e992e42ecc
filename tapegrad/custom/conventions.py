"""What rules are called with and return: the library's own convention, and JAX's.

Whatever was given becomes `Rules`, four functions of one convention. `moved` are tangents, a tuple
with one for each argument that is differentiated.

- `forward(args, kwargs)` returns the result, and what is kept for `pull`.
- `push(moved, result, args, kwargs)` returns the result's tangent.
- `pull(cotangent, result, residuals, args, kwargs)` returns the arguments' cotangents, a tuple.
- `jacobian(args, kwargs)` returns the Jacobian, a tuple of one for each argument.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tapegrad.blocks import Kind
from tapegrad.custom import plainly
from tapegrad.custom.sparsity import Pattern
from tapegrad.errors import NotPicklableError, StructureError
from tapegrad.function.environment import Environment
from tapegrad.numba_internals import is_compiled
from tapegrad.record.nesting import THREAD
from tapegrad.record.twins import Twins
from tapegrad.tree import flatten, unflatten_all

Function = Callable[..., Any]
_MOST_BLOCKS = 1000

Parts = Mapping[str, Any]
"""The functions that a rule is made of, by what they are; under "jvps" a tuple of them."""


class Rules:
    """A function with rules, in one convention.

    Attributes
    ----------
    name : str
        What the function is called.
    parts : dict
        The user's functions.
    pattern : Pattern or None
        Where the Jacobian isn't zero.
    keeps : bool
        Whether `forward` keeps something.
    is_own : bool
        Whether the functions are of the library's own convention.
    compiled : dict
        Compiled forms, by what they are made of.
    """

    push: Function | None = None
    pull: Function | None = None
    jacobian: Function | None = None

    def __init__(self, rule: Any, parts: Parts, nondiff: frozenset[Any],
                 pattern: Pattern | None) -> None:  # fmt: skip
        self.rule, self.parts, self.pattern = rule, parts, pattern
        self.function = parts["function"]
        self.name: str = getattr(rule, "__qualname__", None) or repr(self.function)
        self.keeps = "fwd" in parts
        self.is_own = not parts.keys() & {"fwd", "primals_jvp", "jvps"}
        self.lock = threading.RLock()
        self.compiled: dict[Any, Any] = {}
        self._blocks: dict[Any, Any] = {}
        self._identity: Any = None
        jvp, vjp, jacobian = (parts.get(name) for name in ("jvp", "vjp", "jacobian"))
        if jvp is not None:
            self.push = lambda moved, result, args, kwargs: _own(jvp)(
                _bare(moved), result, *args, **kwargs
            )
        if vjp is not None:
            self.pull = lambda cotangent, result, residuals, args, kwargs: _own(vjp)(
                cotangent, result, *args, **kwargs
            )
        if jacobian is not None:
            self.jacobian = lambda args, kwargs: _own(jacobian)(*args, **kwargs)
        if "primals_jvp" in parts:
            self.push = _as_jax_pushes(parts["primals_jvp"], nondiff)
        if "jvps" in parts:
            self.push = _by_argument(parts["jvps"])
        if self.keeps:
            self.pull = _as_jax_pulls(parts["bwd"], nondiff)

    def direct(self, kind: Kind) -> Function | None:
        """Return the user's function that does what one of a block's is for, if there is one.

        It's called with the function's arguments, after what is moved and the result; `bwd` as JAX
        calls it.
        """
        if self.keeps:
            return self.parts.get({"value": "fwd", "pullback": "bwd", "pushforward": ""}[kind])
        if not self.is_own:
            return None
        return self.parts.get({"value": "function", "pullback": "vjp", "pushforward": "jvp"}[kind])

    def forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Return the function's result, and what is kept for its pullback."""
        function = self.parts["fwd"] if self.keeps else self.function
        return self.as_pair(_own(function)(*args, **kwargs))

    def as_pair(self, found: Any) -> tuple[Any, Any]:
        """Return the function's result and what is kept in what `direct` or `fwd` returned."""
        if not self.keeps:
            return found, None
        if type(found) not in (tuple, list) or len(found) != 2:
            raise StructureError(
                f"fwd of {self.name} must return a pair, the result and what bwd is given, and it "
                f"returned a {type(found).__name__}"
            )
        result, residuals = found
        return result, residuals

    def pull_again(self, cotangent: Any, result: Any, args: Any, kwargs: Any) -> Any:
        """Pull back what `forward` keeps, which is computed again for that."""
        assert self.pull is not None
        residuals = self.forward(args, kwargs)[1] if self.keeps else None
        return self.pull(cotangent, result, residuals, args, kwargs)

    @property
    def functions(self) -> list[Function]:
        """The user's functions, one by one."""
        return [f for part in self.parts.values()
                for f in (part if type(part) is tuple else (part,)) if f is not None]  # fmt: skip

    @functools.cached_property
    def holding(self) -> list[Function]:
        """Those that may hold active numbers."""
        return [*filter(plainly.may_hold, self.functions)]

    def block(self, make: Function, *parts: Any) -> Any:
        """Return the block of a call, made of these parts unless there's one already."""
        found = self._blocks.get(parts)
        if found is None:
            if len(self._blocks) > _MOST_BLOCKS:
                self._blocks = {}
            found = self._blocks[parts] = make(self, *parts)
        return found

    def as_now(self) -> Rules:
        """Return the rules as a recording keeps them.

        Functions that were made inside it are copied with what they close over.
        """
        if not any(map(plainly.is_made_inside, self.functions)):
            return self
        parts = {name: tuple(map(plainly.kept, part)) if type(part) is tuple else
                 plainly.kept(part) for name, part in self.parts.items()}  # fmt: skip
        made = type(self)(self.rule, parts, self.rule.nondiff, self.pattern)
        made._identity = self.rule.options, tuple(map(plainly.content_of, made.functions))
        return made

    @functools.cached_property
    def environment(self) -> Environment:
        """What the user's functions read."""
        return Environment(*self.functions, are_called=True)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Rules) or self._identity is None:
            return self is other
        return bool(self._identity == other._identity)

    def __hash__(self) -> int:
        return id(self) if self._identity is None else hash(self._identity)

    def __reduce__(self) -> Any:
        if self._identity is not None:
            raise NotPicklableError(
                f"a recording that calls {self.name} can't be pickled, because its rule was made "
                "by the recorded function: define it at a module's top level"
            )
        return rules_of, (self.rule,)


def rules_of(rule: Any) -> Any:
    """Return the rules of a function that has some."""
    return rule.rules


def _own(function: Function) -> Function:
    """Return what runs in place of a function of the user's: while it's recorded, its twin.

    A compiled one is recorded as it's written: that's done before it were compiled to be recorded.
    """
    twins = THREAD.twins
    if not isinstance(twins, Twins):
        return function
    return twins.of(function.py_func if is_compiled(function) else function)  # type: ignore


def _bare(several: Sequence[Any]) -> Any:
    return several[0] if len(several) == 1 else several


# --- JAX's ----------------------------------------------------------------------------------------


def _parted(args: Sequence[Any], nondiff: frozenset[Any]) -> tuple[list[Any], tuple[Any, ...]]:
    """Return the arguments that aren't differentiated, and the others."""
    others = [argument for k, argument in enumerate(args) if k in nondiff]
    return others, tuple(argument for k, argument in enumerate(args) if k not in nondiff)


def _as_jax_pushes(jvp: Function, nondiff: frozenset[Any]) -> Function:
    def push(moved: Any, result: Any, args: Any, kwargs: Any) -> Any:
        others, primals = _parted(args, nondiff)
        found = _own(jvp)(*others, primals, moved)
        if type(found) not in (tuple, list) or len(found) != 2:
            raise StructureError(
                "a rule given to defjvp must return a pair, the function's result and its tangent, "
                f"and it returned a {type(found).__name__}"
            )
        return found[1]

    return push


def _by_argument(jvps: tuple[Function | None, ...]) -> Function:
    def push(moved: Any, result: Any, args: Any, kwargs: Any) -> Any:
        total = None
        for jvp, tangent in zip(jvps, moved, strict=True):
            if jvp is not None:
                part = _own(jvp)(tangent, result, *args)
                total = part if total is None else _added(total, part)
        return total

    return push


def _added(x: Any, y: Any) -> Any:
    ours: list[Any] = []
    theirs: list[Any] = []
    structure = flatten(x, ours)
    flatten(y, theirs)
    return unflatten_all(structure, [a + b for a, b in zip(ours, theirs, strict=True)])


def _as_jax_pulls(bwd: Function, nondiff: frozenset[Any]) -> Function:
    def pull(cotangent: Any, result: Any, residuals: Any, args: Any, kwargs: Any) -> Any:
        others, _ = _parted(args, nondiff)
        return _own(bwd)(*others, residuals, cotangent)

    return pull
