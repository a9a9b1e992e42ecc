"""What is used of SciPy's private interfaces, of its distributions' code: all of it is here.

`faults` says what of it is missing in the SciPy that is installed, which a test asks: what runs
as SciPy's own code is found by these names, and checked against SciPy's values where it's used.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import Any

from tapegrad.interfaces import Search

INFRASTRUCTURE = "scipy.stats._distn_infrastructure"
BOOST = "scipy.special._ufuncs"
MULTIVARIATE = "scipy.stats._multivariate"
NEW_KIND = "scipy.stats._distribution_infrastructure"  # from SciPy 1.15 on
DENSITY_ESTIMATES = "scipy.stats._kde"

# Written for SciPy 1.11 to 1.17: what chooses among cases, by module and name. One of each
# generation is enough.
_CHOOSING = {
    ("scipy._lib.array_api_extra", "apply_where"): "apply_where",
    ("scipy._lib._util", "_lazyselect"): "lazy_select",
    ("scipy._lib._util", "_lazywhere"): "lazy_where",
}

_METHODS = {
    "rv_generic": "_argcheck _get_support _stats _logcdf _sf _logsf _ppf _isf _munp _nnlf stats "
                  "entropy nnlf interval mean var std median",
    "rv_continuous": "_pdf _logpdf _cdf _entropy _unpack_loc_scale _updated_ctor_param pdf logpdf "
                     "cdf logcdf sf logsf ppf isf",
    "rv_discrete": "_pmf _logpmf _cdf _entropy _nonzero _unpack_loc_scale _updated_ctor_param pmf "
                   "logpmf cdf logcdf sf logsf ppf isf",
}  # fmt: skip


def infrastructure() -> Any:
    """Return the module of the distributions' base classes."""
    return importlib.import_module(INFRASTRUCTURE)


def covariances() -> Any:
    """Return the module of covariance objects."""
    return importlib.import_module("scipy.stats._covariance")


@functools.cache
def choosing() -> dict[Any, str]:
    """Return SciPy's functions that choose among cases, and which each is."""
    found = {}
    for (module, name), kind in _CHOOSING.items():
        known = sys.modules.get(module)
        if known is not None and hasattr(known, name):
            found[getattr(known, name)] = kind
    return found


def is_generic(thing: Any) -> bool:
    """Whether a thing is one of SciPy's distributions."""
    module: ModuleType | None = sys.modules.get(INFRASTRUCTURE)
    return module is not None and isinstance(thing, module.rv_generic)


def is_discrete(dist: Any) -> bool:
    """Whether a distribution is of whole numbers."""
    return isinstance(dist, infrastructure().rv_discrete)


def frozen_kinds() -> list[type]:
    """Return the classes of frozen distributions, of which older SciPys have but one."""
    names = ("rv_frozen", "rv_continuous_frozen", "rv_discrete_frozen")
    return [vars(infrastructure())[name] for name in names if name in vars(infrastructure())]


def is_sample(dist: Any) -> bool:
    """Whether a distribution is of given values, which needn't be whole."""
    return isinstance(dist, infrastructure().rv_sample)


def whole_parameters(dist: Any, count: int) -> list[bool]:
    """Return of each shape parameter whether SciPy says that it's a whole number."""
    try:
        found = [info.integrality for info in dist._shape_info()]
    except (AttributeError, NotImplementedError):  # of a user's class
        found = []
    return found if len(found) == count else [False] * count


def faults() -> list[str]:
    """Return what is missing of what is used here, in words that name SciPy's version."""
    search = Search()
    for kind, methods in _METHODS.items():
        for name in methods.split():
            search.find(INFRASTRUCTURE, f"{kind}.{name}")
    for name in ("rv_sample", "rv_frozen.__init__"):
        search.find(INFRASTRUCTURE, name)
    search.find("scipy.stats._distn_infrastructure", "rv_frozen.__init__", "self", "dist", "args")
    for kind in ("CovViaCholesky", "CovViaDiagonal", "CovViaEigendecomposition", "CovViaPSD"):
        for name in ("_whiten", "__init__"):
            search.find("scipy.stats._covariance", f"{kind}.{name}")
    for kind in ("multivariate_normal", "multivariate_t", "dirichlet", "multinomial"):
        search.find(MULTIVARIATE, f"{kind}_frozen.__init__")
    search.find(DENSITY_ESTIMATES, "gaussian_kde.evaluate", "self", "points")
    if not choosing():
        search.faults.append("none of SciPy's functions that choose among cases is there")
    version = importlib.import_module("scipy").__version__
    return [f"SciPy {version}: {fault}" for fault in search.faults]
