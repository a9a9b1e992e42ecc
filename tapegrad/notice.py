"""What is said on stderr of compiling: once a process, when it has taken a second.

`TAPEGRAD_QUIET` in the environment silences it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 1.0
"""Seconds of compiling, or of loading what was compiled, that are nothing to speak of."""


def is_quiet() -> bool:
    """Whether nothing is to be said."""
    return bool(os.environ.get("TAPEGRAD_QUIET"))


def say(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"tapegrad: {text}\n")
    sys.stderr.flush()


class Notice:
    """Counts the seconds that are spent compiling, and says so when they are many."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._is_said = False
        self._thread = threading.local()

    @contextmanager
    def compiling(self, folder: str | None, wanted: Path) -> Iterator[None]:
        """Count the seconds of a block, which caches in `folder`, rather in `wanted`."""
        if self._is_said or getattr(self._thread, "is_counting", False):
            yield
            return
        self._thread.is_counting = True
        begin = time.perf_counter()
        # While Numba compiles nobody else looks at the clock.
        timer = threading.Timer(max(PATIENCE - self._spent, 0.0), self._say, (folder, wanted))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._spent += time.perf_counter() - begin
            self._thread.is_counting = False

    def _say(self, folder: str | None, wanted: Path) -> None:
        if self._is_said:
            return
        self._is_said = True
        if not is_quiet():
            say(_message(folder, wanted))


def _message(folder: str | None, wanted: Path) -> str:
    if folder is None:
        return (
            f"compiling its loops, in every process, since {wanted} and the user's cache can't be "
            "written; set NUMBA_CACHE_DIR to a folder that can"
        )
    elsewhere = wanted not in (Path(folder), *Path(folder).parents)
    return f"compiling its loops, once; they are cached in {folder}" + (
        f", since {wanted} can't be written" if elsewhere else ""
    )


notice = Notice()
