"""A mode in which every reservation is exact, and what writes beyond one is caught and named.

A tape's columns have room for what was asked and nothing more, and a margin of known bytes on
either side; so have the arrays a kernel is passed. The margins are looked at after each kernel
and each compiled function of the user's. `--exact` runs any test in it.
"""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np

from tapegrad import columns as tape_columns
from tapegrad import growth
from tapegrad.jit import Kernel
from tapegrad.layout import COUNT_WORD, MAX_ENTRIES, PYTHON_COLUMNS
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.record.open_tape import OpenTape

MARGIN = 256
"""Entries before and after an array; an overrun shorter than that harms nothing else."""

_BYTE = 0xA5
_UNTOUCHED = {width: bytes([_BYTE]) * (MARGIN * width) for width in (1, 2, 4, 8, 16, 24, 32)}
_plain_resize, _plain_run, _plain_note = OpenTape._resize, OpenTape.run, OpenTape.take_note
_entry_point = Kernel.__dict__["run"]


_WIDTH = {active: ACTIVE.itemsize}


class OverrunError(AssertionError):
    """Something wrote beyond the memory it had asked for."""


class _Mode:
    """What is noticed while the mode is on."""

    def __init__(self):
        self.overruns = []
        self.doing = "compiled code of the user's"

    def look(self, array, what):
        """Note an overrun of an array that has margins."""
        whole = array.base
        if whole is None or getattr(whole, "size", 0) != array.size + 2 * MARGIN:
            return
        for side, margin in (("before", whole[:MARGIN]), ("after", whole[-MARGIN:])):
            if margin.tobytes() != _UNTOUCHED[margin.itemsize]:
                written = np.unique(np.flatnonzero(margin.view(np.uint8) != _BYTE)
                                    // margin.itemsize)  # fmt: skip
                self.overruns.append(
                    f"{self.doing} wrote {len(written)} entries {side} {what}, which has "
                    f"{array.size}"
                )
                margin.view(np.uint8)[:] = _BYTE

    def look_at_tape(self, tape):
        """Note overruns of a tape's columns, and counts beyond their capacity."""
        for group, columns in enumerate(PYTHON_COLUMNS):
            count, capacity = (int(tape.head[COUNT_WORD[group] + k]) for k in (0, 1))
            for name, _ in columns:
                if name in tape._columns:  # not while it's made
                    self.look(tape._columns[name], f"the column `{name}`")
            if count > capacity:
                self.overruns.append(f"{self.doing} counted {count} entries of {capacity}")

    def report(self):
        """Raise if something was noted."""
        overruns, self.overruns = self.overruns, []
        if overruns:
            raise OverrunError("; ".join(overruns))


def with_margins(size, dtype):
    """Return uninitialised memory between two margins."""
    whole = np.empty(size + 2 * MARGIN, dtype)
    for margin in (whole[:MARGIN], whole[-MARGIN:]):
        margin.view(np.uint8)[:] = _BYTE
    return whole[MARGIN : MARGIN + size]


def _tape_methods(mode):
    """Return what replaces a tape's methods."""

    def reserve(self, group, extra):
        mode.look_at_tape(self)
        word = COUNT_WORD[group]
        count = int(self.head[word])
        if count + extra > min(tape_columns.MAX_ENTRIES, MAX_ENTRIES):
            _plain_reserve(self, group, extra)  # raises
        if count + extra != self.head[word + 1]:
            _plain_resize(self, group, count + extra)

    def take_note(self):
        mode.look_at_tape(self)
        mode.report()
        _plain_note(self)
        for group in range(len(PYTHON_COLUMNS)):
            if self.is_open:
                reserve(self, group, 0)

    def run(self, kernel, *args):
        before, mode.doing = mode.doing, name_of(kernel)
        try:
            return _plain_run(self, kernel, *args)
        finally:
            mode.doing = before

    return {"reserve": reserve, "take_note": take_note, "run": run,
            "_memory": staticmethod(with_margins)}  # fmt: skip


_plain_reserve = OpenTape.reserve


def name_of(kernel):
    """Return the name of the function a kernel is compiled from."""
    return kernel._dispatcher.py_func.__name__


class _Guarded:
    """A kernel's entry point, whose array arguments are given margins for the call."""

    def __init__(self, mode, kernel, plain):
        self._mode, self._kernel, self._plain = mode, kernel, plain

    def __eq__(self, other):
        return self._plain == other

    __hash__ = None

    def __call__(self, *args):
        self._check_kinds(args)
        copies = {k: self._copied(args, k) for k in range(len(args)) if self._has_own(args, k)}
        result = self._plain(*[copies.get(k, arg) for k, arg in enumerate(args)])
        before, self._mode.doing = self._mode.doing, name_of(self._kernel)
        for k, copy in copies.items():
            self._mode.look(copy, f"argument {k}")
            args[k][...] = copy
        self._mode.doing = before
        self._mode.report()
        return result

    def _check_kinds(self, args):
        """Note arrays of other kinds than the kernel, which looks at none, was compiled for."""
        signature = self._kernel._signature
        kinds = (signature() if callable(signature) else signature).args
        for k, (arg, kind) in enumerate(zip(args, kinds, strict=True)):
            if isinstance(arg, np.ndarray):
                wants = (kind.ndim, _WIDTH.get(kind.dtype) or np.dtype(str(kind.dtype)).itemsize)
                is_laid_out = kind.layout == "A" or arg.flags.c_contiguous
                if (arg.ndim, arg.itemsize) != wants or not is_laid_out:
                    self._mode.overruns.append(
                        f"{name_of(self._kernel)} was passed {arg.dtype}[{arg.ndim}] as argument "
                        f"{k}, which is {kind}"
                    )
        self._mode.report()

    @staticmethod
    def _has_own(args, k):
        """Whether an argument is memory that nothing else in the call knows."""
        array = args[k]
        if not isinstance(array, np.ndarray) or array.ctypes.data in growth._by_address:
            return False
        others = (other for j, other in enumerate(args) if j != k and isinstance(other, np.ndarray))
        is_alone = not any(np.may_share_memory(array, other) for other in others)
        return array.flags.c_contiguous and array.flags.writeable and is_alone

    @staticmethod
    def _copied(args, k):
        copy = with_margins(args[k].size, args[k].dtype)
        copy[:] = args[k].reshape(-1)
        return copy.reshape(args[k].shape)


class _EntryPoint:
    """What `Kernel.run` is while the mode is on."""

    def __init__(self, mode):
        self._mode = mode

    def __get__(self, kernel, owner=None):
        return _Guarded(self._mode, kernel, _entry_point.__get__(kernel, owner))

    def __set__(self, kernel, run):
        _entry_point.__set__(kernel, run)


@contextlib.contextmanager
def reservations():
    """Make every reservation exact, and raise `OverrunError` where something writes beyond it."""
    mode = _Mode()
    entry_point = mock.patch.object(Kernel, "run", _EntryPoint(mode))
    with entry_point, mock.patch.multiple(OpenTape, **_tape_methods(mode)):
        yield
    mode.report()
