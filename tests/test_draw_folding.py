"""Drawings of long tapes: what is folded, and how many nodes are left."""

import numpy as np
import pytest
from drawn import Parsed, parsed, tape_of

import tapegrad as tg


def decay(y, rate):
    for _ in range(1000):
        y = y - 0.01 * rate * y
    return y


def nested(x, c):
    total = 0.0
    for i in range(100):
        s = c * 1.5
        for _ in range(10 + i % 3):
            s = s * x + np.sin(c)
        total = total + np.exp(0.01 * s)
    return total


def rk4(x, v):
    def slope(x, v):
        return v, -x - 0.1 * v * v * v

    h = 0.01
    for _ in range(1000):
        a, b = slope(x, v)
        c, d = slope(x + h / 2 * a, v + h / 2 * b)
        e, f = slope(x + h / 2 * c, v + h / 2 * d)
        g, k = slope(x + h * e, v + h * f)
        x = x + h / 6 * (a + 2 * c + 2 * e + g)
        v = v + h / 6 * (b + 2 * d + 2 * f + k)
    return x


def scrambled(x):
    rng = np.random.default_rng(0)
    numbers = [x, x + 0.5]
    for _ in range(10**5):
        i, j = rng.integers(0, len(numbers), 2)
        a, b = numbers[i], numbers[j]
        numbers.append([a + b, a * b, a - b, np.sin(a)][rng.integers(4)])
        numbers = numbers[-50:]
    return numbers[-1]


def test_a_short_tape_is_not_folded():
    graph = parsed(lambda x: np.sum(x * x), np.ones(20))
    assert graph.folds() == []
    assert len(graph.titles("v")) == 59


def test_a_sum_of_equal_terms():
    graph = parsed(lambda x: np.sum(x * x), np.arange(1000.0))
    assert graph.folds() == [["⋯ ×998", "x[1] … x[998]"], ["⋯ ×998", "×"], ["⋯ ×997", "+"]]
    kept = [title for title in graph.titles() if not title.startswith("⋯")]
    assert kept == ["x[0]", "x[999]", "×", "×", "+", "+", "result"]
    assert graph.labels[graph.named("x[999]")] == ["x[999]", "999", "∂ 1998"]


def test_a_loop():
    drawing = tg.draw(decay, 2.0, 0.7)
    graph = Parsed(drawing)
    assert graph.folds() == [["⋯ ×998", "×  −", "3 records each"]]
    assert graph.titles("v") == ["y", "rate", "×", "×", "−", "⋯ ×998", "×", "×", "−"]
    assert 'label="1 of 1,000"' in drawing.to_dot()
    assert 'label="1,000 of 1,000"' in drawing.to_dot()
    fold = graph.named("⋯ ×998")
    carried = [(s, t) for s, t, attributes in graph.edges if "dashed" in attributes]
    assert [s for s, t in carried if t == fold] == ["v5"]  # y, once an iteration
    assert [t for s, t in carried if s == fold] == ["v3001", "v3002"]
    assert len(carried) == 3


def test_a_runge_kutta_loop():
    (fold,) = parsed(rk4, 1.0, 2.0).folds()
    n = len(tape_of(rk4, 1.0, 2.0)) - 3
    assert fold[0] == "⋯ ×999"
    assert fold[2] == f"{n // 1000} records each"
    assert n % 1000 == 0


def test_nested_loops_with_an_inner_loop_of_varying_length():
    folds = parsed(nested, 0.5, 0.3).folds()
    assert sorted(fold[0] for fold in folds) == ["⋯ ×8", "⋯ ×8", "⋯ ×98"]
    outer = next(fold for fold in folds if fold[0] == "⋯ ×98")
    n = sum(1 + 3 * (10 + i % 3) + 3 for i in range(1, 99))
    assert outer[1:] == ["×  sin  +  exp", f"{n:,} records"]


def test_what_stays_in_an_iteration_is_not_marked_as_carried():
    def f(x):
        A = np.arange(144.0).reshape(12, 12) / 144
        for _ in range(50):
            x = np.tanh(A @ x)  # a loop that begins where its first inner loop does
        return x[0]

    graph = parsed(f, np.ones(12))
    solid = [(s, t) for s, t, attributes in graph.edges if "dashed" not in attributes]
    tanhs = [name for name, lines in graph.labels.items() if lines[0] == "tanh"]
    assert tanhs
    assert all(any(t == tanh for _, t in solid) for tanh in tanhs)


def test_loops_that_differ_are_not_folded_together():
    def f(x):
        for _ in range(100):
            x = x * x
        for _ in range(100):
            x = 0.5 * x
        for _ in range(100):
            x = x + 1.0
        return x

    assert [fold[:2] for fold in parsed(f, 0.5).folds()] == [
        ["⋯ ×98", "×"], ["⋯ ×98", "×"], ["⋯ ×98", "+"]]  # fmt: skip


def test_inputs_of_different_arguments_are_not_folded_together():
    folds = parsed(lambda x, y: np.sum(x * y), np.ones(100), np.ones(100)).folds()
    assert [fold[1] for fold in folds[:2]] == ["x[1] … x[98]", "y[1] … y[98]"]


def test_outputs_of_a_fold_are_folded():
    graph = parsed(lambda x: 2.0 * x, np.ones(1000))
    assert graph.titles("y") == ["result[0]", "⋯ ×998", "result[999]"]


def test_guards_behind_a_fold_are_counted():
    def f(x):
        while x < 1000.0:
            x = x + 1.0
        return x

    (fold,) = parsed(f, 0.5).folds()
    assert fold == ["⋯ ×998", "<  +", "2 records each", "guards: 998"]


@pytest.mark.parametrize("limit", [3, 10, 60, 200])
@pytest.mark.parametrize("function", [scrambled, nested, rk4, decay])
def test_the_number_of_nodes_is_bounded(function, limit):
    args = (0.3,) if function is scrambled else (0.5, 0.3)
    graph = parsed(function, *args, limit=limit)
    assert len(graph.titles("v")) <= limit
    assert len(graph.titles()) <= 3 * limit + 2
    assert graph.named(function.__name__)


@pytest.mark.parametrize("limit", [3, 10, 60])
def test_every_record_is_drawn_or_behind_one_fold(limit):
    tape = tape_of(nested, 0.5, 0.3)
    graph = Parsed(tg.draw(tape, limit=limit))
    starts = sorted(int(name[1:]) for name in graph.labels if name[0] == "v")
    folds = {name for name, lines in graph.labels.items() if lines[0][0] == "⋯"}
    sizes = np.diff([*starts, len(tape)])
    assert starts[0] == 1
    assert all(n == 1 for n, start in zip(sizes, starts, strict=True) if f"v{start}" not in folds)


def test_a_drawing_is_the_same_every_time():
    texts = {tg.draw(scrambled, 0.3).to_dot() for _ in range(2)}
    assert len(texts) == 1
    assert tg.draw(nested, 0.5, 0.3).to_dot() == tg.draw(nested, 0.5, 0.3).to_dot()
