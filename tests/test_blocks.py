"""Calls of blocks on a tape: how they lie there, what `check` states of them, what refuses them."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from drawn import Parsed
from tape_drafts import SOLVE, Draft, Named, calling

import tapegrad as tg
from tapegrad.blocks import operands_of
from tapegrad.errors import InvalidTapeError, StructureError
from tapegrad.ops import CODE
from tapegrad.record.dependence import DIFFERENTIABLE, DISCRETE, STOPPED, marks_of
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace
from tapegrad.tape import Tape

CALL, RESULT = CODE["call"], CODE["result"]
NORM = Named("norm", 2, 1)


def twice():
    """Two calls of one block and one of another, which reads the results of both and a number."""
    d = Draft(3.0, 5.0)
    x, y = d.x
    u, v = d.call(SOLVE, x, 2.0, y, values=[1.0, 0.25])
    (w,) = d.call(NORM, v, u, values=[1.5])
    p, q = d.call(SOLVE, w, x, -1.0, values=[7.0, 8.0])
    d.guard(p)
    d.end(d.add(d.multiply(p, q), w), v)
    return d.tape


# --- how they lie there ------------------------------------------------------------------------


def test_a_call_is_a_record_with_a_run_of_operands_and_its_results_follow():
    tape = twice()
    assert tape.op[3:11].tolist() == [CALL, RESULT, RESULT, CALL, RESULT, CALL, RESULT, RESULT]
    assert tape.a[3:11].tolist() == [0, 3, 3, 1, 6, 0, 8, 8]
    assert tape.b[3:11].tolist() == [0, 0, 0, 3, 0, 5, 0, 0]
    assert tape.value[3:11].tolist() == [0.0, 1.0, 0.25, 0.0, 1.5, 0.0, 7.0, 8.0]
    assert tape.call_operands.tolist() == [1, -1, 2, 5, 4, 7, 1, -2]
    assert tape.constants.tolist() == [2.0, -1.0]
    assert tape.blocks == (SOLVE, NORM)
    assert operands_of(tape, 6).tolist() == [5, 4]
    assert tape.nbytes == 17 * 13 + 8 * 2 + 16 + 4 * 8
    tg.check(tape)


def test_calls_can_be_read_while_recording_goes_on_and_across_every_capacity():
    tape = OpenTape()
    slot = tape.input(1.0)
    for k in range(200):
        (slot,) = tape.call(NORM, [slot, tape.constant(2.0)], [float(k)])
        if k % 50 == 0:
            tg.check(tape.so_far())
            tape.flush()
    tape = tape.end([slot])
    tg.check(tape)
    assert len(tape.call_operands) == 400
    assert operands_of(tape, 2 * 199 + 2).tolist() == [2 * 198 + 3, -200]


def test_a_call_needs_as_many_numbers_as_its_block_has():
    tape = OpenTape()
    x = tape.input(1.0)
    for operands, values in (([x], [1.0]), ([x, x, x], [1.0]), ([x, x], []), ([x, x], [1.0, 2.0])):
        with pytest.raises(StructureError, match="`norm` has 2 operands and 1 results, not"):
            tape.call(NORM, operands, np.array(values))
    assert (len(tape), tape.blocks) == (2, [])


def test_a_tape_that_calls_survives_pickling_and_copying():
    tape = twice()
    for again in (pickle.loads(pickle.dumps(tape)), copy.deepcopy(tape), copy.copy(tape)):
        assert str(again) == str(tape)
        assert again.blocks == tape.blocks
        tg.check(again)
        assert again.call_operands.ctypes.data != tape.call_operands.ctypes.data
        assert not again.call_operands.flags.writeable


def test_numbers_depend_on_the_inputs_through_calls():
    tape = OpenTape()
    x = tape.input(2.0)
    rounded = tape.append(CODE["floor"], x, 0, 2.0)
    stopped = tape.append(CODE["stop"], x, 0, 2.0)
    marks = []
    for operands in ([rounded, rounded], [tape.constant(1.0), stopped], [x, rounded]):
        (slot,) = tape.call(NORM, operands, [1.0])
        marks.append(marks_of(tape)[slot])
    assert marks == [DISCRETE, STOPPED, DIFFERENTIABLE]


# --- what is checked ---------------------------------------------------------------------------


def put(name, place, value):
    return lambda parts: parts[name].__setitem__(place, value)


CORRUPTIONS = {
    "call's block is unknown: slot 6": put("a", 6, 2),
    "a call's block is unknown": put("a", 3, -1),
    "operands do not follow those before": put("b", 8, 4),
    "do not follow those before: slot 6": put("b", 6, 10**9),
    "another number of operands": lambda t: t.update(call_operands=t["call_operands"][:-1]),
    "take another number of operands": lambda t: t.update(
        call_operands=np.append(t["call_operands"], t["call_operands"][:1])
    ),
    "operand does not precede it: slot 6": put("call_operands", 3, 6),
    "call's operand does not precede": put("call_operands", 7, 10**9),
    "call's operand is the passive slot": put("call_operands", 0, 0),
    "call's operand is beyond the pool": put("call_operands", 1, -3),
    "a call holds a value": put("value", 3, 1.0),
    "not followed by its results: slot 3": put("a", 5, 6),
    "call is not followed by its results": put("op", 7, CODE["positive"]),
    "result is of no call": lambda t: t["op"].__setitem__(11, RESULT) or t["b"].__setitem__(11, 0),
    "unary operation has a second operand: slot 9": put("b", 9, 1),
    "a call is read, not one of its results: slot 11": put("a", 11, 8),
    "not one of its results: slot 8": put("call_operands", 5, 6),
    "a guard or an output reads a call": put("guard_slot", 0, 3),
    "an output reads a call": put("outputs", 1, 6),
}


@pytest.mark.parametrize("message", CORRUPTIONS)
def test_check_rejects_a_call_that_breaks_an_invariant(message):
    tape = twice()
    parts = tape.columns() | {"outputs": tape.outputs}
    copies = {name: column.copy() for name, column in parts.items()}
    CORRUPTIONS[message](copies)
    with pytest.raises(InvalidTapeError, match=message):
        tg.check(dataclasses.replace(tape, **copies))


@pytest.mark.parametrize("sizes", [(0, 1), (2, 0)])
def test_check_rejects_a_block_of_nothing(sizes):
    tape = twice()
    blocks = (SOLVE, Named("norm", *sizes))
    with pytest.raises(InvalidTapeError, match="no operand or no result: slot 6"):
        tg.check(dataclasses.replace(tape, blocks=blocks))


def test_check_rejects_a_last_call_without_results_and_operands_without_a_call():
    d = Draft(1.0)
    d.call(NORM, d.x[0], 1.0, values=[2.0])
    d.end(d.x[0])
    short = {name: column[:3] if name in ("op", "a", "b", "value") else column
             for name, column in d.tape.columns().items()}  # fmt: skip
    with pytest.raises(InvalidTapeError, match="not followed by its results: slot 2"):
        tg.check(Tape.from_columns(short, [], [], d.tape.blocks))
    short |= {name: short[name][:2] for name in ("op", "a", "b", "value")}
    with pytest.raises(InvalidTapeError, match="another number of operands"):
        tg.check(Tape.from_columns(short, [], [], d.tape.blocks))


# --- what is shown -----------------------------------------------------------------------------


def test_the_listing_has_a_call_with_its_operands_and_its_results():
    lines = [line.split("  ") for line in str(twice()).splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines[3:12]] == [
        ["v3", "call", "solve(x0, 2, x1)"],
        ["v4", "result", "v3[0]", "1"],
        ["v5", "result", "v3[1]", "0.25"],
        ["v6", "call", "norm(v5, v4)"],
        ["v7", "result", "v6[0]", "1.5"],
        ["v8", "call", "solve(v7, x0, -1)"],
        ["v9", "result", "v8[0]", "7"],
        ["v10", "result", "v8[1]", "8"],
        ["v11", "multiply", "v9, v10", "56"],
    ]
    assert all(line == line.rstrip() for line in str(twice()).splitlines())


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (1, "sum(x0)"),
        (8, "sum(x0, x1, x2, x3, x4, x5, x6, x7)"),
        (9, "sum(x0, x1, x2, x3, x4, x5, x6, ..., x8)"),
        (100, "sum(x0, x1, x2, x3, x4, x5, x6, ..., x99)"),
    ],
)
def test_many_operands_are_shortened(n, text):
    d = Draft(*np.arange(1.0, 1.0 + n))
    d.end(*d.call(Named("sum", n, 1), *d.x, values=[1.0]))
    assert f" {text}\n" in str(d.tape)


def test_a_call_is_drawn_with_arrows_to_its_results():
    graph = Parsed(tg.draw(twice(), adjoints=False))
    assert graph.titles("v") == ["x0", "x1", "solve", "[0]", "[1]", "norm", "[0]", "solve", "[0]",
                                 "[1]", "×", "+"]  # fmt: skip
    assert graph.labels["v3"] == ["solve"]
    assert graph.labels["v5"] == ["[1]", "0.25"]
    assert [source for source, _ in graph.into("v3")] == ["v1", "c0", "v2"]
    assert [source for source, _ in graph.into("v5")] == ["v3"]
    assert [source for source, _ in graph.into("v8")] == ["v7", "v1", "c1"]


def test_calls_of_a_loop_are_folded_where_blocks_and_operands_are_the_same():
    def folds(blocks, back):
        d = Draft(1.0, 2.0, 3.0)
        slots = [*d.x]
        for block, k in zip(blocks, back, strict=True):
            operands = [slots[-1], 2.0, slots[-k]] if block is SOLVE else [slots[-1], slots[-k]]
            slots += d.call(block, *operands, values=np.ones(block.n_results).tolist())
        d.end(slots[-1])
        return Parsed(tg.draw(d.tape, adjoints=False, limit=20)).folds()

    other = Named("other", 2, 1)
    aperiodic = [k.bit_count() % 2 for k in range(100)]  # no part of it comes three times running
    assert folds([NORM] * 100, [2] * 100) == [["⋯ ×98", "call  result", "2 records each"]]
    assert folds([NORM, other] * 50, [2] * 100)[0][0] == "⋯ ×48"
    assert folds([(NORM, other)[k] for k in aperiodic], [2] * 100)[0][0] == "⋯"
    assert folds([SOLVE] * 100, [2] * 100)[0][0] == "⋯ ×98"
    assert folds([SOLVE] * 100, [1 + k for k in aperiodic])[0][0] == "⋯"


def test_a_table_without_a_call_is_swept():
    tape = calling()
    columns = {name: column[:3] if name in ("op", "a", "b", "value") else column
               for name, column in tape.columns().items()}  # fmt: skip
    columns["call_operands"] = columns["call_operands"][:0]
    unused = Tape.from_columns(columns, [1], [], tape.blocks)
    tg.check(unused)
    assert len(float_workspace(unused)) == 4
