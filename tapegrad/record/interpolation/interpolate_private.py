"""What is used of SciPy's private interfaces, of its interpolants: all of it is here.

Attributes that hold coefficients and knots became properties over others in SciPy 1.17; which
they are is found by looking. `faults` says what is missing in the SciPy that is installed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

import numpy as np

from tapegrad.interfaces import Search

MODULE = "scipy.interpolate"

_METHODS = {
    "PPoly": "__init__ __call__ construct_fast derivative antiderivative integrate solve roots "
             "extend from_spline from_bernstein_basis",
    "BSpline": "__init__ __call__ construct_fast derivative antiderivative integrate insert_knot",
    "interp1d": "__init__ _evaluate",
    "UnivariateSpline": "__init__ _from_tck __call__ derivative antiderivative integral",
    "RegularGridInterpolator": "__init__ __call__",
    "RBFInterpolator": "__init__ __call__",
}  # fmt: skip


def interpolate() -> Any:
    """Return scipy.interpolate."""
    return importlib.import_module(MODULE)


@functools.cache
def _attribute(kind: Any, name: str) -> str:
    return f"_{name}" if isinstance(inspect.getattr_static(kind, name, None), property) else name


def held_by(thing: Any, name: str) -> Any:
    """Return what an interpolant holds: its coefficients `c`, or its breakpoints or knots."""
    kind: Any = type(thing)
    return getattr(thing, _attribute(kind, name))


def as_it_is(thing: Any, copy: bool = False) -> Any:
    """Return an array itself; interpolants pass what they return through this."""
    if type(thing) is not np.ndarray and not hasattr(thing, "tape"):
        thing = np.asarray(thing)
    return thing.copy() if copy else thing


def hold(thing: Any, **arrays: Any) -> None:
    """Have an interpolant hold arrays, active ones too."""
    kind: Any = type(thing)
    for name, array in arrays.items():
        own = _attribute(kind, name)
        setattr(thing, own, array)
        if own != name:
            thing._asarray = as_it_is


def faults() -> list[str]:
    """Return what is missing of what is used here, in words that name SciPy's version."""
    search = Search()
    for kind, methods in _METHODS.items():
        for name in methods.split():
            search.find(MODULE, f"{kind}.{name}")
    version = importlib.import_module("scipy").__version__
    return [f"SciPy {version}: {fault}" for fault in search.faults]
