"""The tapes of recorded programs, and the guards on them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.ops import CODE
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats

ADD = CODE["add"]
HERE = (lambda: 0).__code__


def recordings_of(derivative):
    return derivative.recorded.recordings


def programs():
    def loop(x):
        total = 0.0
        for k in range(len(x)):
            total = total + x[k] * (x[k - 1] if x[k] > 0 else 2.0)
        return total

    return {
        "loop": (loop, np.array([1.0, -1.0, 2.0])),
        "arrays": (lambda x: np.sum(np.exp(x)[:, None] @ x[None, :]), np.array([0.1, 0.2])),
        "sorted": (lambda x: np.sort(x)[1] * int(x[0]), np.array([3.0, 1.0, 2.0])),
        "nested": (lambda x: tg.grad(lambda y: np.sum(x * y**3))(x)[0], np.array([3.0, 1.0])),
        "index": (lambda x: x[int(x[0])] + round(x[1], 2), np.array([1.0, 0.123])),
        "constant": (lambda x: 3.0, np.array([1.0])),
    }


@pytest.mark.parametrize("name", programs())
def test_recorded_programs_are_good_tapes(name):
    function, x = programs()[name]
    derivative = tg.grad(function)
    derivative(x)
    for made in recordings_of(derivative):
        tg.check(made.tape)
        again = pickle.loads(pickle.dumps(made.tape))
        tg.check(again)
        assert str(again) == str(made.tape)


def test_a_million_records_from_an_array_have_the_closed_form_gradient():
    x = np.linspace(0.1, 1.0, 250_000)
    derivative = tg.value_and_grad(lambda x: np.sum(np.sin(x) * x + x))
    for point in (x, 2.0 * x):
        value, found = derivative(point)
        assert value == pytest.approx(np.sum(np.sin(point) * point + point), rel=1e-12)
        np.testing.assert_allclose(found, np.cos(point) * point + np.sin(point) + 1.0, rtol=4e-15)
    (made,) = recordings_of(derivative)
    assert len(made.tape) > 10**6
    assert made.tape.nbytes < 18 * len(made.tape)
    tg.check(made.tape)


def test_a_replay_names_the_first_guard_that_fails():
    tape = OpenTape()
    x, y = tape.input(1.0), tape.input(2.0)
    tape.guard(y, 2.0, HERE, 0)
    tape.guard(x, 1.0, HERE, 0)
    total = tape.append(ADD, x, y, 3.0)
    tape.guard(total, 3.0, HERE, 0)
    tape = tape.end([total])
    value = float_workspace(tape)
    for point, failed in {(1.0, 2.0): -1, (9.0, 2.0): 1, (1.0, 9.0): 0, (9.0, 9.0): 0}.items():
        assert floats.replay.run(tape.head, np.array(point), value) == failed


def test_guards_of_one_line_share_a_site():
    derivative = tg.grad(lambda x: sum(v if v > 0 else -v for v in x))
    derivative(np.ones(50))
    (made,) = recordings_of(derivative)
    assert len(made.tape.guard_slot) == 50
    assert len({made.tape.sites[k] for k in made.tape.guard_site}) == 1
    assert made.tape.sites[made.tape.guard_site[0]][0] == __file__
    assert len(made.tape.sites) == 1
