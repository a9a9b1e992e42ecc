"""Random programs that mix real and complex numbers, scalars and arrays, branches and stores."""

from __future__ import annotations

import cmath

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.testing import extrapolated_difference

X = np.array([0.7, -1.3, 0.4])
D = np.array([0.5, 0.3, -0.8])

UNARY = [
    lambda z: z * 1j, lambda z: 1.0 / (z + 2.5), lambda z: (z + 3.0) ** 0.5, lambda z: z.real + 0j,
    lambda z: z.conjugate(), lambda z: abs(z) + 1j, lambda z: z * z,
    lambda z: z**-2 if abs(z) > 0.5 else z + 1.0, lambda z: np.exp(-0.3 * z),
    lambda z: np.tanh(0.5 * z), lambda z: cmath.log(z + 4j),
    lambda z: complex(z.imag, z.real), lambda z: np.sum(np.array([z, 1j, z * 2.0])),
    lambda z: np.angle(z + 5.0) * z, lambda z: np.arctan(0.2 * z), lambda z: 2.0 ** (0.5 * z),
]  # fmt: skip
BINARY = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: 0.5 * a * b,
    lambda a, b: a / (b + 4.0 + 1j), lambda a, b: a if a.real > b.real else b * 0.5,
    lambda a, b: np.where(abs(a) > abs(b), a, 1j * b),
    lambda a, b: np.array([a, b]) @ np.array([b, 2.0]) * 0.1,
    lambda a, b: (2.5 + 0.1 * a) ** (0.2 * b),
]  # fmt: skip


def program(seed):
    rng = np.random.default_rng(seed)
    steps = [
        (int(rng.integers(2)), int(rng.integers(len(UNARY))), int(rng.integers(len(BINARY))),
         int(rng.integers(1 << 30)), int(rng.integers(1 << 30)))
        for _ in range(12)
    ]  # fmt: skip

    def function(x):
        numbers = [x[0] + 0j, 1j * x[1], x[2] * (1.0 - 0.5j), 0.3 + 0.2j]
        kept = np.zeros(len(steps), dtype=complex)
        for k, (is_binary, one, two, first, second) in enumerate(steps):
            a, b = numbers[first % len(numbers)], numbers[second % len(numbers)]
            z = BINARY[two](a, b) if is_binary else UNARY[one](a)
            z = z / (1.0 + 0.1 * abs(z))  # so that nothing grows
            numbers.append(z)
            kept[k] = z
        return np.sum(np.abs(kept) ** 2) + np.sum(kept.real * kept[::-1].imag)

    return function


@pytest.mark.parametrize("seed", range(24))
def test_a_random_program_has_numpys_value_and_the_derivative_of_differences(seed):
    f = program(seed)
    value, gradient = tg.value_and_grad(f, compile="never")(X)
    assert value == pytest.approx(f(X), rel=1e-12)
    wanted, error = extrapolated_difference(lambda t: np.array([f(X + t * D)]), 0.002)
    assert gradient @ D == pytest.approx(wanted[0], rel=1e-8, abs=1e-9 + 10 * error[0])
    assert tg.jvp(f, (X,), (D,))[1] == pytest.approx(gradient @ D, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("seed", range(24, 30))
def test_machine_code_of_a_random_program_has_the_sweeps_bits_where_that_is_asked(seed):
    f = program(seed)
    swept = tg.value_and_grad(f, compile="never")
    for strict in (True, False):
        code = tg.value_and_grad(f, compile="now", strict=strict)
        code(X)
        code.wait()
        for x in (X, X * 1.01):
            value, gradient = code(x)
            wanted = swept(x)
            if strict:
                assert (value, gradient.tolist()) == (wanted[0], wanted[1].tolist())
            np.testing.assert_allclose(gradient, wanted[1], rtol=1e-10, atol=1e-12)
