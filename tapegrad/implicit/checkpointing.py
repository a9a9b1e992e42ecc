"""Time for memory: a function whose operations aren't kept on the tape that it's part of.

It's one block, which holds its inputs and outputs alone. Its own recording is kept only while
there's room, and is made again where it's needed: at other values, in a reverse sweep, or where
another branch is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tapegrad.function.arguments import size_of
from tapegrad.function.complex_leaves import taken_apart
from tapegrad.function.results import Result
from tapegrad.implicit.evaluation import evaluated, evaluated_guarded
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.wrapping import Wrapping
from tapegrad.record.array import ActiveArray

P = ParamSpec("P")
R = TypeVar("R")


def returned(unknowns: Any, result: Any) -> Any:
    """Return what a function does, complex numbers as their parts."""
    return taken_apart(result)


NO_NUMBERS = object()
"""What stands for what has no numbers in it, which is best made as if there were no block."""

_USE = Use("a checkpoint", returned, has_effects=True, is_kept=False)


class Checkpoint(Wrapping):
    """What `checkpoint` returns."""

    maker = "checkpoint"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns."""
        found = with_inner(self._function, _USE, (), args, kwargs, evaluated_tree)
        return self._function(*args, **kwargs) if found is NO_NUMBERS else found


def evaluated_tree(function: Function, operands: list[Any]) -> Any:
    """Return what an inner function returns, recorded as a call, and do what it does beside.

    If there are no numbers in it, that is `NO_NUMBERS`: a tape has nothing to call it for.
    """
    if not function.n_outputs:
        return NO_NUMBERS
    if not function.n_inputs:
        outputs = function.values(np.empty(0))
    elif function.may_branch:
        outputs = evaluated_guarded(function, operands)
    else:
        outputs = evaluated(function, operands)
    results = [function.result, *[effect.result for effect in function.effects]]
    stops = np.cumsum([sum(map(size_of, result.specs)) for result in results])
    found, *more = [
        _tree_of(result, part)
        for result, part in zip(results, np.split(outputs, stops[:-1]), strict=True)
    ]
    for effect, tree in zip(function.effects, more, strict=True):
        effect.run(tree)
    return found


def _tree_of(result: Result, outputs: Any) -> Any:
    """Return a result from its numbers, active ones if they are."""
    if isinstance(outputs, ActiveArray):
        return result.active(outputs.tape, outputs.data)
    return result.plain(outputs)


def checkpoint(function: Callable[P, R]) -> Callable[P, R]:
    """Return the same function, which takes less memory to differentiate, and more time.

    Where it's recorded, the tape holds its inputs and what it returns; the operations between are
    recorded again when a sweep needs them. A long computation in steps that are checkpointed needs
    the memory of one step, and of what is passed from one to the next. Checkpoints nest, and have
    derivatives of every order.

    Parameters
    ----------
    function : callable
        Its arguments and results may be numbers, arrays and structures of them. What it closes
        over that is active counts as an argument. It must compute the same when it's called
        again: where what it reads has changed by then, that is an error.

    Returns
    -------
    callable
        Called like `function`.

    Raises
    ------
    OutdatedBlockError
        When a derivative is computed: if it can't be recorded again.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> @tg.checkpoint
    ... def step(x):
    ...     return x - 0.1 * np.sin(x)
    >>> def last(x):
    ...     for _ in range(100):
    ...         x = step(x)
    ...     return x
    >>> tg.value_and_grad(last)(1.0)
    (2.94...e-05, 3.58...e-05)
    """
    return Checkpoint(function)
