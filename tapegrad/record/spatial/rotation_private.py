"""What is known of the insides of SciPy's Rotation: a class in Python that keeps quaternions.

Before it was one (SciPy 1.17) it is compiled, and refuses active numbers itself. `faults` says what
is otherwise in the SciPy that is installed, which a test asks.
"""

from __future__ import annotations

import importlib
import sys
from types import FunctionType
from typing import Any

from tapegrad.interfaces import Search


def transforms() -> Any:
    """Return scipy.spatial.transform."""
    return sys.modules["scipy.spatial.transform"]


def is_known(kind: type) -> bool:
    """Whether rotations are as is known here."""
    raw = vars(kind).get("_from_raw_quat")
    return isinstance(raw, staticmethod) and isinstance(vars(kind).get("apply"), FunctionType)


def faults() -> list[str]:
    """Return what is missing of what is used here, in words that name SciPy's version."""
    kind = importlib.import_module("scipy.spatial.transform").Rotation
    version = importlib.import_module("scipy").__version__
    if not isinstance(vars(kind).get("apply"), FunctionType):
        return []
    search = Search()
    search.find("scipy.spatial.transform", "Rotation._from_raw_quat", "quat")
    made = vars(kind.identity())
    search.faults += [f"Rotation.{name} is missing" for name in ("_quat", "_single")
                      if name not in made]  # fmt: skip
    return [f"SciPy {version}: {fault}" for fault in search.faults]


def quaternions(rotation: Any) -> Any:
    """Return a rotation's quaternions, always two dimensions of them or more."""
    return rotation._quat


def is_single(rotation: Any) -> bool:
    """Whether a rotation is one, and no stack."""
    return bool(rotation._single)


def with_quaternions(rotation: Any, q: Any) -> Any:
    """Return a rotation like another one, with other quaternions."""
    made = object.__new__(type(rotation))
    vars(made).update(vars(rotation), _quat=q)
    return made
