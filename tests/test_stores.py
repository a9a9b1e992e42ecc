"""What a recorded function makes of plain arrays from outside holds active numbers once it stores
into it; the arrays outside stay as they are."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import scipy.special
from numpy import ndarray
from outside import IDX, M, T, assert_slope

# --- what makes an array ------------------------------------------------------------------------


def doubled(array):
    return array * 2


NAMES = {"IDX": IDX, "M": M, "T": T, "copy": copy, "doubled": doubled, "functools": functools,
         "ndarray": ndarray, "np": np, "scipy": scipy}  # fmt: skip
FORMS = [
    "{T}.copy()", "{T} * 1", "{T} + 0", "-{T}", "+{T}", "abs({T})", "{T} / 2", "2.0 ** {T}",
    "{T} ** 2", "{T} @ np.eye(3)", "{T}[IDX]", "{T}[{T} > 0.1]", "{T}[np.array([0, 1, 1])]",
    "{T}.astype(float)", "{T}.T.copy()", "{T}[:]. copy()", "{T}[::-1].copy()[::-1]",
    "{T}.reshape(3, 1).copy()[:, 0]", "({T} * 2).reshape(3)", "{T}.clip(0.3, 0.8)",
    "{T}.round(1)", "{T}.cumsum()", "{T}.take(IDX)", "{T}.flatten()", "{T}.repeat(1)",
    "{T}.__mul__(3.0)", "{M}[1] * 1", "{M}[:, IDX][0]", "{M}.T[IDX, 1]", "{M}.sum(axis=0)",
    "{M}.mean(0)", "{M}.T.copy().T[1]", "np.exp({T})", "np.asarray({T} * 2)", "ndarray.copy({T})",
    "scipy.special.expit({T})", "copy.copy({T})", "copy.deepcopy({T})", "doubled({T})",
    "(lambda t: t * 2)({T})", "sum([{T}, {T}])", "next(iter([{T} * 2]))", "{T}.real * 2",
    "{T}.copy() if len({T}) == 3 else {T} * 2", "{T} * 1 if len({T}) == 2 else {T} * 2",
    "[{T} * 3][0]", "np.array([{T}, {T}])[0] * 1", "(z := {T} * 1)", "np.sort({T})[::-1]",
    "{T}.copy()[...]", "np.add.outer({T}, [0.0])[:, 0]", "functools.partial(doubled, {T})()",
]  # fmt: skip
WAYS = {
    "global": ("{body}", {"T": "T", "M": "M"}),
    "closure": ("def make(T1, M1):\n{body}\n    return function\nfunction = make(T, M)",
                {"T": "T1", "M": "M1"}),
    "attribute": ("def make():\n    class Model:\n        def __init__(self):\n"
                  "            self.T, self.M = T, M\n        def function(self, x):\n"
                  "            return run(self, x)\n    return Model().function\n"
                  "{body}\nfunction = make()", {"T": "self.T", "M": "self.M"}),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_made_of_an_outside_array_is_stored_into(form, way):
    frame, names = WAYS[way]
    signature = "run(self, x)" if way == "attribute" else "function(x)"
    body = (
        f"def {signature}:\n    y = {form.format(**names)}\n    y[0] = x[0] * x[1]\n"
        "    y[1:] *= x[2]\n    y += 1.0\n    return y[0] + 2.0 * y[1] + 3.0 * y[2]\n"
    )
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    space = dict(NAMES)
    exec(frame.format(body=indented if way == "closure" else body), space)
    made = np.array(eval(form.format(T="T", M="M"), dict(NAMES)))
    assert_slope(space["function"], lambda x: [x[1], x[0], 2.0 * made[1] + 3.0 * made[2]])


# --- how it's stored into and reached -------------------------------------------------------------


def by_mask(x):
    y = T * 1
    y[T > 0.3] = x[1:] * x[0]
    return np.sum(y)


def by_slices_of_a_matrix(x):
    y = M.T.copy()
    y[0, :] = x[:2]
    y[1:, 1] += x[2]
    return np.sum(y**2)


def in_place(x):
    y = T + 0
    y += x
    y *= 2.0
    y -= x
    return np.sum(y**2)


def through_a_view(x):
    y = -T
    z = y[1:]
    z[0] = x[1]
    y[2] = x[0]
    return z[0] * z[1] + y[0]


def through_a_view_of_a_view(x):
    y = M * 1
    row = y.T.reshape(3, 2)[2]
    row[1] = x[0] ** 2
    return y[1, 2] * x[1]


def by_two_names(x):
    y = T.copy()
    z = y
    z[0] = x[0]
    y[1] = x[1]
    return z[1] * y[0]


def by_targets_of_one_statement(x):
    y, z = T.copy(), -T
    v = w = T * 1
    y[0] = x[0]
    z[1] = x[1]
    w[2] = x[2]
    return y[0] * z[1] * v[2]


def rows_of_a_matrix(x):
    y = M.copy()
    for k, row in enumerate(y):
        row[0] = x[k]
    for row in y:
        row[1] = x[2]
    return np.sum(y**2)


def of_a_list(x):
    rows = [T.copy() for _ in range(2)]
    rows.append(T * 3)
    rows[0][1] = x[0]
    rows[2][1] = x[2]
    return rows[0][1] * rows[1][1] * rows[2][1]


def of_a_written_list(x):
    rows = [T * 1, T * 2]
    for row in rows:
        row[0] = x[0]
    return rows[0][0] * rows[1][0] * rows[1][1]


def of_a_dictionary(x):
    found = {}
    found["y"] = T * 1
    found["y"][1] = x[1] ** 2
    written = {
        "u": T.copy(),
        "v": [T * 2],
    }
    one = {"w": T * 3}
    made = {name: T * k for k, name in enumerate("ab", 5)}
    written["u"][0], written["v"][0][1], one["w"][2] = x
    made["b"][0] = x[0]
    assert made["a"][0] == 1.0
    return found["y"][1] * written["u"][0] * written["v"][0][1] * one["w"][2] + made["b"][0]


def by_a_method(x):
    y, z, w = T.copy(), T[IDX], T * 1
    y.fill(x[0])
    z.flat[1] = x[1]
    w.put([2], x[2])
    return y[1] * z[1] * w[2]


def by_functions(x):
    y, z, w = T * 1, T * 2, M[:, :2].copy()
    np.multiply(x, 2.0, out=y)
    np.copyto(z, x)
    np.fill_diagonal(w, x[1])
    return y[0] * z[1] + w[0, 0] * w[1, 1]


def given_to_a_function(x):
    np.fill_diagonal(y := M[:, :2].copy(), x[1])
    return np.sum(y)


def in_branches(x):
    y = None
    try:
        y = T.copy()
        y[0] = x[0]
        raise KeyError
    except KeyError:
        y = T * 2
        y[1] = x[1]
    finally:
        z = T + 1
        z[2] = x[2]
    with np.errstate(all="ignore"):
        w = -T
        w[0] = x[0]
    return y[1] * z[2] * w[0]


def in_a_loop(x):
    total = 0.0
    for k in range(3):
        y = T.copy()
        while y[k] < 0.0 or k > 5:
            y = T * 3
        y[k] = x[k] * k
        total = total + np.sum(y)
    return total


def in_a_condition(x):
    if (y := T * 2) is not None and len(y):
        y[0] = x[0]
    return y[0] * y[1]


def chosen_later(x):
    y = T.copy() if x[0] < 9.0 else T
    y[0] = x[0] ** 2
    return y[0] * y[2]


def by_a_choice(x):
    y, z, w = T.copy(), T * 1, T * 2
    y[0] = x[0] if x[0] < 9.0 else 0.0
    z[1] += x[1] if x[0] < 9.0 else 1.0
    w += x if x[0] < 9.0 else 1.0
    return y[0] * z[1] * w[2]


def of_no_dimensions(x):
    y = ndarray.copy(T[1:2].reshape(()))
    z = ndarray.copy(M[:1, :1].reshape(()))
    z[()] = x[0]
    z[...] *= x[1]
    return z[()] * y


def of_four_dimensions(x):
    y = M.reshape(1, 2, 3, 1) * np.ones((2, 1, 1, 1))
    y[1, 0, :, 0] = x
    y[:, 1, 2] = x[0]
    return np.sum(y**2)


def of_nothing(x):
    y = T[T > 5.0]
    y[:] = x[:0]
    z = T[:1] * 1
    z[-1] = x[2]
    return np.sum(y) + z[0] ** 2


HOW = [
    (by_mask, lambda x: [x[1] + x[2], x[0], x[0]]),
    (by_slices_of_a_matrix, lambda x: [
        2 * x[0], 2 * x[1], 2 * (x[2] + 2.0) + 2 * (x[2] + 3.0)]),
    (in_place, lambda x: 2 * (2 * T + x)),
    (through_a_view, lambda x: [x[1], x[0], 0.0]),
    (through_a_view_of_a_view, lambda x: [2 * x[0] * x[1], x[0] ** 2, 0.0]),
    (by_two_names, lambda x: [x[1], x[0], 0.0]),
    (by_targets_of_one_statement, lambda x: [x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
    (rows_of_a_matrix, lambda x: [2 * x[0], 2 * x[1], 4 * x[2]]),
    (of_a_list, lambda x: [0.5 * x[2], 0.0, 0.5 * x[0]]),
    (of_a_written_list, lambda x: [2 * x[0], 0.0, 0.0]),
    (of_a_dictionary, lambda x: [
        x[1] ** 3 * x[2] + 1.0, 3 * x[0] * x[1] ** 2 * x[2], x[0] * x[1] ** 3]),
    (by_a_method, lambda x: [x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
    (by_functions, lambda x: [2 * x[1], 2 * x[0] + 2 * x[1], 0.0]),
    (given_to_a_function, lambda x: [0.0, 2.0, 0.0]),
    (in_branches, lambda x: [x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
    (in_a_loop, lambda x: [0.0, 1.0, 2.0]),
    (in_a_condition, lambda x: [1.0, 0.0, 0.0]),
    (chosen_later, lambda x: [1.8 * x[0], 0.0, 0.0]),
    (by_a_choice, lambda x: [
        (0.5 + x[1]) * (1.8 + x[2]), x[0] * (1.8 + x[2]), x[0] * (0.5 + x[1])]),
    (of_no_dimensions, lambda x: [0.5 * x[1], 0.5 * x[0], 0.0]),
    (of_four_dimensions, lambda x: [6 * x[0], 2 * x[1], 2 * x[2]]),
    (of_nothing, lambda x: [0.0, 0.0, 2 * x[2]]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "slope"), HOW, ids=lambda f: f.__name__)
def test_a_store_is_recorded_however_it_is_written(function, slope):
    assert_slope(function, slope)


# --- what is made or stored into by another function ----------------------------------------------


def made_of_exponentials():
    return np.exp(T)


def made_of_three():
    return T.copy(), [T * 2, 3.0], {"w": T * 1}


def store_first(y, value):
    y[0] = value


def store_through_another(y, value):
    store_first(y, value)


def filled(y, value):
    y[:] = value
    return y


def through_helpers(x):
    y = made_of_exponentials()
    y[0] = x[0]
    z, (w, three), named = made_of_three()
    z[1] = x[1]
    store_through_another(w, x[2])
    named["w"][1] += x[1]
    return y[0] * z[1] * w[0] * three + named["w"][1]


def given_a_fresh_one(x):
    return filled(T.copy(), x[0])[1] * filled(np.exp(T), x[1])[2]


def in_a_nested_function(x):
    y = T.copy()

    def store(value):
        y[1] = value

    def inner():
        z = T * 1
        z[0] = x[1]
        return z

    store(x[0] ** 2)
    return y[1] * inner()[0]


def in_a_comprehension(x):
    return sum([filled(T * k, x[k])[0] * k for k in range(3)])


def growing(x):
    y = T.copy()
    for k in range(3):
        y[k] = x[k]
        yield y


def from_a_generator(x):
    return sum(y[0] * y[1] for y in growing(x))


class Model:
    def __init__(self):
        self.initial = T

    def reset(self):
        self.state = self.initial.copy()

    def put(self, y, value):
        y[1] = value

    def run(self, x):
        self.reset()
        self.state[0] = x[0]
        self.put(self.state, x[1])
        self.state *= x[2]
        return self.state[0] * self.state[1]


model = Model()

FUNCTIONS = [
    (through_helpers, lambda x: [3 * x[1] * x[2], 3 * x[0] * x[2] + 1, 3 * x[0] * x[1]]),
    (given_a_fresh_one, lambda x: [x[1], x[0], 0.0]),
    (in_a_nested_function, lambda x: [2 * x[0] * x[1], x[0] ** 2, 0.0]),
    (in_a_comprehension, lambda x: [0.0, 1.0, 2.0]),
    (from_a_generator, lambda x: [0.5 + 2 * x[1], 2 * x[0], 0.0]),
    (model.run, lambda x: [x[1] * x[2] ** 2, x[0] * x[2] ** 2, 2 * x[0] * x[1] * x[2]]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "slope"), FUNCTIONS, ids=lambda f: f.__name__)
def test_what_another_function_makes_or_stores_into_is_recorded(function, slope):
    assert_slope(function, slope)


def test_ndarray_by_the_name_it_was_imported_by_is_stored_into():
    def function(x):
        from numpy import ndarray as made

        y, z = ndarray(3), made((1, 2), float)
        y[:] = x**2
        z[0] = y[1:]
        return y[0] * z[0, 1]

    assert_slope(function, lambda x: [2 * x[0] * x[2] ** 2, 0.0, 2 * x[2] * x[0] ** 2])
