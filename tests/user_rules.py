"""Functions with rules that several tests use."""

import numpy as np

import tapegrad as tg

X = np.array([0.3, -1.2, 2.0])


def plain(x):
    """What code that can't be recorded needs: no active numbers."""
    for part in x if type(x) in (list, tuple) else [x]:
        assert type(part) in (float, np.ndarray), type(part)
    return x


@tg.custom_rule(vjp=lambda cotangent, result, x: cotangent * np.cos(x))
def sine(x):
    return np.sin(plain(x))


@tg.custom_rule(jvp=lambda tangent, result, x: tangent * np.cos(x), sparsity="diagonal")
def sine_forward(x):
    return np.sin(plain(x))


@tg.custom_rule(jacobian=lambda x: np.diag(np.cos(x)) if np.ndim(x) else np.cos(x))
def sine_jacobian(x):
    return np.sin(plain(x))


@tg.custom_rule(jacobian=lambda x: np.cos(x), sparsity="diagonal")
def sine_entries(x):
    return np.sin(plain(x))


SINES = [sine, sine_forward, sine_jacobian, sine_entries]


def mixed(rule):
    return lambda x: np.sum(rule(x * x) * x)
