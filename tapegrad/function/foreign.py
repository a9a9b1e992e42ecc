"""What is raised where a library's function meets active numbers that it can't take.

Such a function fails in its own way, deep inside: a ufunc doesn't support objects, a class has no
`astype`. The error made of that names the function that the user called, the line, and the way
out; the original is its cause.
"""

from __future__ import annotations

import dis
import inspect
import os
import re
import sys
from types import FrameType, TracebackType
from typing import Any

from tapegrad.errors import TapegradError, UnsupportedFunctionError
from tapegrad.function.inside import holds_actives
from tapegrad.libraries import NUMERICAL, in_library, is_library_name, is_of_this_package
from tapegrad.record.frames import Site, public_name
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.refusals import as_plain, refused_at

_ALWAYS = (TypeError, AttributeError, NotImplementedError, SystemError)
"""What code raises that is given objects of a kind it doesn't know."""

_OF_KINDS = re.compile(r"object|dtype|\btypes?\b|[Aa]ctive|numeric|not supported")


def foreign_error(error: Exception, tape: OpenTape) -> TapegradError | None:
    """Return the error to raise for one that left the user's function, or None to let it pass."""
    if isinstance(error, TapegradError):
        return None
    if isinstance(error, SystemError) and isinstance(error.__cause__, TapegradError):
        return type(error.__cause__)(*error.__cause__.args)  # C code went on after it
    user, inside = _parted(error.__traceback__)
    if user is None:
        return None
    site = Site(user.tb_frame, user.tb_lasti, user.tb_lineno)
    found = _of_kinds(error, tape, site, inside)
    if found is None and (inside or not _is_raised(user)):
        found = refused_at(site.place)  # C code may put its own error over ours
    return found


def _of_kinds(error: Exception, tape: OpenTape, site: Site,
              inside: list[TracebackType]) -> TapegradError | None:  # fmt: skip
    """Return the error for one that says that objects of another kind were wanted."""
    if not isinstance(error, _ALWAYS) and not _OF_KINDS.search(str(error)):
        return None
    theirs = _theirs(inside)
    if theirs:
        met = [value for t in theirs for value in t.tb_frame.f_locals.values()]
    elif not inside and _is_numerical(site.called):
        met = site.things
    else:  # an operation of active numbers, or the user's own error
        return None
    if not holds_actives(met, tape):
        return None
    name = public_name(site.called) if callable(site.called) else _name_of(theirs)
    remedy = as_plain(site.things)
    return UnsupportedFunctionError(
        f"{name} can't take active numbers ({type(error).__name__}: {_short(error)}), at "
        f"{site.place}{remedy + ', or ' if remedy else ''}write it with functions that are "
        "recorded (tapegrad.supported() lists those of NumPy and SciPy), or give it "
        "tapegrad.stop_gradient(x) in place of x if its derivative is not wanted"
    )


def _theirs(inside: list[TracebackType]) -> list[TracebackType]:
    """Return the libraries' frames: of those that a rule called, which may be given plain numbers.

    Where an operation of ours failed, all of them.
    """
    ours = [is_of_this_package(t.tb_frame.f_globals.get("__name__")) for t in inside]
    if any(ours) and not ours[-1]:
        return inside[len(ours) - ours[::-1].index(True) :]
    return [t for t, is_ours in zip(inside, ours, strict=True) if not is_ours]


def up_to_user(trace: TracebackType | None,
               end: TracebackType | None = None) -> TracebackType | None:  # fmt: skip
    """Return a copy of a traceback that ends at the user's line, without its first frame.

    With an `end`, where the user's line called compiled code, that follows.
    """
    user, _ = _parted(trace)
    kept: list[TracebackType] = []
    while user is not None and trace is not None and trace is not user.tb_next:
        kept.append(trace)
        trace = trace.tb_next
    copied = end
    for part in reversed(kept[1:]):
        copied = TracebackType(copied, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return copied


def _parted(trace: TracebackType | None) -> tuple[TracebackType | None, list[TracebackType]]:
    """Return where the user's code was last, and what it was in there."""
    user, inside = None, []
    while trace is not None:
        if _is_librarys(trace.tb_frame):
            inside.append(trace)
        else:
            user, inside = trace, []
        trace = trace.tb_next
    return user, inside


def _is_librarys(frame: FrameType) -> bool:
    """Whether a frame is of a library's code; that of Cython names files that aren't there."""
    file = frame.f_code.co_filename
    return in_library(file) or (
        not os.path.isabs(file) and is_library_name(frame.f_globals.get("__name__", ""))
    )


def _is_raised(trace: TracebackType) -> bool:
    """Whether a statement of the code itself raises there."""
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _is_numerical(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return isinstance(module, str) and module.partition(".")[0] in NUMERICAL


def _name_of(traces: list[TracebackType]) -> str:
    """Return the public name of the first function that has one."""
    frames = [trace.tb_frame for trace in traces]
    frame = next((f for f in frames if "<" not in f.f_code.co_qualname), frames[0])
    code = frame.f_code
    if code.co_varnames[:1] == ("self",) and "self" in frame.f_locals:
        return f"{public_name(frame.f_locals['self'])}.{code.co_name}"
    module = sys.modules.get(frame.f_globals.get("__name__", ""))
    found = getattr(module, code.co_name, None)
    return public_name(found) if callable(found) else f"{code.co_qualname} of {code.co_filename}"


def _short(error: Exception) -> str:
    lines = inspect.cleandoc(str(error)).splitlines() or [""]
    return lines[0] if len(lines[0]) <= 120 else lines[0][:117] + "..."
