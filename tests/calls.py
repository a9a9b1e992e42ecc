"""Calls of every function that can be recorded of two arrays of one shape."""

from __future__ import annotations

import numpy as np
import scipy.special

import tapegrad as tg
from tapegrad.record.functions.registry import RULES
from tapegrad.special_table import FUNCTIONS

_FIRST = ("absolute amax amin all any argmax argmin argsort argwhere around array_equiv atleast_1d "
          "atleast_2d atleast_3d average copy count_nonzero cumprod cumsum diag diagflat "
          "diagonal diff ediff1d fix flatnonzero flip "
          "fliplr flipud i0 imag iscomplexobj isneginf isposinf isrealobj linalg.det linalg.inv "
          "linalg.norm max mean median min nan_to_num nanargmax nanargmin nancumprod nancumsum "
          "nanmax nanmean nanmin nanprod nanstd nansum nanvar ndim nonzero ones_like prod ptp "
          "ravel real real_if_close rot90 round shape sinc size sort squeeze std sum trace "
          "transpose tril triu unique vander var zeros_like gradient trapezoid "
          "linalg.matrix_transpose matrix_transpose")  # fmt: skip
_BOTH = ("allclose append array_equal broadcast_arrays column_stack convolve correlate divmod "
         "dot inner isclose kron linalg.solve linalg.vecdot lexsort matmul may_share_memory "
         "meshgrid outer polyval shares_memory vdot vecdot")  # fmt: skip
_PAIR = "block column_stack concatenate dstack hstack lexsort stack vstack"


def _named(name):
    function = np
    for part in name.split("."):
        function = getattr(function, part)
    return function


def _changed(function):
    """A call that changes a copy of its first array, as one that returns it."""

    def call(x, y):
        x = x.copy()
        function(x, y)
        return x

    return call


def _lines(function):
    """A function of the elements in one line, each line of 12 at most."""
    return lambda x, y: function(np.ravel(x)[:12], np.ravel(y)[:12])


def _spectral(name):
    """Calls of one of NumPy's transforms: of real and of complex numbers, its two parts."""
    function = getattr(np.fft, name)
    several = name.endswith(("2", "n"))

    def parts(z):
        return z.real, z.imag

    calls = [
        lambda x, y: parts(function(x)),
        (lambda x, y: parts(function(x, (3,) * min(2, np.ndim(x)), axes=(-1, 0)[: np.ndim(x)])))
        if several else lambda x, y: parts(function(x, 4, axis=0, norm="ortho")),
    ]  # fmt: skip
    if not name.startswith(("rf", "ih")):
        calls.append(lambda x, y: parts(function(x + 1j * y, norm="forward")))
    return calls


def _where_into(ufunc):
    return lambda x, y: ufunc(x, where=y > 0.5, out=np.zeros_like(x * y))


_FORMS = ((_FIRST, lambda function: lambda x, y: function(x)),
          (_BOTH, lambda function: lambda x, y: function(x, y)),
          (_PAIR, lambda function: lambda x, y: function([x, y])))  # fmt: skip
CALLS = {f"numpy.{name}": [form(_named(name))] for names, form in _FORMS for name in names.split()
         if hasattr(np, name) or hasattr(np.linalg, name[7:])}  # fmt: skip


def _definite(x, y):
    """A positive definite matrix."""
    both = x + 0.5 * y
    return np.matmul(both, np.swapaxes(both, -1, -2)) + np.eye(np.shape(x)[-2])


_FURTHER = {
    "all": [lambda x, y: np.all(x > y, axis=-1)],
    "any": [lambda x, y: np.any(x > y, axis=0)],
    "angle": [lambda x, y: np.angle(x - 0.5), lambda x, y: np.angle(-x, deg=True)],
    "apply_along_axis": [lambda x, y: np.apply_along_axis(np.sum, 0, x)],
    "argpartition": [lambda x, y: np.argpartition(np.atleast_1d(x), 0)[..., 0]],
    "array_split": [lambda x, y: np.array_split(x, 2)],
    "average": [lambda x, y: np.average(x, weights=y), lambda x, y: np.average(x, axis=-1)],
    "bincount": [_lines(lambda x, y: np.bincount(np.arange(len(x)) % 2, x, 3)),
                 _lines(lambda x, y: np.bincount([1, 0, 1], weights=y[:3]))],
    "broadcast_to": [lambda x, y: np.broadcast_to(x, (2, *np.shape(x)))],
    "choose": [lambda x, y: np.choose(np.zeros(np.shape(x), int), [x, y])],
    "clip": [lambda x, y: np.clip(x, 0.4, y), lambda x, y: np.clip(0.5, x, y)],
    "compress": [lambda x, y: np.compress([True], x), _lines(lambda x, y: np.compress(x > y, y))],
    "can_cast": [lambda x, y: np.can_cast(x, np.float64)],
    "common_type": [lambda x, y: np.common_type(x, y) is np.float64],
    "copyto": [_changed(np.copyto), _changed(lambda x, y: np.copyto(x, y, where=y > 0.5))],
    "corrcoef": [lambda x, y: np.corrcoef(x + np.square(y)), lambda x, y: np.corrcoef(x, y**2)],
    "cov": [lambda x, y: np.cov(x, y), lambda x, y: np.cov(x, rowvar=False, ddof=0),
            lambda x, y: np.cov(x, aweights=np.ravel(y)[: np.shape(np.atleast_2d(x))[1]])],
    "cross": [lambda x, y: np.cross(np.ravel(x)[:3], np.ravel(y)[:3])],
    "cumulative_prod": [lambda x, y: np.cumulative_prod(np.ravel(x), include_initial=True)],
    "cumulative_sum": [lambda x, y: np.cumulative_sum(np.atleast_1d(x), axis=-1)],
    "cumsum": [lambda x, y: np.cumsum(x, axis=-1), lambda x, y: np.cumsum(x[::-1])],
    "cumprod": [lambda x, y: np.cumprod(x, axis=0), lambda x, y: np.cumprod(np.transpose(x))],
    "delete": [lambda x, y: np.delete(x, 0, axis=-1)],
    "diag_indices_from": [lambda x, y: x[np.diag_indices_from(y)]],
    "diff": [lambda x, y: np.diff(x, axis=0), lambda x, y: np.diff(x, prepend=0.5)],
    "digitize": [lambda x, y: np.digitize(x, [0.2, 0.5, 0.7])],
    "dot": [lambda x, y: x.dot(x), lambda x, y: np.dot(np.transpose(x), y),
            lambda x, y: np.dot(x, 2.0)],
    "dsplit": [lambda x, y: np.dsplit(x, 1)],
    "einsum": [lambda x, y: np.einsum("...,...", x, y), lambda x, y: np.einsum("...i->...", x),
               lambda x, y: np.einsum("ij,kj->ik", x, y), lambda x, y: np.einsum("ii", x),
               lambda x, y: np.einsum("...i,...i,...i", x, y, x)],
    "einsum_path": [lambda x, y: len(np.einsum_path("...i,...i", x, y)[0])],
    "empty_like": [lambda x, y: np.shape(np.empty_like(x))],
    "expand_dims": [lambda x, y: np.expand_dims(x, 0)],
    "extract": [lambda x, y: np.extract(x > y, y)],
    "fft.fftshift": [lambda x, y: np.fft.fftshift(x), lambda x, y: np.fft.fftshift(x, axes=-1)],
    "fft.ifftshift": [lambda x, y: np.fft.ifftshift(x)],
    "fill_diagonal": [_changed(lambda x, y: np.fill_diagonal(x, 2.0)),
                      _changed(lambda x, y: np.fill_diagonal(x, np.ravel(y)[:1]))],
    "full_like": [lambda x, y: np.full_like(x, 2.0), lambda x, y: np.full_like(x, y)],
    "geomspace": [lambda x, y: np.geomspace(x, y, 4)],
    "gradient": [lambda x, y: np.gradient(x, 2.0, axis=0)],
    "histogram": [
        lambda x, y: np.histogram(x, 3, (0.0, 1.0), weights=y),
        lambda x, y: np.histogram(x, [0.0, 0.3, 0.6, 1.0], weights=np.ones(np.shape(x))),
        lambda x, y: np.histogram(np.linspace(0.0, 1.0, np.size(y)).reshape(np.shape(y)), 4,
                                  density=True, weights=y),
        lambda x, y: np.histogram(x, 5)],
    "histogram_bin_edges": [lambda x, y: np.histogram_bin_edges(x, 4)],
    "hsplit": [lambda x, y: np.hsplit(x, 1)],
    "insert": [lambda x, y: np.insert(x, 0, y[:1] if np.ndim(y) == 1 else 2.0, axis=0)],
    "interp": [lambda x, y: np.interp(x, [0.0, 0.5, 1.0], [1.0, 3.0, 2.0]),
               _lines(lambda x, y: np.interp(0.4, np.cumsum(x), y))],
    "iscomplex": [lambda x, y: np.iscomplex(x)],
    "isreal": [lambda x, y: np.isreal(x)],
    "ix_": [lambda x, y: x[np.ix_(np.ones(np.shape(x)[0]) > 0.5, y[0] > 0.5)],
            lambda x, y: x[np.ix_(*[np.ravel(y[..., :1]) > 0.3])]],
    **{f"lib.scimath.{name}": [lambda x, y, name=name: getattr(np.emath, name)(x)]
       for name in ("arccos", "arcsin", "arctanh", "log", "log10", "log2", "sqrt")},
    "lib.scimath.logn": [lambda x, y: np.emath.logn(2.0, x)],
    "lib.scimath.power": [lambda x, y: np.emath.power(x, y)],
    "roots": [lambda x, y: np.roots(np.append([1.0, -4.0], np.ravel(x)[:1]))],
    "lib.stride_tricks.sliding_window_view": [
        lambda x, y: np.lib.stride_tricks.sliding_window_view(x, 2, axis=-1)],
    "linalg.cross": [lambda x, y: np.linalg.cross(np.ravel(x)[:3], np.ravel(y)[:3])],
    "linalg.det": [lambda x, y: np.linalg.det(np.matmul(x, np.swapaxes(y, -1, -2)))],
    "linalg.diagonal": [lambda x, y: np.linalg.diagonal(x, offset=1)],
    "linalg.matmul": [lambda x, y: np.linalg.matmul(x, np.swapaxes(y, -1, -2))],
    "linalg.matrix_norm": [lambda x, y: np.linalg.matrix_norm(x, keepdims=True)],
    "linalg.matrix_power": [
        lambda x, y, n=n: np.linalg.matrix_power(np.matmul(x, np.swapaxes(y, -1, -2)), n)
        for n in (0, 1, 2, 5)] + [lambda x, y: np.linalg.matrix_power(
            np.matmul(x, np.swapaxes(y, -1, -2)) + 3.0 * np.eye(np.shape(x)[-2]), -2)],
    "linalg.multi_dot": [lambda x, y: np.linalg.multi_dot([x, y.T, x, np.ones(np.shape(x)[-1])]),
                         lambda x, y: np.linalg.multi_dot([x, y.T])],
    "linalg.outer": [lambda x, y: np.linalg.outer(x, y)],
    "linalg.slogdet": [lambda x, y: np.linalg.slogdet(
        np.matmul(x, np.swapaxes(y, -1, -2)) + 3.0 * np.eye(np.shape(x)[-2]))],
    "linalg.tensordot": [lambda x, y: np.linalg.tensordot(x, y, axes=1)],
    "linalg.trace": [lambda x, y: np.linalg.trace(x, offset=-1)],
    "linalg.vector_norm": [lambda x, y: np.linalg.vector_norm(x, axis=-1, keepdims=True),
                           lambda x, y: np.linalg.vector_norm(x, ord=1)],
    "linalg.norm": [lambda x, y: np.linalg.norm(x, axis=-1),
                    lambda x, y: np.linalg.norm(np.append(x, 0.25), 1),
                    lambda x, y: np.linalg.norm(np.append(x, y), np.inf) if np.size(x) else x],
    "linalg.inv": [lambda x, y: np.linalg.inv(
        np.matmul(x, np.swapaxes(y, -1, -2)) + 3.0 * np.eye(np.shape(x)[-2]))],
    "linalg.solve": [lambda x, y: np.linalg.solve(
        np.matmul(x, np.swapaxes(y, -1, -2)) + 3.0 * np.eye(np.shape(x)[-2]), y)],
    "linalg.cholesky": [lambda x, y: np.linalg.cholesky(_definite(x, y)),
                        lambda x, y: np.linalg.cholesky(_definite(x, y), upper=True)],
    "linalg.cond": [lambda x, y: np.linalg.cond(_definite(x, y)),
                    lambda x, y: np.linalg.cond(_definite(x, y), 1)],
    "linalg.eig": [lambda x, y: np.linalg.eig(np.matmul(
        _definite(x, y), np.diag(1.0 + np.arange(np.shape(x)[-2]))))],
    "linalg.eigvals": [lambda x, y: np.linalg.eigvals(np.matmul(
        _definite(x, y), np.diag(1.0 + np.arange(np.shape(x)[-2]))))],
    "linalg.eigh": [lambda x, y: np.linalg.eigh(_definite(x, y)),
                    lambda x, y: np.linalg.eigh(_definite(x, y), "U")],
    "linalg.eigvalsh": [lambda x, y: np.linalg.eigvalsh(_definite(x, y))],
    "linalg.lstsq": [lambda x, y: np.linalg.lstsq(x, y)[0], lambda x, y: np.linalg.lstsq(x.T, x.T)],
    "linalg.pinv": [lambda x, y: np.linalg.pinv(x), lambda x, y: np.linalg.pinv(y, rtol=0.1)],
    "linalg.qr": [lambda x, y: np.linalg.qr(x), lambda x, y: np.linalg.qr(y, "r"),
                  lambda x, y: np.linalg.qr(y, "complete")[1]],
    "linalg.svd": [lambda x, y: np.linalg.svd(x, full_matrices=False),
                   lambda x, y: np.linalg.svd(y)[1], lambda x, y: np.linalg.svd(
                       _definite(x, y), hermitian=True)[1]],
    "linalg.matrix_rank": [lambda x, y: np.linalg.matrix_rank(x),
                           lambda x, y: np.linalg.matrix_rank(_definite(x, y), hermitian=True),
                           lambda x, y: np.linalg.matrix_rank(y, 0.5)],
    "linalg.tensorinv": [lambda x, y: np.linalg.tensorinv(_definite(x, y), ind=1)],
    "linalg.tensorsolve": [lambda x, y: np.linalg.tensorsolve(_definite(x, y), y[:, 0])],
    "linalg.svdvals": [lambda x, y: np.linalg.svdvals(x)],
    "linspace": [lambda x, y: np.linspace(x, y, 4), lambda x, y: np.linspace(x, y, 1)],
    "logspace": [lambda x, y: np.logspace(x, y, 3)],
    "matmul": [lambda x, y: x @ np.swapaxes(y, -1, -2), lambda x, y: np.swapaxes(x, -1, -2) @ y,
               lambda x, y: np.matmul(x[::-1], np.swapaxes(x, -1, -2))],
    "max": [lambda x, y: np.max(x, axis=-1), lambda x, y: np.max(x, initial=0.5)],
    "mean": [lambda x, y: np.mean(x, axis=0, keepdims=True)],
    "min": [lambda x, y: np.min(x, axis=0)],
    "moveaxis": [lambda x, y: np.moveaxis(x, 0, -1)],
    "pad": [lambda x, y: np.pad(x, 1), lambda x, y: np.pad(x, 1, mode="edge")],
    "partition": [lambda x, y: np.partition(np.atleast_1d(x), 0)[..., 0]],
    "percentile": [lambda x, y: np.percentile(x, 30.0), lambda x, y: np.percentile(x, [10, 90], 0)],
    "piecewise": [lambda x, y: np.piecewise(x, [x > 0.5], [lambda u: u * u, 2.0])],
    "place": [_changed(lambda x, y: np.place(x, y > 0.5, [1.0, 2.0]))],
    "polyval": [lambda x, y: np.polyval([1.0, 2.0, 3.0], x)],
    "prod": [lambda x, y: np.prod(x, axis=0), lambda x, y: np.prod(x, where=y > 0.5)],
    "put": [_changed(lambda x, y: np.put(np.atleast_1d(x), [0], 3.0))],
    "put_along_axis": [_changed(lambda x, y: np.put_along_axis(
        x, np.zeros((1,) * np.ndim(x), int), 2.0, 0))],
    "putmask": [_changed(lambda x, y: np.putmask(x, y > 0.5, y))],
    "quantile": [lambda x, y: np.quantile(x, 0.3), lambda x, y: np.quantile(x, 0.5, axis=-1)],
    "repeat": [lambda x, y: np.repeat(x, 2), lambda x, y: np.repeat(x, 2, axis=0)],
    "result_type": [lambda x, y: np.result_type(x, y) == np.float64],
    "reshape": [lambda x, y: np.reshape(x, -1)],
    "resize": [lambda x, y: np.resize(x, (2, 3))],
    "roll": [lambda x, y: np.roll(x, 1), lambda x, y: np.roll(x, 1, axis=0)],
    "rollaxis": [lambda x, y: np.rollaxis(x, np.ndim(x) - 1)],
    "searchsorted": [lambda x, y: np.searchsorted([0.2, 0.5, 0.7], x)],
    "select": [lambda x, y: np.select([x > y, x > 0.5], [x, y * 2.0], 0.25)],
    "split": [lambda x, y: np.split(x, 1)],
    "std": [lambda x, y: np.std(x, axis=0)],
    "sum": [lambda x, y: np.sum(x, axis=0), lambda x, y: np.sum(x, axis=-1, keepdims=True),
            lambda x, y: np.sum(x, where=y > 0.5), lambda x, y: np.sum(x.T, initial=2.0)],
    "swapaxes": [lambda x, y: np.swapaxes(x, 0, -1)],
    "take": [lambda x, y: np.take(x, [0, -1]), lambda x, y: np.take(x, 0, axis=-1)],
    "take_along_axis": [lambda x, y: np.take_along_axis(x, np.argsort(y, -1), -1)],
    "tensordot": [lambda x, y: np.tensordot(x, y, 0), lambda x, y: np.tensordot(x, y, 1),
                  lambda x, y: np.tensordot(x, y, (-1, -1)),
                  lambda x, y: np.tensordot(x, y, np.ndim(x))],
    "tile": [lambda x, y: np.tile(x, 2)],
    "trapezoid": [lambda x, y: np.trapezoid(x, y)],
    "unique": [lambda x, y: np.unique(np.concatenate([np.ravel(x), np.ravel(x)]))],
    "var": [lambda x, y: np.var(x, axis=-1, ddof=1)],
    "tril_indices_from": [lambda x, y: x[np.tril_indices_from(y, 1)]],
    "triu_indices_from": [lambda x, y: x[np.triu_indices_from(x)]],
    "unstack": [lambda x, y: np.unstack(x, axis=-1)],
    "unwrap": [lambda x, y: np.unwrap(10.0 * x), lambda x, y: np.unwrap(x, period=0.5, axis=0),
               lambda x, y: np.unwrap(y, 0.3)],
    "vsplit": [lambda x, y: np.vsplit(x, 1)],
    "where": [lambda x, y: np.where(x > y, x, y), lambda x, y: np.where(y > 0.5, 1.0, x)],
}  # fmt: skip
for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "ifft2", "rfft2", "irfft2",
              "fftn", "ifftn", "rfftn", "irfftn"):  # fmt: skip
    _FURTHER[f"fft.{_name}"] = _spectral(_name)
for _name, _calls in _FURTHER.items():
    CALLS[f"numpy.{_name}"] = CALLS.get(f"numpy.{_name}", []) + _calls

_SPECIAL = {
    "boxcox": [lambda x, y: scipy.special.boxcox(x, y)],
    "comb": [lambda x, y: scipy.special.comb(x, y)],
    "lambertw": [lambda x: scipy.special.lambertw(x)],
    "multigammaln": [lambda x: scipy.special.multigammaln(x + 3.0, 2)],
    "zeta": [lambda x: scipy.special.zeta(x + 1.5)],
    "wofz": [
        lambda x, y: np.abs(scipy.special.wofz(x + 1j * y)),
        lambda x: scipy.special.wofz(x).imag,
    ],
    "log_softmax": [
        lambda x: scipy.special.log_softmax(x),
        lambda x: scipy.special.log_softmax(x, axis=0),
    ],
    "logsumexp": [
        lambda x: scipy.special.logsumexp(x),
        lambda x: scipy.special.logsumexp(x, axis=-1),
    ],
    "polygamma": [lambda x: scipy.special.polygamma(1, x)],
    "softplus": [lambda x: scipy.special.softplus(x)],
    "softmax": [lambda x: scipy.special.softmax(x), lambda x: scipy.special.softmax(x, axis=-1)],
    "iv": [lambda x: scipy.special.iv(1, x)],
    "ive": [lambda x: scipy.special.ive(2, x)],
}


REACHED_BY_NAME = [
    f"scipy.special.{name}"
    for name in (
        "comb",
        "lambertw",
        "log_softmax",
        "logsumexp",
        "multigammaln",
        "polygamma",
        "softmax",
        "zeta",
    )
]
"""What records only in a function that is differentiated, since NumPy has no say in it."""


def _ufunc_calls(ufunc):
    """Calls of a ufunc and its methods, of arrays, an array and a number, and views.

    SciPy's ufuncs are called without `where=` and methods, which crash in SciPy 1.17.
    """
    is_numpys = getattr(np, ufunc.__name__, None) is ufunc
    if ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert):  # of truth values
        return [lambda x, y: ufunc(*(x > 0.5, y > x)[: ufunc.nin])]
    if ufunc.nin == 1:
        calls = [lambda x, y: ufunc(x), lambda x, y: ufunc(np.flip(np.transpose(x)))]
        return calls + [_where_into(ufunc)] * is_numpys
    calls = [lambda x, y: ufunc(x, y), lambda x, y: ufunc(x, 0.5), lambda x, y: ufunc(2.0, y),
             lambda x, y: ufunc(x, np.full(np.shape(x), 0.25)), lambda x, y: ufunc(x, x),
             lambda x, y: ufunc(np.ones((2, *[1] * np.ndim(x))), x),
             lambda x, y: ufunc(x[::-1], y[..., :1])]  # fmt: skip
    has_methods = ufunc.nout == 1 and ufunc.signature is None and ufunc not in RULES
    if is_numpys and has_methods:
        calls += [lambda x, y: ufunc.outer(x, y), lambda x, y: ufunc.reduce(x),
                  lambda x, y: ufunc.accumulate(x), lambda x, y: ufunc.reduceat(x, [0, 0]),
                  lambda x, y: ufunc.reduce(x, axis=-1, keepdims=True),
                  lambda x, y: ufunc.reduce(np.transpose(x)),
                  lambda x, y: ufunc.accumulate(x[::-1], axis=-1),
                  _changed(lambda x, y: ufunc.at(x, 0, 0.5))]  # fmt: skip
    return calls


def calls_of(name):
    """Return the calls of a function by the name `tapegrad.supported` gives it."""
    module, _, short = name.rpartition(".")
    is_special = module == "scipy.special"
    function = getattr(scipy.special, short, None) if is_special else _named(name[6:])
    calls = list(CALLS.get(name, []))
    if is_special and short in _SPECIAL:
        return [call if call.__code__.co_argcount == 2 else lambda x, y, call=call: call(x)
                for call in _SPECIAL[short]]  # fmt: skip
    return calls + (_ufunc_calls(function) if isinstance(function, np.ufunc) else [])


PARTLY = {f"scipy.special.{name}" for name, row in FUNCTIONS.items()
          if None in row.partials or "0" in row.partials}  # fmt: skip
"""What has no rule by some operand, or none of its own by one that's taken as it is."""

NAMES = [name for name in tg.supported()
         if name.startswith(("numpy.", "scipy.special.")) and name not in PARTLY]  # fmt: skip
"""The functions of arrays of any shape."""


def uncovered():
    """Return those of them that nothing here calls."""
    return [name for name in NAMES if not calls_of(name)]
