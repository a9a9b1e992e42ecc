"""What integrals' values found on their way, kept until the next one of the same integrand."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.quadrature.ranges import Course, Limits

_courses: weakref.WeakKeyDictionary[Inner, dict[int, tuple[Any, Course]]]
_courses = weakref.WeakKeyDictionary()


def note(options: Any, inner: Inner, limits: Limits, given: Vector, course: Course) -> None:
    """Keep a course, in this thread."""
    key = options, limits, given.tobytes()
    _courses.setdefault(inner, {})[threading.get_ident()] = key, course


def noted(options: Any, inner: Inner, limits: Limits, given: Vector,
          again: Callable[[], object]) -> Course:  # fmt: skip
    """Return the course of an integral; `again` integrates, and notes it, if another was last."""
    key = options, limits, given.tobytes()
    known = _courses.get(inner, {}).get(threading.get_ident())
    if known is None or known[0] != key:
        again()
        known = _courses[inner][threading.get_ident()]
    return known[1]
