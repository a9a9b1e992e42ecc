"""Compiling in the background: one thread for all of it, made anew in a process that was forked."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple


class _Worker:
    """The thread."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1, "tapegrad")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.executor = ThreadPoolExecutor(1, "tapegrad")


_worker = _Worker()


class Job(NamedTuple):
    """What is done in the background, and by whom: a fork has no threads but its own."""

    executor: ThreadPoolExecutor
    pending: Future[None]

    @property
    def future(self) -> Future[None] | None:
        """What is, or was, done in the background of this process."""
        return self.pending if self.executor is _worker.executor else None


def submit(work: Callable[[], None]) -> Job:
    """Do something in the background."""
    executor = _worker.executor
    return Job(executor, executor.submit(work))
