"""Blocks of a few kinds, functions that call them, and the same functions in plain NumPy."""

from __future__ import annotations

import numpy as np

from tapegrad.blocks import Block
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call


class Equal(Block):
    """A block that is equal to others of its class and `key`."""

    key: tuple = ()

    def __eq__(self, other):
        return type(other) is type(self) and (other.key, other.is_active) == (
            self.key,
            self.is_active,
        )

    def __hash__(self):
        return hash((type(self), self.key, self.is_active))


class Solve(Equal):
    """A solution, and the inverse as a hint for the pullback."""

    def __init__(self, n, is_active):
        super().__init__("solve", ((n, n), (n,)), ((n,), (n, n)), is_active)
        self.key = (n,)

    def value(self, operands):
        a, b = operands
        return np.linalg.solve(a, b), np.linalg.inv(a)

    def pullback(self, operands, results, adjoints):
        u = results[1].T @ adjoints[0]
        return (-np.outer(u, results[0]) if self.is_active[0] else None), u

    def recorded_pullback(self, operands, results, adjoints):
        u = solve(operands[0].T, adjoints[0])
        return (-np.outer(u, results[0]) if self.is_active[0] else None), u

    def pushforward(self, operands, results, tangents):
        a_dot, b_dot = tangents
        right = 0.0 if b_dot is None else b_dot
        right = right if a_dot is None else right - a_dot @ results[0]
        return solve(operands[0], right + np.zeros(len(operands[0]))), None


def solve(a, b):
    n = np.shape(a)[0]
    return call(lambda is_active: Solve(n, is_active), [a, b])[0]


class Polar(Equal):
    """Radius and angle of each of some vectors, which are two arrays, and how many are none."""

    def __init__(self, n, is_active):
        super().__init__("polar", ((n, 2),), ((n,), (n,), ()), is_active)
        self.key = (n,)

    def value(self, operands):
        (x,) = operands
        is_zero = np.count_nonzero(~x.any(axis=1))
        return np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0]), float(is_zero)

    def pullback(self, operands, results, adjoints):
        (x,), (r, *_), (r_bar, t_bar, _) = operands, results, adjoints
        u, v = x[:, 0], x[:, 1]
        return (
            np.stack(
                [(r_bar * u) / r - t_bar * v / r**2, (r_bar * v) / r + t_bar * u / r**2], axis=1
            ),
        )

    def pushforward(self, operands, results, tangents):
        (x,), (r, *_), (d,) = operands, results, tangents
        u, v = x[:, 0], x[:, 1]
        return (u * d[:, 0] + v * d[:, 1]) / r, (u * d[:, 1] - v * d[:, 0]) / r**2, None


def polar(x):
    r, t, none = call(lambda is_active: Polar(len(x), is_active), [x])
    if type(none) is ActiveArray:
        guard_all(none.tape, none.data["slot"].reshape(-1), none.data["value"].reshape(-1))
    return r, t


class Raising(Equal):
    """The square of a number that must not be negative; its derivative fails beyond 10."""

    def __init__(self, is_active):
        super().__init__("raising", ((),), ((),), is_active)

    def value(self, operands):
        if operands[0] < 0.0:
            raise ValueError("no negative number")
        return (operands[0] ** 2,)

    def pullback(self, operands, results, adjoints):
        if operands[0] > 10.0:
            raise RuntimeError("too large to be differentiated")
        if operands[0] > 5.0:
            raise KeyboardInterrupt
        return (2.0 * operands[0] * adjoints[0],)

    def pushforward(self, operands, results, tangents):
        return (2.0 * operands[0] * tangents[0],)


def raising(x):
    return call(Raising, [x])[0]


# --- functions ----------------------------------------------------------------------------------


def plain_polar(x):
    return np.sqrt(x[:, 0] ** 2 + x[:, 1] ** 2), np.arctan2(x[:, 1], x[:, 0])


def straight(x, solve=solve, polar=polar):
    a = np.outer(x[:3], x[1:4]) + 3.0 * np.eye(3)
    y = solve(a, np.sin(x[:3]))
    r, t = polar(np.stack([y, x[1:4]], axis=1))
    return (r * t).sum() + y[0] * r[2]


def loop(x, solve=solve, polar=polar):
    """A filter: a state that goes through a block in each iteration, with data."""
    state, total = np.stack([x[0], x[1], x[2]]), 0.0
    for k in range(25):
        a = np.eye(3) * (2.0 + x[3]) + np.outer(state, x[:3]) * 0.1
        state = np.tanh(solve(a, state + x[:3] * (0.1 * k)))
        r, t = polar(np.reshape(x[:2] + state[:2], (1, 2)))
        total = total + state @ state + r[0] * t[0]
    return total


def triangle(x, solve=solve, polar=polar):
    """Calls in an inner loop that runs another number of times in each run."""
    total, a = x[3], np.outer(x[:2], x[1:3]) + 2.0 * np.eye(2)
    for i in range(7):
        for j in range(i):
            z = solve(a, np.stack([x[j % 3] + float(i), x[3] * float(j)]))
            total = total + z[0] * z[1]
    return total


def half_passive(x, solve=solve, polar=polar):
    """A matrix that's plain, a right-hand side that is, and one of both; data in a loop."""
    a = np.array([[3.0, 1.0], [0.5, 2.0]])
    total = solve(a, x[:2])[0] + solve(a + np.outer(x[:2], x[2:]), np.array([1.0, -2.0]))[1]
    for k in range(9):
        total = total + solve(a + 0.1 * k * np.eye(2), np.stack([x[k % 4], 0.5]))[1]
    return total


def aliased(x, solve=solve, polar=polar):
    """One number many times among the operands, a block of a block, and results nobody reads."""
    a = np.stack([np.stack([x[0], x[0]]), np.stack([-x[0], x[0]])])
    y = solve(a, np.stack([x[0], x[1]]))
    polar(np.stack([y, y]))
    return solve(a * y[0] + 2.0 * np.eye(2), solve(a, y))[0]


def choosing(x, solve=solve, polar=polar):
    """Branches on what blocks return."""
    y = solve(np.outer(x[:2], x[2:]) + np.eye(2) * 3.0, x[:2])
    r, t = polar(np.reshape(y, (1, 2)))
    return y[0] ** 2 if t[0] > 0.5 else r[0] * 3.0 + y[1]


FUNCTIONS = {f.__name__: f for f in (straight, loop, triangle, half_passive, aliased, choosing)}


def eliminated(a, b):
    """A solution by elementary operations; the pivots are those on the diagonal."""
    n, rows = len(b), [[a[i, j] for j in range(len(b))] + [b[i]] for i in range(len(b))]
    for k in range(n):
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    x = [0.0] * n
    for k in reversed(range(n)):
        later = sum(rows[k][j] * x[j] for j in range(k + 1, n))
        x[k] = (rows[k][n] - later) / rows[k][k]
    return np.stack(x)


def plain(function):
    """The same function without blocks, of elementary operations only."""
    return lambda x: function(x, solve=eliminated, polar=plain_polar)
