"""What is read from the table, and tables that are refused."""

from __future__ import annotations

import math

import pytest

from tapegrad.expression import Call, Folding, Name, Number, parse
from tapegrad.ops import OPS, Kink, Op
from tapegrad.rows import ROW, ROWS, RowError, contribution, read

X, Y, Z = map(Name, "xyz")


def op(name="f", value="x * y", partials=("y", "x"), **facts):
    facts.setdefault("domain", ((-1.0, 1.0),) * len(partials))
    return Op(name, value, partials, code=len(OPS), **facts)


# --- expressions ------------------------------------------------------------------------------


def test_an_expression_is_a_tree_of_its_signs():
    assert parse("-x + 2 * f(y, -0.5)", Name) == Call(
        "+", (Call("-", (X,)), Call("*", (Number(2.0), Call("f", (Y, Number(-0.5))))))
    )
    assert parse("x if x > y and y != 0.0 else 1.0", Name) == Call(
        "if",
        (
            Call("and", (Call(">", (X, Y)), Call("!=", (Y, Number(0.0))))),
            X,
            Number(1.0),
        ),
    )


def test_numbers_are_equal_if_their_bits_are():
    assert Number(0.0) != Number(-0.0)
    assert Number(math.nan) == Number(math.nan)
    assert len({Number(0.0), Number(-0.0), Number(0.0)}) == 2


def test_what_becomes_of_equal_parts_is_made_once():
    made = []

    def call(function, operands):
        made.append(function)
        return f"{function}({', '.join(operands)})"

    folding = Folding({"x": "x", "y": "y"}, str, call)
    assert folding(parse("f(x) + f(x)", Name)) == "+(f(x), f(x))"
    assert made == ["f", "+"]
    inner = folding.apart(w="w")
    assert inner(parse("g(w, f(x))", Name)) == "g(w, f(x))"
    assert made == ["f", "+", "g"]
    with pytest.raises(KeyError, match="w"):
        folding(Name("w"))


# --- what follows from a row ------------------------------------------------------------------


def test_partial_derivatives_are_made_of_rows():
    assert ROW["divide"].partials == (
        Call("divide", (Number(1.0), Y)),
        Call("divide", (Call("negative", (Z,)), Y)),
    )
    h = Call("hypot", (X, Y))
    assert ROW["arctan2"].shared == (h,)
    by_x = Call("divide", (Call("divide", (X, h)), h))
    assert ROW["arctan2"].partials[1] == Call("negative", (Call("keep", (h, by_x)),))
    assert ROW["arctan2"].reads == (frozenset("xy"), frozenset("xy"))
    assert ROW["exp"].reads == (frozenset("z"),)


def test_linear_bilinear_and_constant_rows_are_recognised():
    linear = {row.name for row in ROWS if row.is_linear and not row.is_piecewise_constant}
    assert linear == {"add", "subtract", "negative", "positive", "single"}
    assert {row.name for row in ROWS if row.is_bilinear} == {"multiply", "chain"}
    assert all(ROW[name].is_piecewise_constant for name in ("floor", "less", "step", "stop"))
    assert ROW["copysign"].differentiable == (0,)
    assert ROW["scaled_erfc"].differentiable == (1,)


def test_what_is_made_of_instructions_is_recognised_and_what_costs_more_than_a_load():
    inline = {"add", "sqrt", "exp", "maximum", "sign", "copysign", "keep", "chain", "same"}
    called = {"tan", "power", "powi", "remainder", "fmod", "hypot", "erf", "gamma", "single"}
    assert all(ROW[name].is_inline for name in inline)
    assert not any(ROW[name].is_inline for name in called)
    assert {name for name in inline if ROW[name].is_costly} == {"exp"}
    assert all(ROW[name].is_costly for name in called)


def test_whole_operands_are_said_by_the_row():
    whole = {row.name: row.whole for row in ROWS if row.whole is not None}
    assert whole.pop("powi") == 1
    assert set(whole) == {"polygamma", "scaled_erfc", "exponential_moment", "iv", "ive"}
    assert set(whole.values()) == {0}


def test_the_chain_rule_multiplies_by_what_is_not_one():
    w, p = Name("w"), Name("p")
    assert contribution(Number(0.0)) is None
    assert contribution(Number(1.0)) == w
    assert contribution(Number(-1.0)) == Call("negative", (w,))
    assert contribution(Number(2.0)) == Call("chain", (w, p))
    assert contribution(X, "multiply") == Call("multiply", (w, p))


# --- tables that are refused ------------------------------------------------------------------

MALFORMED = {
    "its value reads 'q', which is none of its operands": op(value="x * q"),
    "its value reads 'y', which is none of its operands": op(value="x * y", partials=("y",)),
    "'x +' is no expression: invalid syntax": op(value="x +"),
    "'lambda: x' can't be part of an expression": op(value="lambda: x"),
    "'x[0]' can't be part of an expression": op(partials=("x[0]", "x")),
    "its value calls sin(), but values are made of signs": op(value="sin(x) * y"),
    "its value calls math.sine(), which there isn't": op(value="math.sine(x) * y"),
    "its value calls os.getpid(), which there isn't": op(value="x * y * os.getpid()"),
    "its value is neither made of instructions nor one call": op(value="math.tan(2.0 * x) * y"),
    "special.powi() takes 2 operands": op(value="special.powi(x, y, x)"),
    "its value is a truth value, which `boolean=True` says": op(value="x < y"),
    "its value is no truth value": op(boolean=True, partials=("0", "0")),
    "truth values have no partial derivative but 0": op(value="x < y", boolean=True),
    "a partial derivative reads 'q', which is nothing it knows": op(partials=("q", "x")),
    "'math.sin(x)' calls math.sin(), which is no row": op(partials=("math.sin(x)", "x")),
    "sin() is of 1 operands, not 2": op(partials=("sin(x, y)", "x")),
    "'y if x > 0.0 else 0.0' has 'if' in it, but partial derivatives are made of rows": op(
        partials=("y if x > 0.0 else 0.0", "x")
    ),
    "'(x > 0.0) * y' has '>' in it": op(partials=("(x > 0.0) * y", "x")),
    "its `where` goes round in a circle: a reads b reads a": op(
        partials=("a", "x"), where={"a": "exp(b)", "b": "log(a)"}
    ),
    "no partial derivative reads 'a'": op(where={"a": "exp(x)"}),
    "its `where` names 'w', which is something else": op(partials=("w", "x"), where={"w": "x"}),
    "its `where` names 'LN2', which is something else": op(
        partials=("LN2", "x"), where={"LN2": "x"}
    ),
    "its domain is of 1 operands, not of 2": op(domain=((-1.0, 1.0),)),
    "its domain is empty": op(domain=((-1.0, 1.0), (1.0, -1.0))),
    "a kink of it is not of 2 operands": op(kinks=(Kink((0.0,), (0.0, 0.0)),)),
    "'z' can't be whole, being none of its operands": op(whole="z"),
    "y is a whole constant, so its partial derivative is 0": op(whole="y"),
    "its products are unrolled by a whole constant, but none is whole": op(unrolls=True),
    "a record has two operands at most": op(partials=("y", "x", "1")),
    "its name is none that code can call": op(name="f g"),
    "another row has its name": op(name="add"),
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_a_malformed_row_is_refused_with_the_reason(reason):
    malformed = MALFORMED[reason]
    with pytest.raises(RowError) as caught:
        read([*OPS, malformed])
    assert str(caught.value).startswith(f"row {malformed.name!r}: {reason}")


def test_a_row_that_is_well_formed_is_read():
    added = op(partials=("a * y", "x"), where={"b": "exp(x)", "a": "log(b)"})
    row = read([*OPS, added])[-1]
    assert row.shared == (b := Call("exp", (X,)), Call("log", (b,)))
    assert row.partials == (Call("multiply", (Call("log", (b,)), Y)), X)


def test_a_table_holds_as_many_rows_as_a_byte_counts():
    many = [op(name=f"f{k}") for k in range(256 - len(OPS))]
    assert len(read([*OPS, *many])) == 256
    with pytest.raises(RowError, match=r"row 'g': a table has 256 rows at most"):
        read([*OPS, *many, op(name="g")])
