"""Programs of loops: known ones, with what they must roll to, and random ones."""

from __future__ import annotations

import math

import numpy as np

# --- known ones --------------------------------------------------------------------------------


def rosenbrock(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def pairs(x):
    energy = 0.0
    for i in range(1, len(x) // 2):
        for j in range(i):
            dx, dy = x[2 * i] - x[2 * j], x[2 * i + 1] - x[2 * j + 1]
            energy += 1.0 / (dx * dx + dy * dy)
    return energy


def triangular_solve(x):
    n = math.isqrt(len(x))
    y = []
    for i in range(n):
        s = x[n * n - n + i]
        for j in range(i):
            s = s - x[i * n + j] * y[j]
        y.append(s / x[i * n + i])
    return sum(y)


def matrix_product(x):
    n = math.isqrt(len(x) // 2)
    total = 0.0
    for i in range(n):
        for j in range(n):
            s = 0.0
            for k in range(n):
                s += x[i * n + k] * x[n * n + k * n + j]
            total += s * s
    return total


def thomas_solve(x):
    n = len(x) // 4
    lower, diagonal, upper, right = (x[k * n : (k + 1) * n] for k in range(4))
    c, d = [upper[0] / diagonal[0]], [right[0] / diagonal[0]]
    for i in range(1, n):
        pivot = diagonal[i] - lower[i] * c[i - 1]
        c.append(upper[i] / pivot)
        d.append((right[i] - lower[i] * d[i - 1]) / pivot)
    z = d[-1]
    total = z * z
    for i in range(n - 2, -1, -1):
        z = d[i] - c[i] * z
        total += z * z
    return total


def predator_prey(x):
    a, b, c, d, u, v = x[0], x[1], x[2], x[3], x[4], x[5]
    loss = 0.0
    for _ in range(len(x)):
        k1, l1 = a * u - b * u * v, c * u * v - d * v
        p, q = u + 0.05 * k1, v + 0.05 * l1
        k2, l2 = a * p - b * p * q, c * p * q - d * q
        u, v = u + 0.1 * k2, v + 0.1 * l2
        loss = loss + (u - 1.0) ** 2 + (v - 1.0) ** 2
    return loss


def heated_plate(x):
    n = math.isqrt(len(x))
    u = [[x[i * n + j] for j in range(n)] for i in range(n)]
    for _ in range(6):
        new = [list(row) for row in u]
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                around = u[i - 1][j] + u[i + 1][j] + u[i][j - 1] + u[i][j + 1]
                new[i][j] = u[i][j] + 0.1 * (around - 4.0 * u[i][j])
        u = new
    return sum(u[i][j] * u[i][j] for i in range(n) for j in range(n))


def neighbours(x):
    n = len(x)
    rng = np.random.default_rng(n)
    lists = [sorted(rng.choice(n, 4 + int(rng.integers(4)), replace=False)) for _ in range(n)]
    energy = 0.0
    for i in range(n):
        force = 0.0
        for j in lists[i]:
            apart = x[i] - x[int(j)]
            force += 1.0 / (apart * apart + 0.1)
        energy += force * force
    return energy


def recurrent_network(x):
    n = 4
    h = [0.0] * n
    loss = 0.0
    for t in range(len(x) - n * n - n):
        new = []
        for i in range(n):
            s = x[n * n + i] * math.sin(t)
            for j in range(n):
                s = s + x[n * i + j] * h[j]
            new.append(np.tanh(s))
        h = new
        loss = loss + (h[0] - math.cos(t)) ** 2
    return loss


def array_steps(x):
    y = x
    for _ in range(8):
        y = y + 0.1 * (np.roll(y, 1) - 2.0 * y + np.roll(y, -1)) + 0.01 * np.sin(y)
    return np.sum(np.exp(-y * y))


def paths(x):
    total = 0.0
    for i in range(6):
        spot, mean = x[0], 0.0
        for k in range(2, len(x)):
            spot = spot * math.exp(0.1 * x[1] * x[k] * (i + 1))
            mean = mean + spot
        total = total + np.maximum(mean / len(x) - 1.0, 0.0)
    return total


def mixture(x):
    total = 0.0
    for n in range(len(x)):
        logs = []
        for k in range(3):
            scaled = (math.sin(n) - x[k]) * math.exp(x[3 + k])
            logs.append(x[6 + k] - 0.5 * scaled * scaled)
        top = np.maximum(np.maximum(logs[0], logs[1]), logs[2])
        weights = 0.0
        for k in range(3):
            weights = weights + math.exp(logs[k] - top)
        total = total + top + math.log(weights)
    return total


# The function, the records of its loops as written, and two sizes of its input.
KNOWN = {
    "rosenbrock": (rosenbrock, 8, (20, 80)),
    "pairs": (pairs, 7, (24, 60)),
    "triangular_solve": (triangular_solve, 4, (100, 400)),
    "matrix_product": (matrix_product, 4, (72, 200)),
    "thomas_solve": (thomas_solve, 14, (60, 240)),
    "predator_prey": (predator_prey, 30, (20, 60)),
    "heated_plate": (heated_plate, 9, (64, 144)),
    "neighbours": (neighbours, 7, (80, 160)),
    "recurrent_network": (recurrent_network, 7, (40, 80)),
    "array_steps": (array_steps, 12, (20, 80)),
    "paths": (paths, 10, (12, 40)),
    "mixture": (mixture, 24, (20, 60)),
}


def point_of(name, size):
    """Return a point where every guard and every root of the function is safe."""
    x = 0.6 + 0.3 * np.random.default_rng(size).random(size)
    if name == "thomas_solve":
        x[size // 4 : size // 2] += 3.0
    return x


# --- random ones -------------------------------------------------------------------------------

UNARY = [np.sin, np.tanh, lambda a: a * a, lambda a: np.exp(-(a * a)), lambda a: -a, np.abs,
         lambda a: 0.5 * a, lambda a: 1.0 / (1.0 + a * a), lambda a: a**3]  # fmt: skip
BINARY = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: 0.3 * a * b, np.maximum, np.hypot,
          lambda a, b: a / (2.0 + b * b), lambda a, b: np.arctan2(a, b + 3.0)]  # fmt: skip


def random_program(seed):
    """Return a function of an array of 12 that runs random loops, some of them nested."""
    rng = np.random.default_rng(seed)

    def expression(depth=0):
        kind = rng.integers(5) if depth < 3 else 4
        if kind == 0:
            f, a = UNARY[rng.integers(len(UNARY))], expression(depth + 1)
            return lambda s: f(a(s))
        if kind < 4:
            f = BINARY[rng.integers(len(BINARY))]
            a, b = expression(depth + 1), expression(depth + 1)
            return lambda s: f(a(s), b(s))
        return operand()

    def operand():
        kind, k, m = rng.integers(7), int(rng.integers(1, 4)), int(rng.integers(0, 3))
        value = float(rng.normal())
        if kind == 0:
            return lambda s: s["x"][(k * s["i"] + m * s["j"] + 1) % 12]
        if kind == 1:
            return lambda s: s["carried"][m]
        if kind == 2:
            return lambda s: s["past"][-k] if len(s["past"]) >= k else s["x"][k]
        if kind == 3:
            return lambda s: value
        if kind == 4:
            return lambda s: math.sin(value + s["i"] + 0.3 * s["j"])
        if kind == 5:
            return lambda s: s["old"][(m * s["i"] + s["j"]) % len(s["old"])]
        return lambda s: s["old"][-1 - (s["i"] % len(s["old"]))]

    loops = []
    for _ in range(rng.integers(1, 4)):
        outer, shape = int(rng.integers(1, 9)), rng.integers(4)
        body = [(int(rng.integers(3)), expression()) for _ in range(rng.integers(1, 4))]
        loops.append((outer, shape, body, expression(), bool(rng.integers(2))))

    def function(x):
        s = {"x": x, "carried": [0.0, x[0], 0.5], "past": [], "old": [x[3], x[5], 1.5]}
        for outer, shape, body, after, has_guard in loops:
            made = []
            for i in range(outer):
                s["i"] = i
                for j in range((1, i, 3, (i * i) % 5)[shape]):
                    s["j"] = j
                    for place, compute in body:
                        s["carried"][place] = np.tanh(compute(s))
                    made.append(s["carried"][body[0][0]])
                s["j"] = 0
                s["past"].append(np.tanh(after(s)))
                if has_guard and s["past"][-1] > 0.9:
                    s["carried"][0] = s["past"][-1] * 2.0
            if made:
                s["old"] = made
        return s["carried"][0] + s["carried"][1] * s["carried"][2] + sum(s["past"]) + sum(s["old"])

    return function
