"""What every compiled program is asked: its gradients as from Python, replayed, and as a form."""

from __future__ import annotations

import compiled_programs_of_algebra  # noqa: F401 - adds its programs to the others
import compiled_programs_of_simulation  # noqa: F401
import numpy as np
import pytest
from compiled_programs import PROGRAMS, CompiledProgram

import tapegrad as tg
from tapegrad.testing import check_grads


def programs_of(module: str) -> dict[str, CompiledProgram]:
    """Return the programs that a module holds: each is compiled where its tests run."""
    return {name: p for name, p in PROGRAMS.items() if p.function.__module__ == module}


def check_value_and_gradient(program: CompiledProgram) -> None:
    """Compare with the same program in Python and with differences, at every point."""
    function = program.function
    for point in program.points:
        given = point.copy()
        value, gradient = tg.value_and_grad(function)(point)
        # The form in Python says the same, and needn't be compiled for floats.
        assert value == pytest.approx(function.py_func(point), rel=1e-14)
        np.testing.assert_array_equal(point, given)
        check_grads(function.py_func, (point,))
        of_python = tg.grad(function.py_func)(point)
        np.testing.assert_allclose(gradient, of_python, rtol=1e-12, atol=1e-13)


def check_replays(program: CompiledProgram) -> None:
    """Compare replays at every point with recordings made there."""
    replayed = tg.value_and_grad(program.function)
    for point in program.points + program.points[::-1]:
        value, gradient = replayed(point)
        expected_value, expected = tg.value_and_grad(lambda x: program.function(x))(point)
        assert value == expected_value
        np.testing.assert_array_equal(gradient, expected)


def check_form(program: CompiledProgram) -> None:
    """Compare the form for compiled code with the gradient as called from Python."""
    derivative = tg.value_and_grad(program.function)
    for point in program.points:
        out = np.full(len(point), np.nan)
        value, expected = derivative(point)
        assert derivative.njit(point, out) == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-13)


CHECKS = {
    "value and gradient": check_value_and_gradient,
    "replays": check_replays,
    "form for compiled code": check_form,
}
