"""What to say where Numba can't compile a user's function for active numbers."""

from __future__ import annotations

import functools
import linecache
import logging
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

from numba import NumbaError

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.libraries import PACKAGE, in_library

logger = logging.getLogger("tapegrad")

F = TypeVar("F", bound=Callable[..., Any])

_PLACE = re.compile(r"(?:File \"(?P<file>[^\"]+)\", line (?P<line>\d+))|"
                    r"(?:at (?P<path>\S+?\.py) \((?P<number>\d+)\))")  # fmt: skip
_DEFINITION = re.compile(r"\s*def (\w+)")
_CALL = re.compile(r">>> (?P<call>(?!_)\w.*active.*)")
_OWN_REASON = re.compile(r"TypingError: (?P<reason>[^\n]+)\n\s*raised from \S*tapegrad|"
                         r"(?P<refusal>tapegrad\.\w+ can't be called [^\n]+)")  # fmt: skip
_CALL_FAILED = re.compile(r"No matching definition|can't unbox heterogeneous list")
_REMEDIES = (
    (r"No matching definition", "a function compiled for declared types can't be given active "
     "numbers: leave the signature out of @njit"),
    (r"heterogeneous list", "a list that is passed to a compiled function holds either active "
     "numbers or floats: pass np.array([...]) or a tuple"),
    (r"parallel=True", "record it without parallel=True: a tape is written in one order; run "
     "independent points in parallel with value_and_grad(f).njit instead"),
    (r"(>>>|unify|attribute).*complex(64|128)", "complex numbers are not supported: compute the "
     "real and the imaginary part as two real numbers"),
    (r"(setitem|i[a-z]+)\((readonly )?array\((float|int|bool)", "an array made outside the "
     "function, or of another type than float64, can't hold active numbers: write y = "
     "np.zeros(a.shape) and y[:] = a in the function, for that array a, and store into y"),
    (r"setitem\(list\((float|int|bool)", "a list that was begun with plain numbers can't hold "
     "active ones: write y = np.zeros(len(z)) and for k in range(len(z)): y[k] = z[k] in the "
     "function, for that list z, and store into y"),
    (r"setitem\(DictType\[.*(float|int|bool)\d*\]", "a dictionary that was begun with plain "
     "numbers can't hold active ones: begin it with np.zeros(1)[0], which is one, for 0.0"),
    (r"instance\.jitclass|Record\(|Cannot cast active to", "active numbers can't be stored in a "
     "structure made outside: keep them in arrays, tuples or named tuples made in the function"),
    (r"[Oo]bject mode|objmode|pyobject", "active numbers can't enter object mode: keep what "
     "depends on the input in compiled code"),
    (r"unify|Cannot unify", "a variable is an active number in one branch and something else in "
     "another: give it one kind, for instance 0.0 rather than None"),
)  # fmt: skip
_OTHERWISE = (
    "write it with what has a rule (loops over elements always have), or differentiate the plain "
    "Python function, f.py_func"
)


def explaining(compile: F) -> F:
    """Return a function that compiles, and raises our error where Numba can't."""

    @functools.wraps(compile)
    def compiling(*args: Any, **kwargs: Any) -> Any:
        try:
            return compile(*args, **kwargs)
        except NumbaError as error:
            raise explained(error) from None

    return cast(F, compiling)


def is_about_active_numbers(error: Exception) -> bool:
    """Whether a compilation, or a call of what is compiled, failed because of active numbers."""
    text = str(error)
    return "active" in text and (not isinstance(error, TypeError) or bool(_CALL_FAILED.match(text)))


def explained(error: Exception) -> UnsupportedFunctionError:
    """Return the error to raise instead of Numba's, which names the user's line and a remedy."""
    logger.debug("Numba refuses it: %s", error)
    text = str(error).replace("active, linearised", "active")
    own = list(_OWN_REASON.finditer(text))
    if own:  # says what to do itself
        reason = own[-1]["reason"] or own[-1]["refusal"]
        return UnsupportedFunctionError(f"{reason}{_where(text)}")
    remedy = next((advice for sign, advice in _REMEDIES if re.search(sign, text)), _OTHERWISE)
    calls = list(_CALL.finditer(text))
    what = f"{calls[-1]['call'].strip()} can't be recorded" if calls else _first_reason(text)
    return UnsupportedFunctionError(f"{what}{_where(text)}\n{remedy}")


def _first_reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line for line in lines if line and not line.startswith("Failed in nopython mode")]
    # What follows is LLVM's text.
    return (
        reasons[0].partition(": %")[0] if reasons else "Numba can't compile it for active numbers"
    )


class Place(NamedTuple):
    """A line in compiled code."""

    file: str
    line: int
    columns: tuple[int, int]
    function: str


def place_of(error: Exception) -> Place | None:
    """Return the user's line that Numba names first, and the function it's in."""
    found = _user_line(str(error))
    if found is None:
        return None
    before = (linecache.getline(found[0], number) for number in range(found[1], 0, -1))
    names = (_DEFINITION.match(line) for line in before)
    name = next((match[1] for match in names if match), "<compiled>")
    line = linecache.getline(*found).rstrip()
    return Place(*found, (len(line) - len(line.lstrip()), len(line)), name)


def _where(text: str) -> str:
    """Return the user's line that Numba names first, with its text."""
    found = _user_line(text)
    if found is None:
        return ""
    file, line = found
    return f", at {file}:{line}\n    {linecache.getline(file, line).strip()}"


def _user_line(text: str) -> tuple[str, int] | None:
    """Return the file and line of the user's that Numba names first, if they can be read."""
    places = [
        (os.path.abspath(found["file"] or found["path"]), int(found["line"] or found["number"]))
        for found in _PLACE.finditer(text)
    ]
    readable = [
        place
        for place in places
        if not place[0].startswith(PACKAGE) and linecache.getline(*place).strip()
    ]
    users = [place for place in readable if not in_library(place[0])]
    return next(iter(users or readable), None)
