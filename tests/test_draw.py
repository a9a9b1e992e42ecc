"""Drawings: what the text for Graphviz holds, what is folded, and what happens without Graphviz."""

import re
import shutil
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from drawn import Parsed, parsed, tape_of

import tapegrad as tg
from tapegrad.drawing.names import MOST_CHARACTERS
from tapegrad.errors import GraphvizError, StructureError, TapegradError
from tapegrad.record.nesting import recording

has_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot is missing")


# --- values, adjoints, names ------------------------------------------------------------------


def test_values_and_adjoints_of_every_node():
    graph = parsed(lambda x, y: np.sin(x) * y, 0.5, 3.0)
    sin, cos = np.sin(0.5), np.cos(0.5)
    assert graph.labels[graph.named("x")] == ["x", "0.5", f"∂ {3 * cos:.4g}"]
    assert graph.labels[graph.named("y")] == ["y", "3", f"∂ {sin:.4g}"]
    assert graph.labels[graph.named("sin")] == ["sin", f"{sin:.4g}", "∂ 3"]
    assert graph.labels[graph.named("×")] == ["×", f"{3 * sin:.4g}", "∂ 1"]
    assert graph.labels[graph.named("result")] == ["result", f"{3 * sin:.4g}", "∂ 1"]


def test_no_adjoints_when_not_wanted_or_of_several_outputs():
    assert "∂" not in tg.draw(lambda x: x * x, 3.0, adjoints=False).to_dot()
    assert "∂" not in tg.draw(lambda x: (x * x, x + 1), 3.0).to_dot()


def test_seeds_have_the_structure_of_the_result_or_are_a_vector():
    def f(x):
        return {"a": x * x, "b": x * np.array([1.0, 2.0])}

    structured = tg.draw(f, 3.0, seeds={"a": 1.0, "b": np.array([10.0, 100.0])})
    assert Parsed(structured).labels["v1"] == ["x", "3", "∂ 216"]
    assert tg.draw(f, 3.0, seeds=np.array([1.0, 10.0, 100.0])).to_dot() == structured.to_dot()
    with pytest.raises(StructureError, match="2 seeds for 3 outputs"):
        tg.draw(f, 3.0, seeds=[1.0, 2.0])


def test_adjoints_match_the_gradient_at_every_input():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(7)

    def f(x):
        return np.sum(np.exp(x[1:]) / (1 + x[:-1] ** 2)) + np.maximum(x[0], x[3])

    graph = parsed(f, x)
    for k, slope in enumerate(tg.grad(f)(x)):
        assert graph.labels[graph.named(f"x[{k}]")][2] == f"∂ {slope:.4g}".replace("-", "−")


class Pair(NamedTuple):
    left: float
    right: float


@dataclass
class State:
    k: float
    x: np.ndarray


def test_inputs_are_named_by_the_signature_and_the_structure():
    def f(x, table, pair, state, *rest):
        return x

    table = {"w": [1.0, 2.0], 3: np.ones((2, 2)), "n": 7, "empty": np.ones((0, 2))}
    args = (1.0, table, Pair(1.0, 2.0), State(1.0, np.ones(1)), 4.0, (5.0,))
    assert parsed(f, *args).titles("v") == [
        "x", "table['w'][0]", "table['w'][1]", "table[3][0, 0]", "table[3][0, 1]",
        "table[3][1, 0]", "table[3][1, 1]", "pair.left", "pair.right", "state.k", "state.x[0]",
        "rest[0]", "rest[1][0]",
    ]  # fmt: skip


def test_outputs_are_named_by_the_function_and_the_structure():
    def model(x):
        return {"loss": x * x, "parts": (x, np.stack([x, x + 1.0])), "note": "text"}

    names = ["model['loss']", "model['parts'][0]", "model['parts'][1][0]", "model['parts'][1][1]"]
    assert parsed(model, 2.0).titles("y") == names


def test_functions_without_a_signature_or_a_name():
    assert parsed(np.hypot, 3.0, 4.0).labels["y0"] == ["hypot", "5", "∂ 1"]

    class Callable:
        def __call__(self, x):
            return x * x

    assert parsed(Callable(), 3.0).titles() == ["x", "×", "result"]


def test_derivatives_can_be_drawn():
    graph = parsed(tg.grad(lambda x: x**3), 2.0)
    assert graph.labels["v1"] == ["x", "2", "∂ 12"]


@pytest.mark.parametrize("key", ['"', "<B>&amp;", "a\nb", "\\", "}", "\ud800", "é", "[x];", "-->"])
def test_special_characters_in_names(key):
    graph = parsed(lambda d: d[key] * 2.0, {key: 3.0})
    assert graph.titles("v")[0] == f"d[{key!r}]"


def test_long_names_are_shortened_and_keep_their_ends():
    (title, *_) = parsed(lambda d: d["k" * 1000][1], {"k" * 1000: [1.0, 2.0]}).titles("v")
    assert len(title) == MOST_CHARACTERS
    assert title.endswith("'][0]")


# --- operations, constants, guards ------------------------------------------------------------


def test_a_caption_explains_hollow_arrows_where_there_are_any():
    note = "hollow arrow: right operand"
    assert note in tg.draw(lambda x, y: x - y, 3.0, 2.0).to_dot()
    assert note not in tg.draw(lambda x, y: x * y, 3.0, 2.0).to_dot()


def test_operands_of_what_does_not_commute_are_marked():
    graph = parsed(lambda x, y: (x - y) / (x * y), 3.0, 2.0)
    for title in ("−", "/"):
        (left, first), (right, second) = graph.into(graph.named(title))
        assert "arrowhead=normal" in first
        assert "arrowhead=onormal" in second
    assert [left, right] == [graph.named("−"), graph.named("×")]
    assert all(not attributes for _, attributes in graph.into(graph.named("×")))


def test_kinds_of_nodes_differ_in_shape_or_outline():
    def f(x):
        return x * 2.0 if x > 0.0 else x

    graph = parsed(f, 3.0)
    outlines = {
        name[0] + ("x" if graph.labels[name][0] == "x" else ""): re.sub(r"\w*color=\S*", "", style)
        for name, style in graph.styles.items()
    }
    outlines["fold"] = parsed(np.sum, np.ones(100)).styles["v2"]
    assert len(set(outlines.values())) == len(outlines) == 6


def test_guards_show_what_was_read_and_where():
    def f(x):
        if x > 1.0:
            return x * int(x)
        return x

    graph = parsed(f, 2.5)
    assert graph.titles("g") == ["is True", "is 2"]
    assert all("test_draw.py:" in graph.labels[name][1] for name in graph.labels if name[0] == "g")


def test_several_guards_of_one_slot_are_one_node():
    def f(x):
        c = x < 5.0
        return x * (bool(c) + bool(c) + bool(c))

    guards = tape_of(f, 2.5).guard_slot
    graph = parsed(f, 2.5)
    assert len(graph.titles("g")) == len(np.unique(guards)) == 1
    more = [line for line in graph.labels["g2"] if line.startswith("and ")]
    assert more == ([f"and {len(guards) - 1} more"] if len(guards) > 1 else [])


@pytest.mark.parametrize(("value", "text"), [
    (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "−inf"), (-0.0, "−0"), (1e-300, "1e−300"),
    (123456.0, "1.235e+05"),
])  # fmt: skip
def test_special_values(value, text):
    graph = parsed(lambda x: x * value, value)
    assert graph.labels["v1"][1] == text
    assert graph.titles("c") == [text]


# --- the ends of what can be drawn ------------------------------------------------------------


def test_an_empty_tape():
    assert parsed(lambda: None).labels == {}
    assert Parsed(tg.draw(tg.OpenTape().end())).labels == {}


def test_functions_without_an_active_output():
    graph = parsed(lambda x: 5.0, 2.0)
    assert graph.labels == {"v1": ["x", "2", "∂ 0"], "c0": ["5"], "y0": ["result", "5", "∂ 1"]}
    assert parsed(lambda x: "text", 2.0).titles() == ["x"]
    assert parsed(lambda x: x, 2.0).edges == [("v1", "y0", "")]


def test_a_result_that_is_returned_twice():
    graph = parsed(lambda x: (x, x), 2.0)
    assert [edge[:2] for edge in graph.edges] == [("v1", "y0"), ("v1", "y1")]


def test_a_tape_that_is_still_recorded():
    with recording() as tape:
        x = tape.input(2.0)
        tape.append(0, x, x, 4.0)
        assert Parsed(tg.draw(tape.so_far())).titles() == ["x0", "+"]


def test_a_drawing_made_while_recording():
    seen = []

    def f(x):
        seen.append(parsed(lambda y: x * y, x))
        return x * x

    assert tg.grad(f)(3.0) == 6.0
    assert seen[0].titles("v") == ["y", "captured", "×"]


def test_a_tape_numbers_inputs_and_outputs_as_its_listing_does():
    tape = tape_of(lambda x: np.sum(x * x), np.array([1.0, 2.0]))
    graph = Parsed(tg.draw(tape))
    assert graph.labels["v1"] == ["x0", "1", "∂ 2"]
    assert graph.titles("y") == ["y0"]
    assert Parsed(tg.draw(tape, seeds=[10.0])).labels["v2"] == ["x1", "2", "∂ 40"]


@pytest.mark.parametrize("limit", [-1, 0, 2])
def test_a_limit_too_small(limit):
    with pytest.raises(ValueError, match="limit"):
        tg.draw(lambda x: x, 1.0, limit=limit)


def test_a_tape_takes_no_arguments():
    tape = tape_of(lambda x: x * x, 3.0)
    with pytest.raises(TypeError, match="give no arguments"):
        tg.draw(tape, 3.0)


# --- saving and showing -----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".dot", ".gv", ".DOT"])
def test_the_text_is_saved_without_graphviz(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "graphviz", None)
    drawing = tg.draw(lambda x: x - 1.0, 3.0)
    drawing.save(tmp_path / f"graph{suffix}")
    assert (tmp_path / f"graph{suffix}").read_text(encoding="utf-8") == drawing.to_dot()


@pytest.mark.parametrize("missing", ["package", "program"])
def test_without_graphviz_the_error_says_what_to_install(tmp_path, monkeypatch, missing):
    if missing == "package":
        monkeypatch.setitem(sys.modules, "graphviz", None)
    else:
        pytest.importorskip("graphviz")
        monkeypatch.setenv("PATH", str(tmp_path))
    drawing = tg.draw(lambda x: x * x, 3.0)
    advice = r"(?s)pip install tapegrad\[draw\].*dot.*to_dot\(\)"
    with pytest.raises(GraphvizError, match=advice) as raised:
        drawing.save(tmp_path / "graph.svg")
    assert isinstance(raised.value, TapegradError)
    assert not (tmp_path / "graph.svg").exists()
    assert drawing._repr_svg_() is None
    assert drawing._repr_html_().startswith("<pre>slot")
    assert repr(drawing) == "<Drawing of <Tape: 2 records, 1 inputs, 1 outputs, 0 guards>>"
    assert str(drawing).startswith("slot")


def test_an_unknown_suffix(tmp_path):
    for name in ("graph.jpg", "graph", ".svg"):
        with pytest.raises(ValueError, match="the suffixes are"):
            tg.draw(lambda x: x, 1.0).save(tmp_path / name)


@has_dot
@pytest.mark.parametrize(("suffix", "start"), [
    (".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml"),
])  # fmt: skip
def test_images(tmp_path, suffix, start):
    pytest.importorskip("graphviz")
    path = tmp_path / f"graph{suffix}"
    tg.draw(lambda x: np.sum(x * x), np.ones(1000)).save(str(path))
    assert path.read_bytes().startswith(start)


@has_dot
def test_a_notebook_shows_the_picture_with_its_values():
    pytest.importorskip("graphviz")
    drawing = tg.draw(lambda d: d['<"&\\>'] * np.nan, {'<"&\\>': 3.0})
    picture = drawing._repr_svg_()
    assert "<svg" in picture
    assert "nan" in picture
    assert drawing._repr_html_() is None
