"""Blocks with derivatives of two orders, and programs that call them, with what they compute.

A block is a function of two lists: arrays that it reads, and arrays that it sets or adds to. As
machine code calls it, it's the same function behind `ctypes`, or one that Numba has compiled.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numba import carray, cfunc, float64, int64, types
from program_drafts import at, index, loop, program, put, row, step, total

from tapegrad.program.ir import Call, Constant, Guard, Region, Span, statements

# --- blocks -------------------------------------------------------------------------------------


def square(a):
    n = round(len(a) ** 0.5)
    return a.reshape(n, n)


def solve(reads, writes):
    a, b = reads
    writes[0][:] = np.linalg.solve(square(a), b)


def solve_pullback(reads, writes):
    a, _, z, z_bar = reads
    u = np.linalg.solve(square(a).T, z_bar)
    writes[0][:] -= np.outer(u, z).ravel()
    writes[1][:] += u


def solve_pushforward(reads, writes):
    a, _, z, a_dot, b_dot = reads
    writes[0][:] = np.linalg.solve(square(a), b_dot - square(a_dot) @ z)


def solve_pullback_pushforward(reads, writes):
    a, _, z, z_bar, a_dot, _, z_dot, z_bar_dot = reads
    u = np.linalg.solve(square(a).T, z_bar)
    u_dot = np.linalg.solve(square(a).T, z_bar_dot - square(a_dot).T @ u)
    writes[0][:] -= (np.outer(u_dot, z) + np.outer(u, z_dot)).ravel()
    writes[1][:] += u_dot


def dot(reads, writes):
    a, b = reads
    writes[0][0] = a @ b


def dot_pullback(reads, writes):
    a, b, _, y_bar = reads
    writes[0][:] += y_bar * b
    writes[1][:] += y_bar * a


def dot_pushforward(reads, writes):
    a, b, _, a_dot, b_dot = reads
    writes[0][0] = a_dot @ b + a @ b_dot


def dot_pullback_pushforward(reads, writes):
    a, b, _, y_bar, a_dot, b_dot, _, y_bar_dot = reads
    writes[0][:] += y_bar_dot * b + y_bar * b_dot
    writes[1][:] += y_bar_dot * a + y_bar * a_dot


def add_product(reads, writes):
    a, b = reads
    writes[0][:] += square(a) @ b


def add_product_pullback(reads, writes):
    a, b, y_bar = reads
    writes[0][:] += np.outer(y_bar, b).ravel()
    writes[1][:] += square(a).T @ y_bar


def add_product_pushforward(reads, writes):
    a, b, a_dot, b_dot = reads
    writes[0][:] += square(a_dot) @ b + square(a) @ b_dot


def add_product_pullback_pushforward(reads, writes):
    a, b, y_bar, a_dot, b_dot, y_bar_dot = reads
    writes[0][:] += (np.outer(y_bar_dot, b) + np.outer(y_bar, b_dot)).ravel()
    writes[1][:] += square(a_dot).T @ y_bar + square(a).T @ y_bar_dot


def polar(reads, writes):
    """Radius and angle, which are two spans, and whether there is an angle."""
    (a,) = reads
    writes[0][0], writes[1][0] = np.hypot(*a), np.arctan2(a[1], a[0])
    writes[2][0] = float(np.any(a != 0))


def polar_pullback(reads, writes):
    (x, y), (r,), _, _, r_bar, t_bar, _ = reads
    writes[0][:] += r_bar * [x, y] / r + t_bar * np.array([-y, x]) / r**2


def polar_pushforward(reads, writes):
    (x, y), (r,), _, _, (x_dot, y_dot) = reads
    writes[0][0], writes[1][0] = (x * x_dot + y * y_dot) / r, (x * y_dot - y * x_dot) / r**2
    writes[2][0] = 0.0


def polar_pullback_pushforward(reads, writes):
    (x, y), (r,), _, _, r_bar, t_bar, _, dots, (r_dot,), _, _, r_bar_dot, t_bar_dot, _ = reads
    (x_dot, y_dot), at, turned = dots, np.array([x, y]), np.array([-y, x])
    of_r = r_bar_dot * at / r + r_bar * (dots / r - at * r_dot / r**2)
    turned_dot = np.array([-y_dot, x_dot])
    of_t = t_bar_dot * turned / r**2 + t_bar * (turned_dot / r**2 - 2 * turned * r_dot / r**3)
    writes[0][:] += of_r + of_t


BLOCKS = {
    function.__name__.replace("_pullback", ".pullback").replace("_pushforward", ".pushforward"):
    function for function in (
        solve, solve_pullback, solve_pushforward, solve_pullback_pushforward,
        dot, dot_pullback, dot_pushforward, dot_pullback_pushforward, add_product,
        add_product_pullback, add_product_pushforward, add_product_pullback_pushforward,
        polar, polar_pullback, polar_pushforward, polar_pullback_pushforward,
    )
}  # fmt: skip

_POINTERS = ctypes.POINTER(ctypes.POINTER(ctypes.c_double))
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, _POINTERS, _POINTERS, ctypes.c_void_p)


class Callbacks:
    """The blocks that a program calls, by address; kept alive with this."""

    def __init__(self, written):
        self.failed = []
        self._kept = {}
        for call in statements(written.body):
            if isinstance(call, Call) and call.block not in self._kept:
                self._kept[call.block] = _CALLBACK(self._called(call))
        self.address = {
            name: (ctypes.cast(callback, ctypes.c_void_p).value, 0)
            for name, callback in self._kept.items()
        }

    def _called(self, call):
        def called(reads, writes, context):
            arrays = (
                [np.ctypeslib.as_array(pointers[k], (span.size,)) for k, span in enumerate(spans)]
                for spans, pointers in ((call.reads, reads), (call.writes, writes))
            )
            try:
                BLOCKS[call.block](*arrays)
            except Exception as error:  # ctypes would only print it
                self.failed.append(error)
            return 0

        return called


_BLOCK = int64(*[types.CPointer(types.CPointer(float64))] * 2, types.CPointer(int64))


def in_numba():
    """A solve by two equations and its pullback, compiled by Numba."""

    @cfunc(_BLOCK)
    def two(reads, writes, context):
        a, b, z = carray(reads[0], 4), carray(reads[1], 2), carray(writes[0], 2)
        d = a[0] * a[3] - a[1] * a[2]
        z[0] = (a[3] * b[0] - a[1] * b[1]) / d
        z[1] = (a[0] * b[1] - a[2] * b[0]) / d
        return 0

    @cfunc(_BLOCK)
    def two_pullback(reads, writes, context):
        a, z, z_bar = carray(reads[0], 4), carray(reads[2], 2), carray(reads[3], 2)
        a_bar, b_bar = carray(writes[0], 4), carray(writes[1], 2)
        d = a[0] * a[3] - a[1] * a[2]
        u = (a[3] * z_bar[0] - a[2] * z_bar[1]) / d
        v = (a[0] * z_bar[1] - a[1] * z_bar[0]) / d
        b_bar[0] += u
        b_bar[1] += v
        a_bar[0] -= u * z[0]
        a_bar[1] -= u * z[1]
        a_bar[2] -= v * z[0]
        a_bar[3] -= v * z[1]
        return 0

    return {"solve": two, "solve.pullback": two_pullback}


# --- programs -----------------------------------------------------------------------------------

i, j = step(0), step(1)


def span(region, size, base=0, *terms, **of):
    """`span("x", 2, 1, (3, i))` is x[3*i + 1 : 3*i + 3]."""
    return Span(region, index(base, *terms, **of), size)


def call(block, reads, writes, adds=False):
    return Call(block, tuple(reads), tuple(writes), adds)


def straight():
    """A solve, a sum of squares by a product with itself, scalars between, and a guard."""
    return program(
        call("solve", [span("x", 4), span("x", 2, 4)], [span("z", 2)]),
        put("s", row("sin", at("z", 0))),
        put(at("u", 0), row("multiply", "s", at("z", 1))),
        put(at("u", 1), row("exp", at("x", 0))),
        call("dot", [span("u", 2), span("u", 2)], [span("q", 1)]),
        call("polar", [span("z", 2)], [span("r", 1), span("t", 1), span("ok", 1)]),
        Guard(at("ok", 0), Constant(1.0)),
        put("v", row("add", at("q", 0), row("multiply", at("r", 0), at("t", 0)))),
        put(at("y", 0), row("add", "v", row("multiply", "s", at("z", 1)))),
        x=6, y=1, memory=[Region(name, n) for name, n in
                          [("z", 2), ("u", 2), ("q", 1), ("r", 1), ("t", 1), ("ok", 1)]],
    )  # fmt: skip


def of_straight(x):
    z = np.linalg.solve(x[:4].reshape(2, 2), x[4:6])
    u = np.array([np.sin(z[0]) * z[1], np.exp(x[0])])
    r, t = np.sqrt(z @ z), np.arctan(z[1] / z[0])
    return np.array([u @ u + r * t + u[0]])


PULL = np.array([2.0, 0.5, -0.25, 1.5])
DATA = np.array([0.3, -0.7, 1.1, 0.2, -0.4])


def recursion():
    """A filter: a state in memory and one in a variable; a matrix that's passive; a weighed sum.

    What the loop adds up by a block is read when it's over.
    """
    where = [(4, i), (2, i)]
    a, b = (lambda k: at("a", index(k, where[0]))), (lambda k: at("b", index(k, where[1])))
    return program(
        put(at("s", 0), at("x", 0)),
        put(at("s", 1), row("square", at("x", 1))),
        put("v", row("sin", at("x", 2))),
        put("sum", 0.0),
        loop(
            0, 5,
            put(a(0), row("add", 2.0, row("square", at("s", index(0, (2, i)))))),
            put(a(1), at("x", 3)),
            put(a(2), row("multiply", "v", at("x", 4))),
            put(a(3), row("exp", "v")),
            put(b(0), row("add", at("s", index(1, (2, i))), at("c0", i))),
            put(b(1), "v"),
            call("solve", [span("a", 4, 0, (4, i)), span("b", 2, 0, (2, i))],
                 [span("s", 2, 2, (2, i))]),
            call("add_product", [span("c1", 4), span("s", 2, 2, (2, i))], [span("g", 2)], True),
            call("dot", [span("s", 2, 2, (2, i)), span("x", 2, 0)], [span("d", 1, 0, (1, i))]),
            put("v", row("tanh", row("add", "v", at("d", i)))),
            put("sum", row("add", "sum", row("multiply", at("d", i), "v"))),
        ),
        put(at("y", 0), row("add", "sum", row("multiply", at("g", 0), at("g", 1)))),
        x=5, y=1, tables={"c0": DATA, "c1": PULL},
        memory=[Region("s", 12), Region("a", 20), Region("b", 10), Region("d", 5),
                Region("g", 2, is_zeroed=True)],
    )  # fmt: skip


def of_recursion(x):
    s, v, g, result = np.array([x[0], x[1] ** 2]), np.sin(x[2]), np.zeros(2), 0.0
    for datum in DATA:
        a = np.array([[2.0 + s[0] ** 2, x[3]], [v * x[4], np.exp(v)]])
        s = np.linalg.solve(a, np.array([s[1] + datum, v]))
        g = g + PULL.reshape(2, 2) @ s
        d = s @ x[:2]
        v = np.tanh(v + d)
        result = result + d * v
    return np.array([result + g[0] * g[1]])


def triangle():
    """Calls in a loop whose count changes, of places by all its iterations and by a table."""
    solved = [span("m", 4, 0, (4, i)), span("x", 2, 0, of="t0", at=total(1))]
    return program(
        put("p", 1.0),
        loop(
            0, 3,
            *[put(at("m", index(k, (4, i))), row("add", float(k % 3 == 0), at("x", k)))
              for k in range(4)],
            loop(
                1, index(1, (1, i)),
                call("solve", solved, [span("z", 2, 0, (2, total(1)))]),
                put("p", row("multiply", "p", at("z", index(1, (2, total(1)))))),
                put("p", row("add", "p", at("z", index(0, (2, total(1)))))),
            ),
        ),
        put(at("y", 0), "p"),
        x=5, y=1, tables={"t0": [0, 3, 1, 2, 0, 2]},
        memory=[Region("m", 12), Region("z", 12)],
    )  # fmt: skip


def of_triangle(x):
    p, a = 1.0, np.eye(2) + x[:4].reshape(2, 2)
    for k in (0, 3, 1, 2, 0, 2):
        z = np.linalg.solve(a, x[k : k + 2])
        p = p * z[1] + z[0]
    return np.array([p])


def parts():
    """Spans of parts of a region, and of all of it; results that calls and statements set."""
    return program(
        put(at("any", 4), 2.0),
        put(at("any", 5), 3.0),
        loop(0, 4, put(at("m", i), row("cos", at("x", i)))),
        call("solve", [span("m", 4), span("any", 2, 4)], [span("n", 2)]),
        put(at("y", 2), row("exp", at("n", 1))),
        call("add_product", [span("m", 4), span("any", 2, 6)], [span("w", 2)], True),
        call("solve", [span("any", 4), span("w", 2)], [span("y", 2)]),
        x=4, y=3,
        memory=[Region("any", 8), Region("m", 4, within="any"),
                Region("n", 2, within="any", offset=6), Region("w", 2, is_zeroed=True)],
    )  # fmt: skip


def of_parts(x):
    m = np.cos(x).reshape(2, 2)
    n = np.linalg.solve(m, np.array([2.0, 3.0]))
    return np.array([*np.linalg.solve(m, m @ n), np.exp(n[1])])


PROGRAMS = {
    "straight": (straight, of_straight, [1.5, 0.3, -0.4, 2.0, 0.7, 0.9]),
    "recursion": (recursion, of_recursion, [0.4, -0.8, 0.6, 0.3, 0.9]),
    "triangle": (triangle, of_triangle, [0.4, -0.8, 0.6, 0.3, 0.9]),
    "parts": (parts, of_parts, [0.4, 1.8, -0.6, 0.3]),
}


def jacobian(function, x):
    """By complex step."""
    x, h = np.array(x), 1e-30
    return np.stack([function(x + 1j * h * unit).imag / h for unit in np.eye(len(x))], axis=-1)


def moved_gradient(function, x, seed, direction, h=2e-3):
    """The derivative of seed @ jacobian along a direction, by differences of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(
        w * seed @ (jacobian(function, x + k * h * direction)
                    - jacobian(function, x - k * h * direction)) / h
        for k, w in weights.items()
    )  # fmt: skip
