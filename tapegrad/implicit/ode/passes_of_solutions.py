"""Integrations of a tape's right-hand side: a path of the state, its tangent, its adjoint.

They have their own error control, and no part in a solution's value. Times are in the order of the
integration, which may go down.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Array, raise_failure
from tapegrad.errors import BlockFailedError
from tapegrad.function.recording import Recording, Workspace
from tapegrad.function.vectors import Vector
from tapegrad.implicit.ode import explicit_steps, implicit_steps
from tapegrad.implicit.ode.explicit_steps import (
    DONE,
    FULL,
    KEPT,
    N_COEFFICIENTS,
    N_EXTENDED,
    N_POWERS,
    N_STAGES,
    TOO_MANY,
    TOO_SMALL,
)
from tapegrad.implicit.ode.integrating_kernels import adjoint_kernels, at_times_kernel, path_kernels
from tapegrad.implicit.ode.rates import ADJOINT, N_WORDS, STATE, TANGENT

MOST_STEPS = 200_000
EXPLICIT_STEPS = 3_000
"""Of an explicit method where the user's chooses by itself, before it counts as stiff."""

FIRST_ROOM = 128
"""Steps that there's room for at first."""


class Control(NamedTuple):
    """How exact a solution is to be.

    Attributes
    ----------
    rtol : float
    atol : tuple of float
        For each number of the state.
    way : {'explicit', 'implicit', 'either'}
        The kind of method; `either` finds out whether the equations are stiff.
    longest : float
        The longest step.
    """

    rtol: float
    atol: tuple[float, ...]
    way: str
    longest: float

    def tolerances(self, is_stiff: bool, sizes: Vector | None = None) -> Vector:
        """Return what a method is asked for; the implicit one's estimate is of order 3 only."""
        rtol = 0.01 * self.rtol ** (2 / 3) if is_stiff else 0.1 * self.rtol
        atol = np.array(self.atol) * (rtol / self.rtol)
        floor = 0.01
        sizes = np.ones(len(atol)) if sizes is None else sizes
        return np.concatenate([[rtol, floor], atol, sizes])


_coefficients: list[Vector] = []


def coefficients() -> Vector:
    """Return the coefficients of `scipy.integrate.DOP853`, as the explicit method reads them."""
    if not _coefficients:
        METHOD = importlib.import_module("scipy.integrate").DOP853
        rows = np.zeros((N_COEFFICIENTS // N_EXTENDED, N_EXTENDED))
        rows[:N_STAGES, :N_STAGES] = METHOD.A
        rows[N_STAGES + 1 : N_EXTENDED] = METHOD.A_EXTRA
        more = rows[N_EXTENDED:]
        more[0, :N_STAGES] = METHOD.B
        more[1, : N_STAGES + 1], more[2, : N_STAGES + 1] = METHOD.E3, METHOD.E5
        more[3, :N_STAGES], more[3, N_STAGES] = METHOD.C, 1.0
        more[3, N_STAGES + 1 :] = METHOD.C_EXTRA
        more[4:] = METHOD.D
        _coefficients.append(rows.reshape(-1))
    return _coefficients[0]


_NONE = np.empty(0)


class Path(NamedTuple):
    """A solution at the steps of an integration, and what to find it between them by."""

    ts: Vector
    zs: Array
    dense: Vector
    n_steps: int
    is_stiff: bool

    @property
    def powers(self) -> int:
        """How many coefficients there are of each number and step."""
        return 0 if self.is_stiff else N_POWERS

    def at(self, times: Vector) -> Array:
        """Return the numbers at times, one row each."""
        size = self.zs.shape[1]
        found = np.empty((len(times), size))
        if self.n_steps:
            hint = np.zeros(1, np.int64)
            words = _words(n=size, path=self, hint=hint)
            at_times_kernel.run(words, np.ascontiguousarray(times), found.reshape(-1))
        else:
            found[:] = self.zs[0]
        return found

    def sizes(self, control: Control) -> Vector:
        """Return how large each number of a state gets."""
        floor = np.array(control.atol) / control.rtol
        largest: Vector = np.abs(self.zs[: self.n_steps + 1]).max(axis=0)
        found: Vector = np.maximum(largest, floor) + 1e-100
        return found


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


def _words(kind: int = STATE, n: int = 0, size: int = 0, recording: Recording | None = None,
           workspace: Workspace | None = None, directions: Vector = _NONE,
           wanted: npt.NDArray[Any] = _NONE, pulled: Vector = _NONE, path: Path | None = None,
           hint: npt.NDArray[Any] = _NONE, y: Vector = _NONE,
           column: Vector = _NONE) -> npt.NDArray[np.int64]:  # fmt: skip
    """Return the words of a problem; the arrays must live as long as they're used."""
    head, value, swept = 0, 0, 0
    if recording is not None and workspace is not None:
        first = 8 * len(recording.tape.constants)
        head = recording.tape.address
        value, swept = _address(workspace.value) + first, _address(workspace.swept) + first
    ts, zs, dense, count, powers = 0, 0, 0, 0, 0
    if path is not None:
        ts, zs, dense = map(_address, (path.ts, path.zs, path.dense))
        count, powers = path.n_steps, path.powers
    found = (kind, n, size, head, value, swept, _address(directions), _address(wanted), len(wanted),
             _address(pulled), ts, zs, dense, count, powers, _address(hint), _address(y),
             _address(column))  # fmt: skip
    assert len(found) == N_WORDS
    return np.array(found, np.int64)


class Field:
    """A right-hand side at given parameters, ready to be integrated.

    Parameters
    ----------
    recording : Recording
        Without guards.
    inputs : ndarray
        Its inputs; time and state are set by who integrates.
    n : int
    control : Control
    """

    def __init__(self, recording: Recording, inputs: Vector, n: int, control: Control) -> None:
        self.recording, self.inputs, self.n, self.control = recording, inputs, n, control

    def path(self, t0: float, t1: float, z: Vector, directions: Vector | None = None,
             state: Path | None = None) -> Path:  # fmt: skip
        """Return the state from a time to another; with directions, its tangent beside it.

        For that the state's own path is needed, which tells of sizes.
        """
        if t0 == t1:
            return Path(np.full(1, t0), z.reshape(1, -1).copy(), _NONE, 0, False)
        if self.control.way != "implicit":
            most = EXPLICIT_STEPS if self.control.way == "either" else MOST_STEPS
            found = self._path(False, t0, t1, z, directions, state, most)
            if isinstance(found, Path):
                return found
        found = self._path(True, t0, t1, z, directions, state, MOST_STEPS)
        if not isinstance(found, Path):
            raise self._failure(found)
        return found

    def _memory(self, is_stiff: bool, size: int) -> tuple[Any, ...]:
        """Return room for vectors, complex numbers, and pivots."""
        n = self.n
        if not is_stiff:
            return np.empty(explicit_steps.N_SCRATCH * size), np.empty(0, complex), _PIVOTS
        room = implicit_steps.N_SCRATCH * size + 3 + 2 * n * n
        return np.zeros(room), np.empty(n * n + size, complex), np.empty(2 * n, np.int64)

    def _path(self, is_stiff: bool, t0: float, t1: float, z: Vector, directions: Vector | None,
              state: Path | None, most: int) -> Path | int:  # fmt: skip
        z, room = z.copy(), FIRST_ROOM
        size = len(z)
        kind, first = (STATE, 0.0) if state is None else (TANGENT, abs(state.ts[1] - state.ts[0]))
        sizes = None if state is None else state.sizes(self.control)
        tolerances = self.control.tolerances(is_stiff, sizes)
        moving = np.zeros(len(self.inputs)) if directions is None else directions
        ts, zs = np.empty(room), np.empty((room, size))
        dense = np.empty((0 if is_stiff else room) * N_POWERS * size)
        ts[0], zs[0] = t0, z
        course = np.array([t0, first, 0.0, self.control.longest, most, room])
        hint = np.zeros(1, np.int64)
        y, column = np.empty(self.n), np.zeros(2 * self.n + len(self.inputs))
        memory = self._memory(is_stiff, size)
        workspace = self._workspace()
        words = _words(kind, self.n, size, self.recording, workspace, moving, path=state, hint=hint,
                       y=y, column=column)  # fmt: skip
        kernel = path_kernels[is_stiff]
        try:
            while True:
                status = kernel.run(words, course, t1, z, tolerances, coefficients(), *memory, ts,
                                    zs.reshape(-1), dense)  # fmt: skip
                count = int(course[KEPT])
                if status == DONE:
                    return Path(ts, zs, dense, count, is_stiff)
                if status != FULL:
                    return int(status)
                if count > most:
                    return TOO_MANY
                course[-1] *= 2
                ts, zs, dense = (
                    np.concatenate([kept, np.empty_like(kept)]) for kept in (ts, zs, dense)
                )
        finally:
            self.recording.give_back(workspace)

    def _workspace(self) -> Workspace:
        """Return a workspace in which the inputs are set."""
        workspace, tape = self.recording.take_workspace(), self.recording.tape
        workspace.value[len(tape.constants) + tape.inputs] = self.inputs
        return workspace

    def adjoint(self, path: Path, times: Vector, seeds: Array, wanted: npt.NDArray[np.int64],
                t0: float) -> tuple[Vector, Vector]:  # fmt: skip
        """Return the derivatives by the state at the begin, and by the inputs `wanted`.

        Parameters
        ----------
        path : Path
        times : ndarray
            In the path's order.
        seeds : ndarray
            The derivatives by the state at these times, one row each.
        wanted : ndarray of int
        t0 : float
        """
        n, status = self.n, DONE
        parameters = np.abs(self.inputs[wanted])
        parameters[parameters == 0.0] = 1.0
        sizes = np.concatenate([path.sizes(self.control), parameters])
        workspace = self._workspace()
        y, column = np.empty(n), np.zeros(2 * n + len(self.inputs))
        hint, pulled = np.full(1, path.n_steps), np.empty(len(self.inputs))
        size = n + len(wanted)
        words = _words(ADJOINT, n, size, self.recording, workspace, wanted=wanted, pulled=pulled,
                       path=path, hint=hint, y=y, column=column)  # fmt: skip
        for is_stiff in [True] if path.is_stiff else [False, True]:
            z = np.zeros(size)
            most = MOST_STEPS if is_stiff or self.control.way != "either" else EXPLICIT_STEPS
            course = np.array([0.0, 0.0, 0.0, self.control.longest, most, 0.0])
            status = adjoint_kernels[is_stiff].run(
                words, course, times, np.ascontiguousarray(seeds), t0, z,
                self.control.tolerances(is_stiff, sizes), coefficients(),
                *self._memory(is_stiff, size),
            )  # fmt: skip
            if status == DONE:
                break
        self.recording.give_back(workspace)
        if status != DONE:
            raise self._failure(status)
        return z[:n], z[n:]

    def _failure(self, status: int) -> BlockFailedError:
        if status not in (TOO_SMALL, TOO_MANY):
            raise_failure(self.recording.tape)
        what = "too many steps" if status == TOO_MANY else "steps that are too small"
        return BlockFailedError(
            f"the derivative of {self.recording.function.__qualname__} needs {what}: the "
            "equations may be stiff, which method='LSODA' or 'Radau' is for, or their solution may "
            "have no derivative there"
        )


_PIVOTS = np.empty(0, np.int64)
