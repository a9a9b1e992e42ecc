"""Programs that simulate, filter, search and price, with points where they branch otherwise."""

from __future__ import annotations

import math
from math import cos, erf, exp, log, sin, sqrt

import numpy as np
from programs import program

# --- motion and differential equations ----------------------------------------------------------


@program([[1.0, 0.2, 0.7], [1.5, 0.6, 2.0], [0.8, 0.0, 0.1]])
def orbit_by_keplers_equation(x):
    axis, eccentricity, time = x
    mean = time / axis**1.5
    anomaly = mean
    while True:
        step = anomaly - eccentricity * sin(anomaly) - mean
        step /= 1 - eccentricity * cos(anomaly)
        anomaly -= step
        if abs(step) < 1e-12:
            break
    return axis * (cos(anomaly) - eccentricity) + axis * sqrt(1 - eccentricity**2) * sin(anomaly)


@program([[1.0, 1.1, 20.0], [-3.0, 2.0, 24.0]], smooth=True)
def lorenz_by_runge_kutta(x):
    def field(s):
        return np.array([10 * (s[1] - s[0]), s[0] * (x[2] - s[2]) - s[1], s[0] * s[1] - s[2]])

    h, state = 0.02, np.array([x[0], x[1], 10.0])
    for _ in range(10):
        a = field(state)
        b = field(state + h / 2 * a)
        c = field(state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + field(state + h * c))
    return state[0] + 0.1 * state[2] ** 2


@program([[0.0, 1.0, 2.0, 1.0, 0.0, 0.5], [1.0, -1.0, 3.0, 0.2, 0.1]], smooth=True)
def heat_in_a_rod(x):
    u = x.copy()
    for step in range(6):
        u[1:-1] += 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2])
        if step % 2:
            u[0], u[-1] = u[1], u[-2]
    return np.sum(u**2)


@program([[0.3, 1.0, -0.5, 0.8], [1.5, -0.2, 0.1, -1.0]])
def advection_with_a_limiter(x):
    u, speed = np.tile(x, 2), x[0]
    for _ in range(3):
        left, right = u - np.roll(u, 1), np.roll(u, -1) - u
        slope = np.where(left * right > 0, np.minimum(abs(left), abs(right)) * np.sign(left), 0.0)
        flux = 0.3 * speed * (u + 0.5 * slope)
        u -= flux - np.roll(flux, 1)
    return u @ np.arange(len(u))


@program([[0.0, 0.0, 1.0, 0.0, 0.3, 1.2], [0.1, -0.5, 1.5, 0.6, -0.9, 0.8]], smooth=True)
def bodies_by_leapfrog(x):
    position, mass = x.reshape(3, 2).copy(), np.array([1.0, 0.5, 0.2])
    velocity = np.zeros((3, 2))
    for _ in range(4):
        force = np.zeros_like(position)
        for i in range(3):
            for j in range(i + 1, 3):
                apart = position[j] - position[i]
                pull = mass[i] * mass[j] * apart / (0.1 + apart @ apart) ** 1.5
                force[i] += pull
                force[j] -= pull
        velocity += 0.05 * force / mass[:, None]
        position += 0.05 * velocity
    return (mass[:, None] * velocity**2).sum() / 2 + position[2, 0]


@program([[0.0, 0.0, 1.1, 0.1, 0.3, 1.2], [0.0, 0.0, 2.8, 0.6, 1.0, 0.2]])
def energy_within_a_cutoff(x):
    atoms, energy = x.reshape(-1, 2), 0.0
    for i in range(len(atoms)):
        for other in atoms[:i]:
            squared = sum((a - b) ** 2 for a, b in zip(atoms[i], other, strict=True))
            if squared > 2.25:
                continue
            sixth = squared**-3
            energy += 4 * (sixth * sixth - sixth)
    return energy


@program([[2.5, 0.3], [3.2, 0.5], [1.5, 0.9]], smooth=True, array_expression=True)
def logistic_map(x):
    population = x[1]
    for _ in range(8):
        population = x[0] * population * (1 - population)
    return population


@program([[1.0, 0.5, 0.8], [0.3, -1.0, 0.6], [2.5, 0.0, 0.7]])
def bouncing_ball(x):
    height, speed, bounce = x
    highest = height
    for _ in range(30):
        speed -= 0.3
        height += 0.1 * speed
        if height < 0:
            height, speed = -height, -bounce * speed
        highest = max(highest, height)
    return height + 0.1 * speed**2 + highest


@program([[0.5, 0.2], [3.0, 0.1], [0.5, 0.9]])
def epidemic_until_its_peak(x):
    susceptible, infected = [0.95], [0.05]
    while len(infected) < 40:
        new = x[0] * susceptible[-1] * infected[-1]
        if new < x[1] * infected[-1]:
            break
        susceptible.append(susceptible[-1] - 0.5 * new)
        infected.append(infected[-1] + 0.5 * (new - x[1] * infected[-1]))
    return infected[-1] + 0.01 * sum(i * s for i, s in zip(infected, susceptible, strict=True))


@program([[0.2, 0.1, 2.0], [0.4, -0.3, 1.5], [3.0, 0.0, 1.0]])
def ray_to_a_sphere(x):
    across, up, radius = x
    beside = radius**2 - across**2 - up**2
    if beside < 0:
        return 10.0 * beside
    distance = 5.0 - sqrt(beside)
    return distance**2 if distance < 3.2 else distance + exp(-beside)


# --- images -------------------------------------------------------------------------------------

PHOTOGRAPH = np.sin(np.arange(30.0) ** 1.5).reshape(5, 6)


@program([np.arange(9.0) / 9, np.cos(np.arange(9.0))], smooth=True)
def blurred_image(x):
    kernel = x.reshape(3, 3)
    out = np.zeros((3, 4))
    for i in range(3):
        for j in range(3):
            out += kernel[i, j] * PHOTOGRAPH[i : i + 3, j : j + 4]
    return np.sum(out**2) / out.size


@program([np.cos(2.5 * np.arange(12.0)), np.sin(np.arange(12.0) ** 2)])
def image_of_medians(x):
    image = x.reshape(3, 4)
    out = image.copy()
    for j in (1, 2):
        out[1, j] = np.sort(image[:, j - 1 : j + 2].ravel())[4]
    return np.sum(out**2 * PHOTOGRAPH[:3, :4])


@program([[0.93, 0.31, 0.27], [1.05, -0.1, 0.63], [0.57, 0.23, 1.72]])
def warped_image(x):
    scale, turn, shift = x
    total = 0.0
    for row in range(3):
        for column in range(3):
            u = scale * row + turn * column + shift
            v = scale * column - turn * row + 1.0 + shift
            if not (0 <= u < 4 and 0 <= v < 5):
                continue
            i, j = int(u), int(v)
            a, b = u - i, v - j
            top = (1 - b) * PHOTOGRAPH[i, j] + b * PHOTOGRAPH[i, j + 1]
            low = (1 - b) * PHOTOGRAPH[i + 1, j] + b * PHOTOGRAPH[i + 1, j + 1]
            total += ((1 - a) * top + a * low) ** 2
    return total


# --- sequences ----------------------------------------------------------------------------------

OBSERVED = [0.3, 0.9, -0.2, 1.4, 1.1]


@program([[-1.0, 0.3, 0.9], [0.5, -0.7, 0.4]], smooth=True)
def kalman_filter(x):
    noise = np.diag(np.exp(x[:2]))
    move, look = np.array([[1.0, x[2]], [0.0, 1.0]]), np.array([1.0, 0.0])
    state, spread, likelihood = np.zeros(2), np.eye(2), 0.0
    for y in OBSERVED:
        state = move @ state
        spread = move @ spread @ move.T + noise
        surprise, variance = y - look @ state, look @ spread @ look + 0.5
        gain = spread @ look / variance
        state = state + gain * surprise
        spread = spread - np.outer(gain, look @ spread)
        likelihood -= 0.5 * (surprise**2 / variance + log(2 * math.pi * variance))
    return likelihood


@program([[0.3, 1.0, -0.5, 0.8, 2.0, 0.1], [1.5, -0.2, 0.1, -1.0, -0.8, 3.0]])
def best_path_of_viterbi(x):
    stay, level = x[:3], x[3:]
    score, back = -((OBSERVED[0] - level) ** 2), []
    for y in OBSERVED[1:]:
        moved = score[:, None] + np.diag(stay)
        back.append(np.argmax(moved, axis=0))
        score = np.max(moved, axis=0) - (y - level) ** 2
    path = [int(np.argmax(score))]
    for source in reversed(back):
        path.append(int(source[path[-1]]))
    return score[path[0]] + sum(level[k] * 0.5**n for n, k in enumerate(path))


@program([[0.3, 1.0, -0.5, 0.8], [1.5, -0.2, 0.1, -1.0]], smooth=True, array_expression=True)
def forward_algorithm(x):
    moves = np.array([[x[0], 0.0], [0.0, x[1]]])
    moves = moves - np.log(np.sum(np.exp(moves), axis=1, keepdims=True))
    logs = -0.5 * (OBSERVED[0] - x[2:]) ** 2
    for y in OBSERVED[1:]:
        joint = logs[:, None] + moves
        top = np.max(joint, axis=0)
        logs = top + np.log(np.sum(np.exp(joint - top), axis=0)) - 0.5 * (y - x[2:]) ** 2
    return np.log(np.sum(np.exp(logs)))


@program([[0.3, 1.0, -0.5], [1.5, -0.2, 0.1, 2.0]], smooth=True)
def soft_time_warping(x):
    cost = np.full((len(x) + 1, len(OBSERVED) + 1), 1e3)
    cost[0, 0] = 0.0
    for i, a in enumerate(x, 1):
        for j, b in enumerate(OBSERVED, 1):
            before = (cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            least = min(before)
            soft = least - 0.2 * log(sum(exp((least - c) / 0.2) for c in before))
            cost[i, j] = (a - b) ** 2 + soft
    return cost[-1, -1]


@program([[0.3, 1.0, 0.5], [1.5, 0.2, 0.1], [0.9, 0.7, 3.0]])
def distance_of_words(x):
    insertion, deletion, change = x

    def distance(a, b):
        if not a or not b:
            return insertion * len(b) + deletion * len(a)
        if (a, b) not in known:
            same = 0.0 if a[0] == b[0] else change
            known[a, b] = min(
                distance(a[1:], b[1:]) + same,
                distance(a, b[1:]) + insertion,
                distance(a[1:], b) + deletion,
            )
        return known[a, b]

    known = {}
    return distance("sitting", "kitten") ** 2


# --- searches and functions ---------------------------------------------------------------------


@program([[1.0, 2.0], [-3.0, 0.5], [0.5, 5.0]])
def root_by_bisection(x):
    def residual(z):
        return z**3 + exp(x[1]) * z - x[0]

    low, high = -10.0, 10.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if residual(middle) < 0 else (low, middle)
    root = 0.5 * (low + high)
    return root - residual(root) / (3 * root**2 + exp(x[1]))


@program([[0.3, 0.6], [0.97, 1.4], [2.2, 0.4]])
def spline_through_a_table(x):
    knots = np.array([0.0, 0.5, 1.0, 2.0, 3.0])
    values, slopes = np.cos(knots), x[1] * np.sin(knots)
    total = 0.0
    for t in x:
        k = np.searchsorted(knots, t) - 1
        width = knots[k + 1] - knots[k]
        s = (t - knots[k]) / width
        total += values[k] + (values[k + 1] - values[k]) * s * s * (3 - 2 * s)
        total += width * s * (1 - s) * ((1 - s) * slopes[k] - s * slopes[k + 1])
    return total


@program([[0.3, 4.0], [2.0, 1.0], [0.1, 0.2]])
def integral_by_halving(x):
    def curve(t):
        return np.exp(-x[1] * (t - x[0]) ** 2)

    def simpson(a, b):
        return (b - a) / 6 * (curve(a) + 4 * curve((a + b) / 2) + curve(b))

    def integral(a, b):
        middle = (a + b) / 2
        fine = simpson(a, middle) + simpson(middle, b)
        if abs(fine - simpson(a, b)) < 1e-8:
            return fine
        return integral(a, middle) + integral(middle, b)

    return integral(0.0, 1.0)


@program([[0.3, 0.5], [0.9, 2.0], [0.05, 0.0]])
def series_until_small(x):
    def terms():
        term, n = 1.0, 0
        while abs(term) > 1e-13:
            yield term
            n += 1
            term = term * x[0] * (x[1] + n) / (n + 1)

    return sum(terms())


def robust_loss(kind, width=None, skipped=0):
    def loss(x):
        residuals = x[skipped:] if width is None else x[skipped:] / width
        if kind == "cauchy":
            return np.sum(np.log1p(residuals**2))
        return np.sum(np.abs(residuals)) if kind == "absolute" else np.sum(residuals**2)

    loss.__name__ = f"{kind}_loss"
    return loss


program([[0.3, -0.5, 2.0], [1.0, 2.0]], smooth=True)(robust_loss("cauchy", 0.7))
program([[0.3, -0.5, 2.0], [1.0, -2.0, -1.0]])(robust_loss("absolute", skipped=1))


# --- money and chance ---------------------------------------------------------------------------


@program([[100.0, 0.2, 0.1], [90.0, 0.5, 0.0], [120.0, 0.1, 0.05]], array_expression=True)
def option_by_fixed_draws(x):
    draws = np.random.default_rng(0).standard_normal(20)
    final = x[0] * np.exp(x[2] - 0.5 * x[1] ** 2 + x[1] * draws)
    return np.exp(-x[2]) * np.mean(np.maximum(final - 100.0, 0.0))


@program([[1.1, 0.2, 0.1], [0.9, 0.5, 0.03]], smooth=True)
def option_by_black_and_scholes(x):
    price, volatility, interest = x
    above = (log(price) + interest + volatility**2 / 2) / volatility
    normal = [0.5 * (1 + erf(z / sqrt(2))) for z in (above, above - volatility)]
    return price * normal[0] - exp(-interest) * normal[1]


@program([[100.0, 0.2, 0.1], [80.0, 0.5, 0.02], [120.0, 0.25, 0.05]])
def option_exercised_early(x):
    up = exp(x[1] * sqrt(0.2))
    chance = (exp(x[2] * 0.2) - 1 / up) / (up - 1 / up)
    price = x[0] * up ** np.arange(-5, 6, 2)
    value = np.maximum(103.0 - price, 0.0)
    for n in range(5, 0, -1):
        value[:n] = exp(-x[2] * 0.2) * (chance * value[1 : n + 1] + (1 - chance) * value[:n])
        price[:n] = price[:n] * up
        value[:n] = np.maximum(value[:n], 103.0 - price[:n])
    return value[0]


@program([[5.0, 12.0, 40.0], [25.0, 3.0, 70.0]], array_expression=True)
def tariff_by_parts(x):
    most = np.where(x > 30.0, 0.004 * (x - 30.0) ** 2, 0.0)
    return np.sum(0.1 * np.clip(x, 0.0, 10.0) + 0.2 * np.clip(x - 10.0, 0.0, 20.0) + most)


@program([[0.95, 0.05], [1.05, 0.03], [0.6, 0.1]])
def yield_of_a_bond(x):
    price, coupon = x
    rate = 0.05
    for _ in range(50):
        factors = [(1 + rate) ** -year for year in range(1, 6)]
        value = coupon * sum(factors) + factors[-1]
        slope = -sum((coupon * n + 5 * (n == 5)) * f for n, f in enumerate(factors, 1)) / (1 + rate)
        try:
            first = next(n for n, f in enumerate(factors) if f < 0.75)
        except StopIteration:
            first = 5
        step = (value - price) / slope
        rate = rate - step
        if abs(step) < 1e-13:
            return rate * (1 + first)
    return rate


@program([[0.5, 0.3], [1.4, -0.6], [-0.3, 1.0]])
def walk_that_accepts_or_stays(x):
    rng = np.random.default_rng(0)
    place, steps = x[0], 0
    for jump, threshold in zip(rng.normal(size=8), rng.random(8), strict=True):
        there = place + exp(x[1]) * jump
        if threshold < exp(min(0.0, place**2 / 2 - there**2 / 2)):
            place, steps = there, steps + 1
    return place**2 + steps * x[0]
