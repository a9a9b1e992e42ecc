"""Every error: raised where it should be, of the built-in kind expected, and naming the way out."""

from __future__ import annotations

import importlib.util
import inspect
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config
from program_drafts import program, put

import tapegrad as tg
from tapegrad import columns, errors, jit
from tapegrad.blocks import Block
from tapegrad.function.recorded import MOST_RECORDINGS
from tapegrad.program.check import check
from tapegrad.program.io import load
from tapegrad.record import open_tape
from tapegrad.record.open_tape import OpenTape
from tapegrad.testing import GradientMismatchError, check_grads

PLAIN = np.ones(2)


class Leak(Exception):
    """An exception that takes a number out of its recording."""


def leaked(x):
    def f(x):
        raise Leak(x)

    try:
        tg.grad(f)(x)
    except Leak as leak:
        return leak.args[0]


def ended():
    return leaked(1.0) * 2.0


def ended_array():
    return np.sin(leaked(np.ones(2)))


def escaped_into_another():
    number = leaked(1.0)
    return tg.grad(lambda x: x * number)(1.0)


def returned_by_another():
    number = leaked(1.0)
    return tg.value_and_grad(lambda x: (x * x, number), has_aux=True)(1.0)


def stored_outside():
    def outer(x):
        y = x * 1.0
        tg.grad(lambda z: y.__setitem__(0, z) or z)(2.0)
        return np.sum(y)

    return tg.grad(outer)(np.ones(2))


def without_numbas_compiler():
    spec = importlib.util.spec_from_file_location("jit_again", jit.__file__)
    config.DISABLE_JIT = 1
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        config.DISABLE_JIT = 0


def bad_tape():
    tape = OpenTape()
    tape.append(3, 77, 0, 0.0)
    tg.check(tape.end())


def in_another_thread():
    def total(x):
        with ThreadPoolExecutor(1) as pool:
            return sum(pool.map(lambda k: k * x, [1.0, 2.0]))

    return tg.grad(total)(1.0)


class Growing(Block):
    def __init__(self):
        super().__init__("growing", ((2,),), ((2,),), (True,))

    def value(self, operands):
        return (np.append(operands[0], 1.0),)


class Clock:
    def __init__(self):
        self.t = 0.0


def forgetful():
    def total(x):
        clock = Clock()
        step = tg.checkpoint(lambda x: x * clock.t if x < 1.0 else x + clock.t)
        y = step(x)
        clock.t = 1.0
        return y

    gradient = tg.vjp(total, 0.5)[1](1.0)
    assert gradient == (0.0,)
    block = tg.value_and_grad(total)
    block(0.5)
    (called,) = block.recorded.recordings[0].tape.blocks
    called.value([np.array(2.0)])


def long_tape():
    tape = OpenTape()
    tape.reserve(0, 2**31)


# What raises, the class, and what its message must say: what happened, and the way out.
MAKE = {"array": np.array}  # where recording doesn't replace it
CASES = {
    "float": (lambda: tg.grad(lambda x: x * float(x))(1.0), errors.LostDerivativeError,
              ["float()", "stop_gradient", __file__]),
    "plain array of an array": (lambda: tg.grad(lambda x: sum(MAKE["array"](x, float)))(np.ones(2)),
                                errors.LostDerivativeError, ["numpy.array", "stop_gradient"]),
    "single precision": (lambda: tg.grad(lambda x: np.sum(x.astype(np.float32)))(np.ones(2)),
                         errors.LostDerivativeError, ["float32"]),
    "ufunc": (lambda: tg.grad(lambda x: np.spacing(x))(1.0), errors.UnsupportedFunctionError,
              ["spacing", "supported()", "stop_gradient"]),
    "ufunc of an array": (lambda: tg.grad(lambda x: np.sum(np.gcd(x, 2)))(np.ones(2)),
                          errors.UnsupportedFunctionError, ["gcd", "supported()"]),
    "function": (lambda: tg.grad(lambda x: np.sum(np.histogram2d(x, x)[0]))(np.ones(2)),
                 errors.UnsupportedFunctionError, ["histogram2d", "supported()", "stop_gradient"]),
    "no compiler": (without_numbas_compiler, errors.JitDisabledError,
                    ["NUMBA_DISABLE_JIT is set", "unset it", "f.py_func"]),
    "store": (lambda: tg.grad(lambda x: np.add(x, 1.0, out=PLAIN))(np.ones(2)),
              errors.UnsupportedFunctionError, ["y = np.array(PLAIN, float)"]),
    "vector": (lambda: tg.grad(lambda x: x * 2.0)(np.ones(2)), errors.NotScalarError, ["jacobian"]),
    "no number": (lambda: tg.grad(lambda x: "a")(1.0), errors.NotScalarError, ["one float"]),
    "integer": (lambda: tg.grad(lambda x: x)(1), errors.InputTypeError, ["float"]),
    "complex": (lambda: tg.grad(lambda x: x)(1j), errors.InputTypeError, ["complex"]),
    "complex inside": (lambda: tg.grad(lambda x: x * 1j)(1.0), errors.InputTypeError,
                       ["np.real(z)", "np.abs(z)"]),
    "strings": (lambda: tg.grad(lambda x: x + np.array(["a"]))(np.ones(1)), errors.InputTypeError,
                ["real numbers"]),
    "tangents": (lambda: tg.jvp(lambda x: x, (np.ones(2),), (np.ones(3),)), errors.StructureError,
                 ["(2,)", "(3,)"]),
    "cotangents": (lambda: tg.vjp(lambda x: x, np.ones(2))[1](np.ones(3)), errors.StructureError,
                   ["(2,)", "(3,)"]),
    "ended": (ended, errors.TapeEndedError, ["return it", "has_aux", "tapegrad.tap("]),
    "ended array": (ended_array, errors.TapeEndedError, ["return it", "has_aux"]),
    "escaped": (escaped_into_another, errors.TapeEndedError, ["return it", "has_aux"]),
    "returned": (returned_by_another, errors.TapeEndedError, ["return it", "has_aux"]),
    "mixed": (stored_outside, errors.MixedTapesError, ["return it", "inside"]),
    "thread": (in_another_thread, errors.OtherThreadError, ["test_errors.py:", "`map` in place"]),
    "memory": (long_tape, errors.TapeMemoryError, ["2,147,483,647", "shorter stretch"]),
    "block": (lambda: Growing().evaluated([np.ones(2)]), errors.BlockShapeError,
              ["`growing`", "((3,),)", "((2,),)", "return the same"]),
    "outdated": (forgetful, errors.OutdatedBlockError,
                 ["a checkpoint of forgetful", "has changed", "as an argument"]),
    "unsolved": (lambda: tg.root(lambda x: x * x + 1.0, 3.0)(), errors.NoConvergenceError,
                 ["the root of", "start point", "maxiter", "residuals: 10, "]),
    "singular": (lambda: tg.root(lambda x: x * x, 0.0)(), errors.SingularSystemError,
                 ["Jacobian is singular", "redundant"]),
    "degenerate": (lambda: tg.grad(tg.minimizer(lambda x, a: (x - a) ** 2, 1.0, bounds=(0, 1)))(0.),
                   errors.DegenerateBoundError, ["unknown 0 on a bound, 0", "move the bound"]),
    "invalid": (bad_tape, errors.InvalidTapeError, ["slot 1"]),
    "invalid program": (lambda: check(program(put("v", "w"))), errors.InvalidProgramError,
                        ["'w' is read before", "> v = w"]),
    "file": (lambda: load(__file__), errors.ProgramFileError, ["test_errors.py", "to `save`"]),
    "hash": (lambda: tg.grad(lambda x: {x: x}[x])(1.0), errors.UnhashableError, ["int(x)"]),
    "hash of an array": (lambda: tg.grad(lambda x: hash(x) * x)(np.ones(2)),
                         errors.UnhashableError, ["dictionary"]),
    "mismatch": (lambda: check_grads(lambda x: np.sum(tg.stop_gradient(x) ** 2), (np.ones(3),)),
                 GradientMismatchError, ["differences", "differ by"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_of_its_class_and_names_the_way_out(name):
    raiser, kind, words = CASES[name]
    with pytest.raises(kind) as caught:
        raiser()
    assert isinstance(caught.value, errors.TapegradError)
    for word in words:
        assert word in str(caught.value)


EXPECTED = {
    "LostDerivativeError": TypeError, "UnsupportedFunctionError": TypeError,
    "NotScalarError": TypeError, "InputTypeError": TypeError, "StructureError": ValueError,
    "BlockShapeError": ValueError,
    "TapeEndedError": RuntimeError, "MixedTapesError": RuntimeError,
    "OtherThreadError": RuntimeError,
    "TapeMemoryError": MemoryError, "InvalidTapeError": ValueError, "UnhashableError": TypeError,
    "InvalidProgramError": ValueError, "ProgramFileError": ValueError,
    "JitDisabledError": ImportError, "OutdatedBlockError": ArithmeticError,
    "NoConvergenceError": ArithmeticError, "SingularSystemError": np.linalg.LinAlgError,
    "DegenerateBoundError": ArithmeticError,
}  # fmt: skip


def classes():
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == "tapegrad.errors"
    }


def test_every_error_derives_from_the_built_in_kind_a_caller_expects():
    found = {name: kind for name, kind in classes().items() if name in EXPECTED}
    elsewhere = {"GraphvizError", "NotCompilableError", "NotPicklableError", "NoCompiledFormError",
                 "CompilationWarning", "InaccurateSolutionWarning", "BlockFailedError",
                 "WrongRuleWarning", "DivergentIntegralError", "SwitchError"}  # fmt: skip
    others = {"TapegradError", "RecordingLimitWarning", *elsewhere}
    assert set(classes()) - set(found) == others
    for name, kind in found.items():
        assert issubclass(kind, EXPECTED[name])
        assert issubclass(kind, errors.TapegradError)


def test_every_class_of_error_has_a_case_here():
    assert {kind.__name__ for _, kind, _ in CASES.values()} >= set(EXPECTED)


def test_the_limit_of_recordings_warns_with_the_place_and_what_follows():
    def f(x):
        return x * int(x)

    derivative = tg.grad(f)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(MOST_RECORDINGS + 3):
            assert derivative(float(k)) == k
    (warning,) = caught
    assert warning.category is errors.RecordingLimitWarning
    assert issubclass(warning.category, RuntimeWarning)
    for word in (f"{MOST_RECORDINGS} times", "right but slow", __file__, "f has been recorded"):
        assert word in str(warning.message)


def test_a_messages_first_letter_is_small_and_its_end_has_no_stop():
    modules = (open_tape, columns, tg.record.active)
    source = "".join(map(inspect.getsource, modules))
    messages = re.findall(r"Error\(\s*f?\"(.)", source)
    assert len(messages) > 5
    assert all(not letter.isupper() for letter in messages)


def test_an_error_leaves_the_library_as_it_was():
    derivative = tg.grad(lambda x: np.sin(x) * (float(x) if x > 1.0 else 1.0))
    assert derivative(0.0) == 1.0
    with pytest.raises(errors.LostDerivativeError):
        derivative(2.0)
    assert derivative(0.0) == 1.0
    with pytest.raises(errors.LostDerivativeError):
        derivative(3.0)
    assert tg.grad(tg.grad(np.sin))(0.0) == 0.0
