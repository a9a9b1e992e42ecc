"""Inner functions of a time and a state, called on plain numbers by code that calls them often."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.blocks import check_interrupt
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.ode.branches import recording_at
from tapegrad.implicit.ode.integrating_kernels import respond


class Caller:
    """A function of a time and a state, at parameters: the last recording that was valid is tried.

    Parameters
    ----------
    inner : Inner
    parameters : ndarray
    """

    def __init__(self, inner: Inner, parameters: Vector) -> None:
        self.inner, self.parameters = inner, parameters
        self._n = inner.n_outputs
        self._recording: Recording | None = None

    def inputs(self, t: float, y: Vector) -> Vector:
        """Return the function's inputs."""
        return np.concatenate([[t], y, self.parameters])

    def __call__(self, t: float, y: Any) -> Any:
        """Return the outputs; of states side by side, side by side."""
        if y.ndim == 2:
            columns = [self(t, np.ascontiguousarray(column)) for column in y.T]
            return np.array(columns).reshape(y.shape[1], self._n).T
        out = np.empty(self._n)
        if self._recording is not None:
            if not y.flags.c_contiguous:
                y = np.ascontiguousarray(y)
            if respond.run(self._head, self._value, float(t), y, out) < 0:
                return out
            check_interrupt()
        return self._elsewhere(float(t), y)

    def _elsewhere(self, t: float, y: Vector) -> Vector:
        """Find or make a recording that is valid, and use it."""
        inputs = self.inputs(t, y)
        recording = recording_at(self.inner, inputs)
        if recording is not self._recording:
            self.end()
            self._recording, self._workspace = recording, recording.take_workspace()
            self._head, self._value = recording.tape.head, self._workspace.value
            self._value[len(recording.tape.constants) + recording.tape.inputs] = inputs
        return self.inner.values(inputs)

    def end(self) -> None:
        """Let others use the memory."""
        if self._recording is not None:
            self._recording.give_back(self._workspace)
            self._recording = None

    def jacobian(self, t: float, y: Vector) -> Any:
        """Return the exact Jacobian by the state."""
        return self.inner.jacobian(self.inputs(float(t), y), 1 + len(y))[:, 1:]
