"""What is said of long work while it's done: on a terminal or in a notebook, every so often.

One thread looks at the clock while there is such work. `TAPEGRAD_QUIET` in the environment
silences it, and elsewhere than before a user's eyes it isn't there.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tapegrad.notice import is_quiet, say

PATIENCE = 5.0
"""Seconds of work that are nothing to speak of; what takes twice as long is spoken of again."""

PERIOD = 1.0
"""Seconds between two looks at the clock."""


class _Work:
    """Something that is being done."""

    def __init__(self, describe: Callable[[], str]) -> None:
        self.describe = describe
        self.begin = time.monotonic()
        self.due = PATIENCE


class Progress:
    """The work that is being done, in all threads, and the thread that reports it."""

    def __init__(self) -> None:
        self._works: list[_Work] = []
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    @contextmanager
    def of(self, describe: Callable[[], str]) -> Iterator[None]:
        """Report a block that takes long; `describe` is called from another thread."""
        if is_quiet() or not _is_watched():
            yield
            return
        work = _Work(describe)
        try:
            with self._lock:
                self._works.append(work)
                if self._watcher is None:
                    # Of this package by its name: it draws no random numbers.
                    self._watcher = threading.Thread(
                        target=self._watch, name="tapegrad_progress", daemon=True
                    )
                    self._watcher.start()
            yield
        finally:
            with self._lock:
                if work in self._works:
                    self._works.remove(work)

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(PERIOD)
            with self._lock:
                if not self._works:
                    self._watcher = None
                    return
                for work in self._works:
                    _report(work)


def _report(work: _Work) -> None:
    seconds = time.monotonic() - work.begin
    if seconds >= work.due:
        work.due = 2 * seconds
        say(f"{work.describe()}, for {seconds:.0f} s")


def _is_watched() -> bool:
    """Whether somebody reads stderr while the program runs."""
    stream = sys.stderr
    if type(stream).__module__.startswith("ipykernel"):
        return True
    return stream is not None and stream.isatty()


progress = Progress()
