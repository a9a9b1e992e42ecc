"""Functions that move elements, take them by index and make arrays, against NumPy itself."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy, outcome, recorded_outcome

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4))

OF_ANY_SHAPE = {
    "reshape": lambda x: np.reshape(x, -1),
    "ravel": np.ravel,
    "ravel by columns": lambda x: np.ravel(x, order="F"),
    "transpose": np.transpose,
    "squeeze": np.squeeze,
    "expand_dims": lambda x: np.expand_dims(x, 0),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "copy": np.copy,
    "flip": np.flip,
    "roll": lambda x: np.roll(x, 2),
    "tile": lambda x: np.tile(x, 2),
    "tile of axes": lambda x: np.tile(x, (2, 1, 3)),
    "resize": lambda x: np.resize(x, (2, 3)),
    "delete": lambda x: np.delete(x, []),
    "concatenate": lambda x: np.concatenate([x, x * 2.0]),
    "stack": lambda x: np.stack([x, 1.0 - x], axis=-1),
    "hstack": lambda x: np.hstack([x, x]),
    "vstack": lambda x: np.vstack([x, x]),
    "dstack": lambda x: np.dstack([x, x]),
    "column_stack": lambda x: np.column_stack([x, x]),
    "block": lambda x: np.block([[x, x], [2.0 * x, x]]),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, np.ones((2, 1, 1, 1))),
    "atleast_1d": np.atleast_1d,
    "atleast_2d": np.atleast_2d,
    "atleast_3d": np.atleast_3d,
    "atleast_1d of two": lambda x: np.atleast_1d(x, 2.0),
    "append": lambda x: np.append(x, [1.0, 2.0]),
    "append of itself": lambda x: np.append(x, x, axis=0),
    "insert": lambda x: np.insert(x, 0, 5.0),
    "repeat": lambda x: np.repeat(x, 2),
    "repeat along an axis": lambda x: x.repeat(3, axis=0),
    "pad": lambda x: np.pad(x, 1),
    "zeros_like": lambda x: np.zeros_like(x),
    "ones_like": lambda x: np.ones_like(x),
    "full_like": lambda x: np.full_like(x, 3.0),
    "full_like of another shape": lambda x: np.full_like(x, 3.0, shape=(2, 2)),
    "shape": lambda x: [*np.shape(x), np.ndim(x), np.size(x)],
    "take": lambda x: np.take(x, [0, 0, -1], mode="wrap"),
    "real": np.real,
    "imag": np.imag,
    "conj": np.conj,
    "iscomplexobj": lambda x: [np.iscomplexobj(x), np.isrealobj(x)],
    "result_type": lambda x: np.zeros(2, np.result_type(x, np.float32)),
}
SHAPES = [(), (0,), (1,), (5,), (3, 4), (0, 3), (2, 3, 2)]


@pytest.mark.parametrize("name", OF_ANY_SHAPE)
def test_a_move_is_numpys_over_shapes(name):
    for shape in SHAPES:
        assert_recorded_as_numpy(OF_ANY_SHAPE[name], RNG.normal(size=shape), label=f"{shape}")
    assert_recorded_as_numpy(OF_ANY_SHAPE[name], RNG.normal(size=(4, 6))[::-2, 1::2].T)


OF_A_MATRIX = {
    "reshape by columns": lambda x: np.reshape(x, (2, 6), order="F"),
    "transpose of axes": lambda x: np.transpose(x[None], (1, 0, 2)),
    "squeeze of an axis": lambda x: np.squeeze(x[:, None], axis=1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x[None], [0, 1], [-1, 0]),
    "rollaxis": lambda x: np.rollaxis(x[None], 2),
    "flip of an axis": lambda x: np.flip(x, 1),
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": lambda x: np.rot90(x, 3),
    "roll of an axis": lambda x: np.roll(x, (1, -2), axis=(0, 1)),
    "diagonal": lambda x: np.diagonal(x, 1),
    "diagonal method": lambda x: x.diagonal(-1),
    "diag": lambda x: np.diag(x),
    "diag of a vector": lambda x: np.diag(x[0], -1),
    "diagflat": lambda x: np.diagflat(x[:2, :2]),
    "tril": lambda x: np.tril(x, 1),
    "triu": lambda x: np.triu(x),
    "delete of a row": lambda x: np.delete(x, 1, axis=0),
    "delete by a mask": lambda x: np.delete(x, np.array([True, False, True]), axis=0),
    "split": lambda x: np.split(x, [1, 3], axis=1),
    "split in equal parts": lambda x: np.split(x, 2, axis=1),
    "split in unequal parts": lambda x: np.split(x, 2, axis=0),
    "array_split": lambda x: np.array_split(x, 3, axis=1),
    "hsplit": lambda x: np.hsplit(x, 2),
    "vsplit": lambda x: np.vsplit(x, 3),
    "dsplit": lambda x: np.dsplit(x[None], 4),
    "concatenate with plain": lambda x: np.concatenate([x, np.ones((1, 4))]),
    "concatenate along none": lambda x: np.concatenate([x, [1.0]], axis=None),
    "concatenate of unequal": lambda x: np.concatenate([x, x.T]),
    "concatenate of numbers": lambda x: np.stack([x[0, 0], 2.0, x[1, 2]]),
    "block of blocks": lambda x: np.block([[x, np.zeros((3, 1))], [np.ones((1, 4)), x[0, 0]]]),
    "meshgrid": lambda x: np.meshgrid(x[0], x[:2, 1]),
    "meshgrid by index": lambda x: np.meshgrid(x[0], [1.0, 2.0], indexing="ij"),
    "append of a row": lambda x: np.append(x, [[1.0, 2.0, 3.0, 4.0]], axis=0),
    "insert of a row": lambda x: np.insert(x, 1, x[2] * 2.0, axis=0),
    "insert of several": lambda x: np.insert(x[0], [1, 3], [7.0, 8.0]),
    "insert in a plain array": lambda x: np.insert(np.ones(3), 1, x[0, 0]),
    "repeat by counts": lambda x: np.repeat(x, [2, 0, 1], axis=0),
    "pad by widths": lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=5.0),
    "pad by active": lambda x: np.pad(x[0], 2, constant_values=x[1, 1]),
    "pad by a pair": lambda x: np.pad(x, (1, 2), constant_values=((1.0, 2.0), (3.0, 4.0))),
    "pad by the edge": lambda x: np.pad(x, ((1, 2), (0, 1)), mode="edge"),
    "pad by reflection": lambda x: np.pad(x, 2, mode="reflect"),
    "pad by symmetry": lambda x: np.pad(x, 2, mode="symmetric"),
    "pad by wrapping": lambda x: np.pad(x, (2, 1), "wrap"),
    "take along an axis": lambda x: np.take(x, [[0, 2], [1, 1]], axis=1),
    "take beyond": lambda x: np.take(x, [0, 99]),
    "take clipped": lambda x: x.take([0, 99], mode="clip"),
    "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1),
    "take_along no axis": lambda x: np.take_along_axis(x, np.array([1, 5]), axis=None),
    "apply_along_axis": lambda x: np.apply_along_axis(lambda v: v[::-1] * v[0], 0, x),
    "apply_along_axis to numbers": lambda x: np.apply_along_axis(np.sum, 1, x),
    "zeros_like filled": lambda x: _filled(np.zeros_like(x), x),
    "empty_like filled": lambda x: _filled(np.empty_like(x), x),
    "zeros_like of a shape": lambda x: np.zeros_like(x, shape=(2, 5)),
    "put": lambda x: _changed(x, lambda a: np.put(a, [0, -1, 5], [x[0, 1], 2.0])),
    "put clipped": lambda x: _changed(x, lambda a: a.put([99, 2], 7.0, mode="clip")),
    "put of a list longer": lambda x: _changed(x, lambda a: np.put(a, [1, 2], [1.0, 2.0, 3.0])),
    "put_along_axis": lambda x: _changed(
        x, lambda a: np.put_along_axis(a, np.array([[0], [3], [1]]), x[:, :1] * 2.0, axis=1)
    ),
    "copyto": lambda x: _changed(x, lambda a: np.copyto(a, x[::-1] ** 2)),
    "copyto of a mask": lambda x: _changed(x, lambda a: np.copyto(a, 3.0, where=x > 0)),
    "fill_diagonal": lambda x: _changed(x, lambda a: np.fill_diagonal(a, x[0, 3])),
    "fill_diagonal wrapped": lambda x: _changed(
        np.zeros_like(x, shape=(7, 3)), lambda a: np.fill_diagonal(a, x[0, :3], wrap=True)
    ),
    "out of concatenate": lambda x: _into(x, lambda o: np.concatenate([x[:1], x[1:]], out=o)),
    "out of stack": lambda x: _into(x, lambda o: np.stack(list(x[::-1]), out=o)),
    "out of take": lambda x: _into(x, lambda o: np.take(x, [2, 1, 0], axis=0, out=o)),
}  # fmt: skip


def _filled(array, x):
    array[...] = x
    return array


def _changed(x, change):
    array = np.copy(x)
    assert change(array) is None
    return array


def _into(x, function):
    out = np.zeros_like(x)
    assert function(out) is out
    return out


@pytest.mark.parametrize("name", OF_A_MATRIX)
def test_a_move_of_a_matrix_is_numpys(name):
    assert_recorded_as_numpy(OF_A_MATRIX[name], X)
    assert_recorded_as_numpy(OF_A_MATRIX[name], np.ascontiguousarray(X.T).T)


@pytest.mark.parametrize("name", OF_A_MATRIX)
def test_gradients_of_moves(name):
    function = OF_A_MATRIX[name]
    if isinstance(outcome(function, X), Exception):
        return  # NumPy refuses too, which the test above compares
    check_grads(lambda x: function(np.sin(x)), (X,), order=2)


VIEWS = {
    "reshape": lambda x: np.reshape(x, -1)[1:3],
    "ravel": lambda x: np.ravel(x)[5:7],
    "transpose": lambda x: np.transpose(x)[1],
    "swapaxes": lambda x: np.swapaxes(x, 0, 1)[2:],
    "moveaxis": lambda x: np.moveaxis(x, 0, 1)[0],
    "rollaxis": lambda x: np.rollaxis(x, 1)[0],
    "flip": lambda x: np.flip(x)[0],
    "flipud": lambda x: np.flipud(x)[0],
    "rot90": lambda x: np.rot90(x)[1],
    "expand_dims": lambda x: np.expand_dims(x, 1)[2],
    "squeeze": lambda x: np.squeeze(x[:1]),
    "atleast_3d": lambda x: np.atleast_3d(x)[1],
    "split": lambda x: np.split(x, 3)[1],
    "array_split": lambda x: np.array_split(x, 2, axis=1)[1],
    "hsplit": lambda x: np.hsplit(x, 2)[0],
    "slices with steps": lambda x: x[::-2, 1::2],
    "an ellipsis": lambda x: x[..., 1],
    "a new axis": lambda x: x[:, None, 2:],
    "the real part": lambda x: np.real(x)[0],
    "a view of a view": lambda x: x.T[1:][::-1][0],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_is_seen_through_a_view(name):
    view = VIEWS[name]

    def through_the_view(x):
        x = x * 1.0
        part = view(x)
        part[...] = 2.0 * part + np.sum(x)
        return x

    def through_the_array(x):
        x = x * 1.0
        part = view(x)
        x *= np.cos(x)
        return part + np.sum(x)

    for program in (through_the_view, through_the_array):
        assert_recorded_as_numpy(program, X)
        check_grads(program, (X,))


COPIES = {
    "copy": np.copy,
    "fancy": lambda x: x[[0, 1, 2]],
    "mask": lambda x: x[np.array([True, True, True])],
    "flatten": lambda x: x.flatten(),
    "roll": lambda x: np.roll(x, 1),
    "concatenate": lambda x: np.concatenate([x, x]),
    "take": lambda x: np.take(x, [0, 1], axis=0),
    "astype": lambda x: x.astype(float),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_write_to_a_copy_leaves_the_array(name):
    def program(x):
        copy = COPIES[name](x)
        copy[...] = 0.0
        return x * 2.0

    assert_recorded_as_numpy(program, X)


def test_a_broadcast_view_cannot_be_written():
    def program(x):
        np.broadcast_to(x, (2, 3, 4))[0, 0, 0] = 1.0

    assert isinstance(outcome(program, X), ValueError)
    assert isinstance(recorded_outcome(program, X), ValueError)


def test_moves_of_truth_values_stay_truth_values():
    for function in (np.ravel, np.flip, lambda m: np.concatenate([m, ~m]), lambda m: np.stack([m]),
                     lambda m: np.where(m, m, False), lambda m: np.pad(m, 1, mode="edge"),
                     lambda m: np.insert(m, 0, True), lambda m: np.take(m, [0, 1])):  # fmt: skip
        assert_recorded_as_numpy(lambda x, function=function: function(x > 0.0), X)


def test_shares_memory_as_numpy():
    for view in (*VIEWS.values(), *COPIES.values()):
        assert_recorded_as_numpy(
            lambda x, view=view: np.bool_(np.shares_memory(x, view(x))), X * 1.0
        )


def test_a_plain_array_cannot_take_active_numbers():
    plain = np.zeros((3, 4))
    for change in (
        lambda x: np.copyto(plain, x),
        lambda x: np.put(plain, [0], x),
        lambda x: np.put_along_axis(plain, np.array([[0], [0], [0]]), x[:, :1], 1),
    ):
        with pytest.raises(UnsupportedFunctionError, match=r"write y = np\.array\(plain, float\)"):
            tg.jvp(change, (X,), (X,))
    assert not plain.any()


@pytest.mark.parametrize("mode", ["linear_ramp", "mean", "median", "maximum", "minimum"])
def test_a_padding_without_a_rule_is_named(mode):
    with pytest.raises(UnsupportedFunctionError, match=f"mode='{mode}'.*concatenate"):
        tg.grad(lambda x: np.sum(np.pad(x, 1, mode=mode)))(X)


def test_active_whole_numbers_take_elements_under_guards():
    rows = RNG.normal(size=(4, 2))

    gradient = tg.grad(lambda x: np.sum(np.take(rows * x, np.floor(x[:1]), axis=0)))
    for point in (np.array([1.5, 0.5]), np.array([2.5, 0.5]), np.array([1.25, 0.75])):
        expected = np.array([rows[int(point[0]), 0], rows[int(point[0]), 1]])
        np.testing.assert_allclose(gradient(point), expected)
    with pytest.raises(TypeError, match="whole"):
        tg.grad(lambda x: np.sum(np.take(rows * x, x[:1])))(np.array([1.5, 0.5]))
