"""Programs that were once hard to roll, to try or to compute to the last bit, and their points."""

import math

import numpy as np

# --- rolling -----------------------------------------------------------------------------------


def option_on_a_tree(x):
    up, down, q = x
    values = [1.0 - up**j * down ** (20 - j) for j in range(21)]
    for i in range(19, -1, -1):
        values = [
            max(q * values[j + 1] + (1.0 - q) * values[j], 1.0 - up**j * down ** (i - j))
            for j in range(i + 1)
        ]
    return values[0]


def triangles_that_are_thrown_away(x):
    a = np.ones(5) * x[3]
    for i in range(31):
        for j in range(5):
            for k in range(j + 1):
                max(a[k] - 0.25, 0.0) * 0.5
        a[1] = math.sin(i % 5 * a[0])
    return a[1]


# --- NaN and infinity where nothing depends on it ----------------------------------------------


def nan_that_nothing_reads(x):
    total = 0.0
    for k in range(30):
        math.sin(math.nan + x[k])
        total += x[k] ** 2
    return total


def nan_that_a_branch_reads(x):
    total = 0.0
    for k in range(30):
        if math.sqrt(x[k] - 1.0) > 0.5:
            total += x[k]
        total += x[k] ** 2
    return total


def nan_that_is_not_chosen(x):
    total = 0.0
    for k in range(30):
        logarithm = math.log(x[k] - 1.0)
        total += np.where(x[k] > 1.0, logarithm, x[k] ** 2)
    return total


def nan_that_is_carried_on(x):
    total = carried = 0.0
    for k in range(30):
        carried = carried * 0.5 + math.sqrt(x[k] - 1.0)
        total += np.where(x[k] > 1.0, carried, x[k] ** 2)
    return total


def root_times_zero(x):
    total = 0.0
    for k in range(30):
        total += np.sqrt(x[k]) * (x[29 - k] * 0.0)
    return total


def root_below_a_maximum(x):
    total = 0.0
    for k in range(30):
        total += np.maximum(1.0, np.sqrt(x[k])) * x[k]
    return total


# --- the value's bits --------------------------------------------------------------------------


def bukin(x):
    return 100.0 * np.sqrt(np.abs(x[1] - 0.01 * x[0] ** 2)) + 0.01 * np.abs(x[0] + 10.0)


UP_TO_ONE = np.linspace(0.0, 0.9, 30)
HARD = {
    "option_on_a_tree": (option_on_a_tree, [[1.05, 0.95, 0.5], [1.06, 0.93, 0.55]]),
    "triangles_that_are_thrown_away": (
        triangles_that_are_thrown_away, [[1.858, -0.76, -0.068, -1.867, 1.215]]
    ),
    "nan_that_nothing_reads": (nan_that_nothing_reads, [UP_TO_ONE]),
    "nan_that_a_branch_reads": (nan_that_a_branch_reads, [UP_TO_ONE]),
    "nan_that_is_not_chosen": (nan_that_is_not_chosen, [UP_TO_ONE]),
    "nan_that_is_carried_on": (nan_that_is_carried_on, [UP_TO_ONE]),
    "root_times_zero": (root_times_zero, [UP_TO_ONE]),
    "root_below_a_maximum": (root_below_a_maximum, [UP_TO_ONE]),
    "bukin": (bukin, [[-9.0, 2.0], [-10.0, 1.0]]),
}  # fmt: skip
