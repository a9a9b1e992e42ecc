"""Gradients of compiled functions whose guards fail again and again: recorded afresh at each call.

The form for compiled code needs no guards, since each of its calls records. It's compiled in the
background when a function has taken many ways; from then on it's called in place of replaying.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np
from numba import typeof
from numba import types as numba_types

from tapegrad.embed import forms
from tapegrad.function.background import Job, submit
from tapegrad.function.plan import Plan
from tapegrad.function.recording import name_of
from tapegrad.function.tiers import Options
from tapegrad.function.vectors import Vector
from tapegrad.numba_internals import is_compiled
from tapegrad.numba_protocols import Dispatcher

logger = logging.getLogger("tapegrad")

Types = tuple[Any, ...]

_SCALARS = (bool, int, float, np.generic)


class Afresh:
    """The form that records a function afresh, for the calls whose guards keep failing.

    Parameters
    ----------
    function : Dispatcher
    is_now : bool
        Whether it's compiled at once, not in the background.

    Attributes
    ----------
    served : Plan or None
        That of the latest call, if it was one of the form's.
    """

    def __init__(self, function: Dispatcher, is_now: bool) -> None:
        self._function, self._is_now = function, is_now
        self._form: Any = None
        self._plans: WeakSet[Plan] = WeakSet()
        self._jobs: dict[Types, Job] = {}
        self._compiled: set[Types] = set()
        self._refused: set[Types] = set()
        self.served: Plan | None = None

    def takes_over(self, plan: Plan, leaves: Sequence[Any]) -> bool:
        """Begin to compile for calls of a kind; return whether the form will serve them."""
        args, kwargs = plan.arguments(leaves)
        if kwargs or not plan.is_by_first or not _is_accepted(args):
            return False
        types = _types(args)
        if types in self._refused:
            return False
        self._plans.add(plan)
        if types not in self._compiled:
            if self._is_now:
                self._compile(types)
            elif types not in self._jobs or self._jobs[types].future is None:
                self._jobs[types] = submit(partial(self._compile, types))
        return types not in self._refused

    def run(self, plan: Plan, leaves: Sequence[Any]) -> tuple[float, Vector] | None:
        """Return value and gradient, or None if the form doesn't serve such calls, or not yet."""
        self.served = None
        if plan not in self._plans:
            return None
        args, _ = plan.arguments(leaves)
        x = args[0].copy()  # contiguous, and may be written to, as what it's compiled for
        types = _types((x, *args[1:]))
        if types not in self._compiled:
            return None
        out = np.empty(x.shape)
        value = self._form(x, *args[1:], out)
        self.served = plan
        return float(value), out.reshape(-1)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for what is being compiled."""
        for job in list(self._jobs.values()):
            if job.future is not None:
                job.future.exception(timeout)

    def forget(self) -> None:
        """Forget for which calls guards keep failing."""
        self._plans, self.served = WeakSet(), None

    def _compile(self, types: Types) -> None:
        name = name_of(self._function)
        try:
            if self._form is None:
                self._form = forms.value_and_gradient(self._function)
            out = typeof(np.empty((0,) * types[0].ndim))
            self._form.compile((types[0], numba_types.BaseTuple.from_types((*types[1:], out))))
        except Exception as error:  # whatever it is, the function is recorded on
            self._refused.add(types)
            logger.info("%s can't be recorded afresh in compiled code: %r", name, error)
        else:
            self._compiled.add(types)
            logger.info("%s is recorded afresh in compiled code from now on, since its guards "
                        "keep failing", name)  # fmt: skip


def afresh_of(function: Callable[..., Any], options: Options) -> Afresh | None:
    """Return what may take over from a function's recordings, if anything may."""
    if not is_compiled(function) or options.strict or options.compile == "never":
        return None
    return Afresh(function, options.compile == "now")


def _is_accepted(args: tuple[Any, ...]) -> bool:
    """Whether the form takes such arguments: an array of floats, then numbers and arrays."""
    first = args[0] if args else None
    return type(first) is np.ndarray and first.dtype == np.float64 and all(map(_is_data, args[1:]))


def _is_data(thing: Any) -> bool:
    if type(thing) is tuple:
        return all(map(_is_data, thing))
    return type(thing) is np.ndarray or isinstance(thing, _SCALARS)


def _types(args: tuple[Any, ...]) -> Types:
    """Return the types of arguments as Numba has them; the first is copied before the call."""
    return typeof(args[0].copy()), *map(typeof, args[1:])
