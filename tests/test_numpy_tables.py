"""Tables of samples, permutations, questions of shape and odd shapes, against NumPy itself."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy, assert_replays_as_recorded

import tapegrad as tg
from tapegrad.testing import check_grads

RNG = np.random.default_rng(11)
SHAPES = [(), (0,), (1,), (4,), (0, 3), (3, 0), (1, 1), (2, 3), (3, 3), (2, 1, 2), (2, 1, 2, 3)]
WINDOWS = np.lib.stride_tricks.sliding_window_view


def counts(x):
    return 1 + np.arange(np.shape(np.atleast_2d(x))[-1]) % 3


OF_ANY_SHAPE = {
    "angle": np.angle,
    "angle in degrees": lambda x: np.angle(x, deg=True),
    "iscomplex": np.iscomplex,
    "isreal": np.isreal,
    "fftshift": np.fft.fftshift,
    "ifftshift of an axis": lambda x: np.fft.ifftshift(x, axes=-1),
    "matrix_transpose": np.matrix_transpose,
    "diagonal": np.linalg.diagonal,
    "trace": lambda x: np.linalg.trace(x, offset=1),
    "diag_indices_from": np.diag_indices_from,
    "triu_indices_from": lambda x: np.triu_indices_from(x, 1),
    "tril_indices_from": np.tril_indices_from,
    "ix_": lambda x: np.ix_(x > 0.0, [1, 2], []),
    "windows": lambda x: WINDOWS(x, 2, axis=-1),
    "windows of all axes": lambda x: WINDOWS(x, (1,) * np.ndim(x)),
    "unwrap": lambda x: np.unwrap(5.0 * x),
    "unwrap of an axis": lambda x: np.unwrap(5.0 * x, 2.0, axis=0, period=3.0),
    "cov": np.cov,
    "cov of columns": lambda x: np.cov(x, rowvar=False, bias=True),
    "cov of two": lambda x: np.cov(x, np.ones(3), ddof=0),
    "cov of counts": lambda x: np.cov(x, fweights=counts(x), aweights=0.5 + counts(x) ** 2),
    "corrcoef": np.corrcoef,
    "corrcoef of two": lambda x: np.corrcoef(x, x**2),
    "bincount": lambda x: np.bincount([0, 2, 2, 1], x, minlength=5),
    "bincount of floats": lambda x: np.bincount(x),
    "histogram": lambda x: np.histogram(x, 4),
    "histogram of edges": lambda x: np.histogram(x, [-1.0, 0.0, 0.25, 2.0], weights=x),
    "histogram of a range": lambda x: np.histogram(x, 3, (-1.0, 1.0), True, np.square(x)),
    "histogram of wrong edges": lambda x: np.histogram(x, [1.0, 0.0]),
    "histogram of no bins": lambda x: np.histogram(x, 0),
    "slogdet": np.linalg.slogdet,
    "matrix_power": lambda x: np.linalg.matrix_power(x, 3),
    "inverse power": lambda x: np.linalg.matrix_power(x, -2),
    "power of nothing": lambda x: np.linalg.matrix_power(x, 0),
    "multi_dot": lambda x: np.linalg.multi_dot([x, x.T, x]),
    "multi_dot of vectors": lambda x: np.linalg.multi_dot([x, np.ones((4, 2)), np.ones((2, 4)), x]),
    "vector_norm": np.linalg.vector_norm,
    "vector_norm of axes": lambda x: np.linalg.vector_norm(x, axis=(0, -1), ord=1, keepdims=True),
    "convolve": lambda x: np.convolve(x, x),
    "convolve with a list": lambda x: np.convolve([1.0, 2.0], x, "same"),
    "correlate": lambda x: np.correlate(x, [1.0, 2.0], "full"),
    "average": lambda x: np.average(x, axis=0),
    "average with weights": lambda x: np.average(x, axis=-1, weights=np.ones(np.shape(x))),
    "mean": lambda x: np.mean(x, axis=0),
    "einsum_path": lambda x: len(np.einsum_path("...i,...i", x, x)[0]),
}
if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
    OF_ANY_SHAPE |= {
        "cumulative_sum": lambda x: np.cumulative_sum(x, include_initial=True),
        "cumulative_prod": lambda x: np.cumulative_prod(x, axis=0),
    }
if np.lib.NumpyVersion(np.__version__) >= "2.4.0":  # before, there is no norm of no element
    OF_ANY_SHAPE |= {
        "matrix_norm": lambda x: np.linalg.matrix_norm(x, ord=1, keepdims=True),
        "norm 1": lambda x: np.linalg.norm(x, 1),
        "norm inf": lambda x: np.linalg.norm(x, np.inf),
        "norm -inf": lambda x: np.linalg.norm(x, -np.inf),
        "norm inf of an axis": lambda x: np.linalg.norm(x, np.inf, axis=0, keepdims=True),
    }


@pytest.mark.parametrize("name", OF_ANY_SHAPE)
def test_a_function_is_numpys_over_shapes(name):
    for shape in SHAPES:
        x = np.asarray(RNG.normal(size=shape))
        assert_recorded_as_numpy(OF_ANY_SHAPE[name], x, label=f"{shape}")


def test_a_number_is_put_into_an_array_of_no_axes():
    def f(x):
        y = np.zeros(())
        np.put(y, 0, x[1] ** 2)
        return np.sum(y * x[0])

    assert tg.grad(f)(np.array([2.0, 3.0])).tolist() == [9.0, 12.0]


# The samples that decide bins and steps are off the edges.
LOSSES = {
    "cov": lambda x: np.sum(np.cov(x.reshape(2, 3)) ** 2),
    "cov by weights": lambda x: np.sum(np.cov(x.reshape(2, 3), aweights=x[:3] ** 2 + 0.5) ** 2),
    "corrcoef": lambda x: np.corrcoef(x.reshape(2, 3))[0, 1],
    "bincount": lambda x: np.sum(np.bincount([0, 2, 2, 1, 0, 2], x**2) * [1.0, 2.0, 3.0]),
    "histogram": lambda x: np.sum(np.histogram(x, 3, (-3, 3), weights=x**2)[0] * [1.0, 2.0, 3.0]),
    "density": lambda x: np.sum(np.histogram(x, 3, density=True)[0] * [1.0, 2.0, 4.0]),
    "edges": lambda x: np.sum(np.histogram_bin_edges(x, 3) * [1.0, 2.0, 3.0, 5.0]),
    "unwrap": lambda x: np.sum(np.unwrap(6.0 * x) ** 2),
    "angle": lambda x: np.sum(np.angle(x) * x),
    "slogdet": lambda x: np.linalg.slogdet(np.outer(x[:2], x[2:4]) + np.eye(2) * x[4]).logabsdet,
    "matrix_power": lambda x: np.sum(np.linalg.matrix_power(x[:4].reshape(2, 2), 5)),
    "inverse power": lambda x: np.sum(np.linalg.matrix_power(x[:4].reshape(2, 2), -1)),
    "multi_dot": lambda x: np.linalg.multi_dot(
        [x[:2], x[:4].reshape(2, 2), np.ones((2, 3)), x[3:] ** 2]
    ),
    "windows": lambda x: np.sum(np.prod(WINDOWS(x, 3), axis=-1)),
    "shift": lambda x: np.sum(np.fft.fftshift(x) ** 2 * np.arange(6.0)),
    "masked rows": lambda x: np.sum(x.reshape(2, 3)[np.ix_(x[:2] > 0.0, [0, 2])] ** 2),
    "upper part": lambda x: np.sum(np.outer(x, x)[np.triu_indices_from(np.outer(x, x))]),
}
POINT = np.array([0.31, -0.72, 1.13, 0.54, 1.92, -1.35])


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_the_differences(name):
    check_grads(LOSSES[name], (POINT,))


@pytest.mark.parametrize("name", ["histogram", "density", "unwrap", "masked rows", "corrcoef"])
def test_a_replay_where_samples_moved_is_what_a_fresh_recording_is(name):
    assert_replays_as_recorded(LOSSES[name], [RNG.permutation(POINT) for _ in range(6)])
