"""Plain things that a function leaves (flags, counts, texts, arrays) are those of the last call."""

from __future__ import annotations

import collections
import copy
import dataclasses
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg

A, B = np.array([1.0, 2.0]), np.array([3.0, 4.0])
POINTS = (1.0, 3.0, -1.0, 1.0, 1.0, -1.0, 3.0, -2.0, 3.0, 1.0)


@dataclasses.dataclass
class Part:
    mode: str = "none"
    n: int = 0


class Slotted:
    __slots__ = ("mode", "n")

    def __init__(self):
        self.n = 0


class Model:
    total, tag = 0, "none"

    def __init__(self):
        self.n, self.k, self.share = 0, 0, 1.0
        self.calls, self.marks, self.scores = [0, 5], [], [1.0]
        self.table, self.counter = {"mode": "none"}, collections.Counter()
        self.groups = collections.defaultdict(int)
        self.seen, self.recent = set(), collections.deque(maxlen=2)
        self.part, self.slotted, self.parts = Part(), Slotted(), [Part(), Part()]
        self.counts, self.flags = np.zeros(3, int), np.zeros(2, bool)

    @property
    def side(self):
        return self._side

    @side.setter
    def side(self, value):
        self._side, self.n = value, self.n + 1

    def by_text(self, x):
        self.at = x
        self.mode = "right" if x > 2.0 else "left"
        return x * x

    def by_steps(self, x):
        self.k = 0
        y = abs(x)
        while y < 10.0:
            y, self.k = y * 2.0, self.k + 1
        return y * x

    def by_flag(self, x):
        self.ready, self.is_positive, self.whole = True, bool(x > 0.0), int(x)
        self.rounded, self.first = round(x), np.argmax(np.array([x, -x]))
        return x * x

    def by_one_branch(self, x):
        if x > 2.0:
            self.mode = "large"
        return x * x

    def by_deletion(self, x):
        if x > 0.0:
            self.mark = "here"
        elif hasattr(self, "mark"):
            del self.mark
        return x * x

    def by_count(self, x):
        self.n += 1
        if x < 0.0:
            self.n += 2
        return x * x

    def by_reset_count(self, x):
        if x < 0.0:
            self.n = 0
        self.n += 1
        return x * x

    def by_class_count(self, x):
        Model.total += 1
        Model.tag = "low" if x < 2.0 else "high"
        self.n -= 3
        return x * x

    def by_entries(self, x):
        self.calls[0] += 1
        self.counter["all"] += 1
        self.groups["all"] += 1
        self.counts[1] += 1
        return x * x

    def by_chosen_entry(self, x):
        self.counter["negative" if x < 0.0 else "positive"] += 2
        return x * x

    def by_entry(self, x):
        self.table["mode"] = "neg" if x < 0.0 else "pos"
        self.table.update(last="neg" if x < 0.0 else "pos")
        return x * x

    def by_appended(self, x):
        if x < 0.0:
            self.marks.append("negative")
            self.marks.append([1, 2])
        self.scores.extend([x, 7.0, x * x, "end"])
        self.recent.append("neg" if x < 0.0 else "pos")
        return x * x

    def by_cleared(self, x):
        self.marks.clear()
        self.marks.extend(["negative"] if x < 0.0 else ["positive", 1.0, x])
        return x * x

    def by_inserted(self, x):
        self.marks.insert(0, "neg" if x < 0.0 else "pos")
        return x * x

    def by_added(self, x):
        self.seen.add("neg" if x < 0.0 else "pos")
        return x * x

    def by_objects(self, x):
        self.part.mode = self.slotted.mode = "neg" if x < 0.0 else "pos"
        self.part.n += 1
        self.slotted.n += 1
        self.parts[1].mode = "low" if x < 2.0 else "high"
        return x * x

    def by_property(self, x):
        self.side = "neg" if x < 0.0 else "pos"
        return x * x

    def by_array(self, x):
        self.w = A if x > 0.0 else B
        self.made = np.array([1.0, 2.0]) if x > 2.0 else [3.0, [4]]
        self.flags[0] = x > 2.0
        return x * self.w[0]

    def by_text_of_before(self, x):
        if x < 0.0:
            self.tag += "-"
        self.tag += "."
        return x * x

    def by_part_of_before(self, x):
        self.share *= 0.5
        self.share += 0.1
        return x * x

    def by_read(self, x):
        self.n += 1
        return x * self.n

    def by_setattr(self, x):
        setattr(self, "mode", "neg" if x < 0.0 else "pos")  # noqa: B010
        return x * x

    def by_popped(self, x):
        self.marks.append("neg" if x < 0.0 else "pos")
        if len(self.marks) > 2:
            self.marks.pop(0)
        return x * x

    def by_mixture(self, x):
        self.pair = (x, "neg" if x < 0.0 else "pos", [x, 1])
        self.made = Part("neg" if x < 0.0 else "pos", 3)
        return x * x


def state(model):
    """What there is in a model, compared by what it reads as."""
    part = {name: getattr(model.slotted, name, None) for name in Slotted.__slots__}
    return repr((vars(model) | {"slotted": part}, Model.total, Model.tag)).replace("np.", "")


WAYS = {
    "grad": lambda f: tg.grad(f),
    "never": lambda f: tg.value_and_grad(f, compile="never"),
    "now": lambda f: tg.value_and_grad(f, compile="now"),
    "handle": lambda f: handle(f),
    "jacobian": lambda f: tg.jacobian(f),
    "second": lambda f: tg.grad(tg.grad(f)),
    "jvp": lambda f: lambda x: tg.jvp(f, (x,), (1.0,)),
    "hvp": lambda f: along_one(tg.hvp(f)),
}
KINDS = [name for name in vars(Model) if name.startswith("by_")]


def along_one(product):
    return lambda x: product(x, 1.0)


def handle(f):
    """Return machine code's gradient, made at the first point."""
    made = []
    of_array = tg.value_and_grad(lambda v: f(v[0]))

    def derivative(x):
        if not made:
            made.append(of_array.compiled(np.array([x])))
        return made[0](np.array([x]))

    return derivative


@pytest.fixture(autouse=True)
def model_class(monkeypatch):
    monkeypatch.setattr(Model, "total", 0)
    monkeypatch.setattr(Model, "tag", "none")


def check(name, way, points=POINTS, between=lambda model: None):
    """Compare what is left with what the function leaves when it's simply called."""
    mine, theirs = Model(), Model()
    derivative = WAYS[way](getattr(mine, name))
    for x in points:
        shared = Model.total, Model.tag
        getattr(theirs, name)(x)
        after = Model.total, Model.tag
        wanted = state(theirs)
        Model.total, Model.tag = shared
        derivative(x)
        assert state(mine).replace("Active", "") == wanted, (x, way)
        assert (Model.total, Model.tag) == after
        between(mine)
        between(theirs)
    return derivative


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("way", ["grad", "now", "second", "hvp"])
def test_what_is_left_is_what_a_call_of_the_function_leaves(name, way):
    check(name, way)


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_derivative_leaves_it(way):
    for name in ("by_text", "by_count", "by_appended", "by_one_branch"):
        check(name, way)


def reset(model):
    """Change what is there between two calls, as a user may."""
    model.n, model.mode, model.ready, model.calls[0] = 100, "user's", False, 50
    model.marks[:] = ["user's"]
    model.seen.clear()
    model.table["mode"] = model.table["last"] = "user's"
    model.part.mode = model.slotted.mode = model._side = "user's"
    model.counts[:] = 9


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("way", ["grad", "now"])
def test_it_is_left_again_where_it_was_changed_between_the_calls(name, way):
    check(name, way, between=reset)


REPLAYED = ["by_text", "by_flag", "by_count", "by_class_count", "by_entries", "by_appended",
            "by_added"]  # fmt: skip


@pytest.mark.parametrize("name", REPLAYED)
def test_such_functions_are_replayed(name):
    model, ticks = Model(), new_ticks()
    method = getattr(model, name)
    model.recent = collections.deque()

    def f(x):
        ticks.release()
        return method(x)

    derivative = tg.grad(f)
    for x in (1.6, -1.6, 1.7, -1.7) * 3:
        derivative(x)
    before = ran(ticks)
    assert before <= 4
    for x in (1.7, -1.6, 1.8, -1.9) * 10:
        derivative(x)
    assert ran(ticks) == before


def test_a_wrong_number_of_another_derivative_is_none():
    class Fit:
        def misfit(self, x):
            self.side = "right" if x > 2.0 else "left"
            return (x - 2.0) ** 2

        def penalty(self, x):
            return x if self.side == "left" else 100.0 * x

    fit = Fit()
    misfit, penalty = tg.value_and_grad(fit.misfit), tg.grad(fit.penalty)
    found = []
    for x in (1.0, 3.0, 1.0, 3.0):
        misfit(x)
        found.append(penalty(x))
    assert found == [1.0, 100.0, 1.0, 100.0]


def test_globals_and_closure_variables_are_left(make_module):
    module = make_module(
        "tg_left_plain",
        "last, n, history = None, 0, []\n"
        "def f(x):\n"
        "    global last, n\n"
        "    last = 'neg' if x < 0 else 'pos'\n"
        "    n += 1\n"
        "    if x < 0:\n        history.append('negative')\n"
        "    return x * x\n",
    )
    steps = 0

    def count(x):
        nonlocal steps
        steps, y = 0, x
        while y < 10.0:
            y, steps = y * 2.0, steps + 1
        return y

    derivative, counting = tg.grad(module.f), tg.grad(count)
    found = []
    for x in (1.0, -1.0, 1.0, -2.0):
        derivative(x)
        counting(abs(4.0 * x))
        found.append((module.last, steps))
    assert found == [("pos", 2), ("neg", 2), ("pos", 2), ("neg", 1)]
    assert (module.n, module.history) == (4, ["negative"] * 2)


def test_a_memo_of_constants_is_filled_once_and_replayed():
    memo, ticks = {}, new_ticks()

    def f(x):
        ticks.release()
        if "k" not in memo:
            memo["k"] = np.linspace(1.0, 2.0, 2)
        return x * memo["k"][1]

    derivative = tg.grad(f)
    assert [derivative(float(x)) for x in range(6)] == [2.0] * 6
    assert ran(ticks) == 2
    memo.clear()
    assert derivative(1.0) == 2.0
    assert list(memo) == ["k"]


def test_a_thing_of_outside_is_left_itself_and_one_made_inside_anew():
    kept = SimpleNamespace(history=[])

    def f(x):
        kept.weights = A if x > 0.0 else B
        kept.path = ["start", [0]]
        return x * x

    derivative = tg.grad(f)
    for x in (1.0, -1.0, 2.0):
        derivative(x)
        assert kept.weights is (A if x > 0.0 else B)
        assert kept.path == ["start", [0]]
        kept.path[1].append(x)
        kept.history.append(kept.path)
    assert kept.history == [["start", [0, x]] for x in (1.0, -1.0, 2.0)]


def test_another_list_in_its_place_is_the_one_that_grows():
    tables = {"a": []}

    class Kept:
        def __init__(self):
            self.history = []

        def f(self, x):
            self.history.append("a")
            tables["a"].append("z")
            return x * x

    model = Kept()
    derivative = tg.grad(model.f)
    derivative(1.0)
    derivative(2.0)
    old, model.history, tables["a"] = (model.history, tables["a"]), [], []
    for x in (3.0, 1.0, 2.0):
        derivative(x)
    assert (model.history, tables["a"]) == (["a"] * 3, ["z"] * 3)
    assert old == (["a"] * 2, ["z"] * 2)


def test_a_count_goes_on_where_a_call_failed():
    model = SimpleNamespace(n=0)

    def f(x):
        model.n += 1
        if x > 2.0:
            raise ValueError("too large")
        return x * x

    derivative = tg.grad(f)
    for x in (1.0, 3.0, 1.0, 3.0, 1.0):
        if x > 2.0:
            with pytest.raises(ValueError, match="too large"):
                derivative(x)
        else:
            derivative(x)
    assert model.n == 5


def test_two_copies_of_a_derivative_leave_things_in_their_own_objects():
    first = Model()
    derivative = tg.grad(first.by_count)
    derivative(1.0)
    other = copy.deepcopy(derivative)
    for x in (1.0, -1.0, 2.0):
        other(x)
    derivative(1.0)
    assert first.n == 2
    assert other.recorded.function.__self__.n == 1 + 5


def test_threads_count_every_call():
    model = Model()
    derivative = tg.grad(model.by_count)
    derivative(1.0)
    derivative(1.0)
    lock = threading.Lock()

    def work():
        for _ in range(50):
            with lock:
                derivative(1.0)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.n == 152


def test_what_is_changed_by_what_was_there_is_recorded_each_time_and_the_log_says_why(caplog):
    model = Model()
    derivative = tg.grad(model.by_text_of_before, compile="now")
    with caplog.at_level("INFO", "tapegrad"):
        for x in (1.0, -1.0, 1.0, 1.0):
            derivative(x)
    assert model.tag == "none.-..."
    lines = [r.getMessage() for r in caplog.records if "'tag', which it changes" in r.getMessage()]
    assert len(lines) == 2
    assert all("tapegrad.tap" in line for line in lines)
    assert len(derivative.recorded.recordings) == 2


def test_a_function_that_leaves_nothing_has_no_effects():
    def f(x):
        return x * x

    derivative = tg.grad(f)
    derivative(1.0)
    assert derivative.recorded.latest.left is None
    assert not derivative.recorded.latest.effects
