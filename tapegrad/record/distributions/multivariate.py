"""Multivariate distributions of SciPy's: normal, Student's t, Dirichlet and multinomial.

A covariance matrix is factored by Cholesky, where SciPy takes its eigenvalues: what is singular
is refused. `Covariance` objects give what they were made of.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.distributions import scipy_private
from tapegrad.record.distributions.case_formulas import special
from tapegrad.record.distributions.methods import squeezed
from tapegrad.record.functions.operands import is_active
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import HOLDERS, Row, no_rule, on_import
from tapegrad.record.trampolines import stand_for

_LOG_2PI = math.log(2.0 * math.pi)
_METHODS: dict[str, Callable[..., Any]] = {}


def _method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the rule of methods, named as ``"dirichlet_gen.pdf"``."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        _METHODS.update(dict.fromkeys(names, rule))
        return rule

    return register


@on_import(scipy_private.MULTIVARIATE)
def _prepare(module: Any) -> None:
    """Have the methods replaced, and objects that hold active numbers recognised."""
    covariances = scipy_private.covariances()
    makers = {}
    for full, rule in _METHODS.items():
        kind, _, name = full.partition(".")
        owner = getattr(module, kind, None) or getattr(covariances, kind)
        function = vars(owner)[name]
        makers[function] = Row(f"scipy.stats.{_title(kind)}.{name}", function, rule).neutral
    stand_for(makers)
    HOLDERS.update(
        {getattr(module, name) for name in ("multivariate_normal_frozen", "multivariate_t_frozen",
                                            "dirichlet_frozen", "multinomial_frozen")}
        | {getattr(covariances, name) for name in _COVARIANCES}
    )  # fmt: skip


_COVARIANCES = ("CovViaCholesky", "CovViaDiagonal", "CovViaPrecision", "CovViaEigendecomposition")


def _title(kind: str) -> str:
    return kind.removesuffix("_gen").removesuffix("_frozen")


# --- covariances ------------------------------------------------------------------------------


def _covariance_of(cov: Any, dim: int, what: str) -> Any:
    """Return a covariance object of a number, variances or a matrix."""
    if isinstance(cov, scipy_private.covariances().Covariance):
        return cov
    cov = operand(cov)
    if cov.ndim == 0:
        cov = cov * np.eye(dim)
    elif cov.ndim == 1:
        cov = np.diag(cov)
    if cov.shape != (dim, dim):
        raise ValueError(f"Array 'cov' must be of shape {(dim, dim)}, not {cov.shape}.")
    try:
        factor = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError as error:
        raise no_rule(f"{what} of a matrix that isn't positive definite") from error
    return scipy_private.covariances().CovViaCholesky(factor)


def _dimension(center: Any, cov: Any) -> tuple[int, Any]:
    """Return how many dimensions there are, and the center."""
    shape = np.shape(cov) if not hasattr(cov, "shape") else cov.shape
    if center is None:
        dim = shape[0] if len(shape) > 1 else 1
        return dim, np.zeros(dim)
    center = operand(center).reshape(-1)
    return center.shape[0], center


def _points(x: Any, dim: int) -> Any:
    """Return points as rows."""
    x = operand(x)
    if x.ndim == 0:
        return x.reshape(1)
    if x.ndim == 1:
        return x.reshape(-1, 1) if dim == 1 else x.reshape(1, -1)
    return x


def _distances(x: Any, dim: int, center: Any, cov: Any, what: str) -> tuple[Any, Any]:
    """Return squared Mahalanobis distances and the logarithm of the covariance's determinant."""
    if np.any(cov._rank < dim):
        raise no_rule(f"{what} of a singular covariance")
    deviation = _points(x, dim) - center
    return np.sum(np.square(cov._whiten(deviation)), axis=-1), cov._log_pdet


@_method("CovViaDiagonal.__init__")
def _diagonal(self: Any, diagonal: Any) -> None:
    self._sqrt_diagonal = np.sqrt(diagonal)
    self._LP = 1.0 / self._sqrt_diagonal
    self._log_pdet = np.sum(np.log(diagonal), axis=-1)
    self._covariance = np.diag(diagonal)
    _complete(self, diagonal, self._covariance.shape)


@_method("CovViaEigendecomposition.__init__")
def _eigendecomposition(self: Any, eigendecomposition: Any) -> None:
    self._w, self._v = map(operand, eigendecomposition)
    self._LP = self._v / np.sqrt(self._w)
    self._LA = self._v * np.sqrt(self._w)
    self._log_pdet = np.sum(np.log(self._w), axis=-1)
    _complete(self, self._w, self._v.shape)


def _complete(cov: Any, variances: Any, shape: tuple[int, ...]) -> None:
    if not bool(np.all(variances > 0.0)):
        raise no_rule("a singular scipy.stats.Covariance")
    cov._rank, cov._shape, cov._allow_singular = shape[-1], shape, True


# --- normal -----------------------------------------------------------------------------------


def _normal(x: Any, dim: int, mean: Any, cov: Any) -> Any:
    distances, log_det = _distances(x, dim, mean, cov, "scipy.stats.multivariate_normal.logpdf")
    return squeezed(-0.5 * (dim * _LOG_2PI + log_det + distances))


@_method("multivariate_normal_gen.logpdf")
def _normal_logpdf(self: Any, x: Any, mean: Any = None, cov: Any = 1,
                   allow_singular: bool = False) -> Any:  # fmt: skip
    dim, mean = _dimension(mean, cov)
    return _normal(x, dim, mean, _covariance_of(cov, dim, "scipy.stats.multivariate_normal.logpdf"))


@_method("multivariate_normal_gen.pdf")
def _normal_pdf(self: Any, x: Any, mean: Any = None, cov: Any = 1,
                allow_singular: bool = False) -> Any:  # fmt: skip
    return np.exp(_normal_logpdf(self, x, mean, cov))


@_method("multivariate_normal_frozen.__init__")
def _normal_frozen(self: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False,
                   seed: Any = None) -> None:  # fmt: skip
    self._dist = sys.modules["scipy.stats"].multivariate_normal
    self.dim, self.mean = _dimension(mean, cov)
    self.cov_object = _covariance_of(cov, self.dim, "scipy.stats.multivariate_normal")
    self.allow_singular = allow_singular


@_method("multivariate_normal_frozen.logpdf")
def _normal_frozen_logpdf(self: Any, x: Any) -> Any:
    return _normal(x, self.dim, self.mean, self.cov_object)


@_method("multivariate_normal_frozen.pdf")
def _normal_frozen_pdf(self: Any, x: Any) -> Any:
    return np.exp(_normal_frozen_logpdf(self, x))


# --- Student's t ------------------------------------------------------------------------------


def _student(x: Any, dim: int, loc: Any, cov: Any, df: Any) -> Any:
    distances, log_det = _distances(x, dim, loc, cov, "scipy.stats.multivariate_t.logpdf")
    t = 0.5 * (df + dim)
    constant = special().gammaln(t) - special().gammaln(0.5 * df) - 0.5 * dim * np.log(df * np.pi)
    found = constant - 0.5 * log_det - t * np.log1p(distances / df)
    if is_active(df) or df == np.inf:
        normal = -0.5 * (dim * _LOG_2PI + log_det + distances)
        found = np.where(df < np.inf, found, normal)
    return squeezed(found)


def _checked(df: Any) -> Any:
    df = 1 if df is None else df
    if not bool(df > 0):
        raise ValueError("'df' must be greater than zero.")
    return df


@_method("multivariate_t_gen.logpdf")
def _student_logpdf(self: Any, x: Any, loc: Any = None, shape: Any = 1, df: Any = 1) -> Any:
    dim, loc = _dimension(loc, shape)
    cov = _covariance_of(shape, dim, "scipy.stats.multivariate_t.logpdf")
    return _student(x, dim, loc, cov, _checked(df))


@_method("multivariate_t_gen.pdf")
def _student_pdf(self: Any, x: Any, loc: Any = None, shape: Any = 1, df: Any = 1,
                 allow_singular: bool = False) -> Any:  # fmt: skip
    return np.exp(_student_logpdf(self, x, loc, shape, df))


@_method("multivariate_t_frozen.__init__")
def _student_frozen(self: Any, loc: Any = None, shape: Any = 1, df: Any = 1,
                    allow_singular: bool = False, seed: Any = None) -> None:  # fmt: skip
    self._dist = sys.modules["scipy.stats"].multivariate_t
    self.dim, self.loc = _dimension(loc, shape)
    self.shape, self.df = shape, _checked(df)
    self.shape_info = _covariance_of(shape, self.dim, "scipy.stats.multivariate_t")
    self.allow_singular = allow_singular


@_method("multivariate_t_frozen.logpdf")
def _student_frozen_logpdf(self: Any, x: Any) -> Any:
    cov = self.shape_info
    if not isinstance(cov, scipy_private.covariances().Covariance):
        cov = scipy_private.covariances().CovViaPSD(cov)  # of one that was made outside
    return _student(x, self.dim, self.loc, cov, self.df)


@_method("multivariate_t_frozen.pdf")
def _student_frozen_pdf(self: Any, x: Any) -> Any:
    return np.exp(_student_frozen_logpdf(self, x))


# --- of proportions ---------------------------------------------------------------------------


def _require(condition: Any, message: str) -> None:
    if not bool(np.all(condition)):
        raise ValueError(message)


@_method("dirichlet_gen.logpdf")
def _dirichlet_logpdf(self: Any, x: Any, alpha: Any) -> Any:
    x, alpha = operand(x), operand(alpha)
    _require(alpha > 0.0, "All parameters must be greater than 0")
    if x.shape[0] + 1 == alpha.shape[0]:
        x = np.concatenate([x, 1.0 - np.sum(x, axis=0, keepdims=True)])
    _require((x >= 0.0) & (x <= 1.0), "Each entry in 'x' must be from 0 to 1.")
    _require(np.abs(np.sum(x, axis=0) - 1.0) <= 1e-9,
             "The input vector 'x' must lie within the normal simplex.")  # fmt: skip
    exponents = alpha.reshape(-1, *(1,) * (x.ndim - 1)) - 1.0
    _require((x > 0.0) | (exponents >= 0.0),
             "Each entry in 'x' must be greater than zero if its alpha is below one.")  # fmt: skip
    gammaln = special().gammaln
    constant = gammaln(np.sum(alpha)) - np.sum(gammaln(alpha))
    return squeezed(constant + np.sum(special().xlogy(exponents, x), axis=0))


@_method("dirichlet_gen.pdf")
def _dirichlet_pdf(self: Any, x: Any, alpha: Any) -> Any:
    return np.exp(_dirichlet_logpdf(self, x, alpha))


@_method("dirichlet_frozen.__init__")
def _dirichlet_frozen(self: Any, alpha: Any, seed: Any = None) -> None:
    self.alpha, self._dist = operand(alpha), sys.modules["scipy.stats"].dirichlet


@_method("multinomial_frozen.__init__")
def _multinomial_frozen(self: Any, n: Any, p: Any, seed: Any = None) -> None:
    self._dist = sys.modules["scipy.stats"].multinomial
    self.n, self.p, self.npcond = n, operand(p), np.False_


@_method("multinomial_gen.logpmf")
def _multinomial_logpmf(self: Any, x: Any, n: Any, p: Any) -> Any:
    if is_active(x) or is_active(n):
        raise no_rule("scipy.stats.multinomial.logpmf by x or n, which are whole numbers,")
    x, n, p = np.asarray(x), np.asarray(n), operand(p)
    total = np.sum(p, axis=-1)
    is_off = np.abs(1.0 - total) > 10.0 * np.finfo(np.float32).eps / 2.0**29
    if bool(np.any(is_off)):
        warnings.warn("Some rows of `p` do not sum to 1.0: the last element of these rows is "
                      "adjusted to compensate", FutureWarning, stacklevel=2)  # fmt: skip
        last = np.where(is_off, 1.0 - np.sum(p[..., :-1], axis=-1), p[..., -1])
        p = np.concatenate([p[..., :-1], last[..., np.newaxis]], axis=-1)
    xlogy, gammaln = special().xlogy, special().gammaln
    found = gammaln(n + 1.0) + np.sum(xlogy(x, p) - gammaln(x + 1.0), axis=-1)
    is_outside = np.any((x != np.floor(x)) | (x < 0), axis=-1) | (np.sum(x, axis=-1) != n)
    found = np.where(is_outside, -np.inf, found)
    is_bad = np.any((p < 0.0) | (p > 1.0), axis=-1) | (n < 0)
    return np.where(is_bad, np.nan, found)


@_method("multinomial_gen.pmf")
def _multinomial_pmf(self: Any, x: Any, n: Any, p: Any) -> Any:
    return np.exp(_multinomial_logpmf(self, x, n, p))


NAMED.update(
    f"scipy.stats.{_title(full.partition('.')[0])}.{full.partition('.')[2]}"
    for full in _METHODS
    if "__init__" not in full
)


# --- what has no rule -------------------------------------------------------------------------


def _refused(name: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwds: Any) -> Any:
        raise no_rule(f"scipy.stats.{name}")

    return refuse


for _kind in ("multivariate_normal", "multivariate_t"):
    for _name in ("cdf", "rvs", "entropy"):
        for _form in ("gen", "frozen"):
            _method(f"{_kind}_{_form}.{_name}")(_refused(f"{_kind}.{_name}"))
