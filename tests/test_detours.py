"""Code with detours runs as it did: its values, its exceptions and their lines, its generators."""

from __future__ import annotations

import dis
import importlib.util
import sys
import traceback
import types

import pytest

from tapegrad.record.detours import LEAST, with_detours
from tapegrad.record.steps import steps_of


class Keeper:
    """Hands back what it's handed, and counts."""

    def __init__(self):
        self.count = 0

    def __rmatmul__(self, held):
        self.count += 1
        return held[0]


def spans_in(code):
    """Return the spans of all instructions that leave what may be an array."""
    steps, spans = list(steps_of(code)), []
    for k, step in enumerate(steps[:-1]):
        first = k - (steps[k - 1].name == "PRECALL")
        while first > 0 and steps[k + 1].start - steps[first].start < LEAST:
            first -= 1
        inside = steps[first : k + 1]
        is_straight = all(s.goal < 0 for s in inside) and not any(s.is_target for s in inside[1:])
        is_plain = all(s.name.startswith(("LOAD", "CALL", "BINARY", "UNARY", "PRECALL", "BUILD"))
                       for s in inside)  # fmt: skip
        span = steps[first].start, steps[k + 1].start
        if step.makes and is_straight and is_plain and (not spans or span[0] >= spans[-1][1]):
            spans.append(span)
    return spans


def detoured(code, keeper):
    inner = tuple(
        detoured(c, keeper) if isinstance(c, types.CodeType) else c for c in code.co_consts
    )
    return with_detours(code.replace(co_consts=inner), spans_in(code), keeper)


def detoured_module(name, keeper):
    """Return a module of the standard library as it would be with detours everywhere."""
    spec = importlib.util.find_spec(name)
    module = types.ModuleType(name)
    vars(module).update(__file__=spec.origin, __package__=spec.parent, __spec__=spec)
    code = compile(spec.loader.get_source(name), spec.origin, "exec", dont_inherit=True)
    exec(detoured(code, keeper), vars(module))
    return module


def decimals(module):
    x, y = module.Decimal("1.25"), module.Decimal(7)
    with pytest.raises(ZeroDivisionError):
        x / 0
    return [str(v) for v in (x / y, y.sqrt(), x.exp(), y.ln(), x**y, -x % y, round(y / 3, 3),
                             x.quantize(y / 1000), max(x, y), hash(x), f"{y / 3:.4f}")]  # fmt: skip


def differences(module):
    a, b = ["one", "two", "three", "four"], ["ore", "tree", "four", "emu"]
    ratio = module.SequenceMatcher(None, "abcd" * 9, "bcde" * 9).ratio()
    return list(module.ndiff(a, b)), list(module.unified_diff(a, b)), ratio


def fractions(module):
    x = module.Fraction("3/7")
    with pytest.raises(ZeroDivisionError):
        module.Fraction(1, 0)
    return [str(v) for v in (x + 1, x**-2, x * 0.5, x.limit_denominator(2), divmod(x, 2), -x)]


def texts(module):
    text = "The quick brown fox jumped over the lazy dog. " * 4
    return module.wrap(text, 30), module.dedent("  a\n   b\n"), module.shorten(text, 25)


def tokens(module):
    lines = iter("def f(x):\n    return [x, 'a'] # b\n".splitlines(keepends=True))
    return [tuple(token) for token in module.generate_tokens(lambda: next(lines, ""))]


PROGRAMS = {"_pydecimal": decimals, "difflib": differences, "fractions": fractions,
            "textwrap": texts, "tokenize": tokens}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_module_of_the_standard_library_runs_as_it_did(name):
    keeper = Keeper()
    module, original = detoured_module(name, keeper), importlib.import_module(name)
    assert PROGRAMS[name](module) == PROGRAMS[name](original)
    assert keeper.count > 50


def failing(values, k=0):
    total = 0
    try:
        for value in values:
            total += divide(
                value,
                value - 2,
            )
    except ArithmeticError as error:
        where = traceback.extract_tb(error.__traceback__)
        total = total + (yield [(frame.lineno, frame.name) for frame in where])
    finally:
        k = abs(-total)
    yield k


def divide(x, y):
    quotient = x / y
    return quotient  # fmt: skip


def test_lines_handlers_and_generators_are_those_of_the_code():
    keeper = Keeper()
    code = detoured(failing.__code__, keeper)
    names = {**globals(), "divide": types.FunctionType(detoured(divide.__code__, keeper), {})}
    changed = types.FunctionType(code, names, argdefs=failing.__defaults__)
    one, other = failing([5, 4, 2]), changed([5, 4, 2])
    assert next(one) == next(other)
    assert one.send(3) == other.send(3)
    assert keeper.count
    size = len(failing.__code__.co_code)
    assert list(code.co_positions())[: size // 2] == list(failing.__code__.co_positions())
    assert len(list(code.co_positions())) == len(code.co_code) // 2
    assert all(step.opcode in dis.opmap.values() for step in dis.get_instructions(code))


def test_code_that_is_too_long_for_a_jump_stays_as_it_is():
    source = "def f(x):\n" + "    x = x + 1\n" * 20_000 + "    return x\n"
    names = {}
    exec(source, names)
    keeper, code = Keeper(), names["f"].__code__
    spans = spans_in(code)
    assert with_detours(code, spans[:1], keeper) is code
    assert with_detours(code, [], keeper) is code
    names["f"].__code__ = with_detours(code, spans[-2:], keeper)
    assert (names["f"](1), keeper.count) == (20_001, 2)
    assert sys.getsizeof(code) > 2**16
