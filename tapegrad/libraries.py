"""Whose code a thing is: the user's, a library's, or this package's.

Libraries are the standard one and those named here, which don't change while a program runs.
Whatever else is installed counts as the user's.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

# What is installed beside these is the user's own as much as what is edited: it may change.
NUMERICAL = frozenset(
    [
        "arviz", "astropy", "autograd", "bottleneck", "casadi", "contourpy", "cupy", "cvxpy",
        "cycler", "dask", "emcee", "h5py", "jax", "jaxlib", "joblib", "kiwisolver", "llvmlite",
        "matplotlib", "mpl_toolkits", "mpmath", "netCDF4", "networkx", "numba", "numexpr",
        "numpy", "opt_einsum", "pandas", "patsy", "PIL", "polars", "pyarrow", "pymc", "pythran",
        "pytz", "scipy", "seaborn", "skimage", "sklearn", "sparse", "statsmodels", "sympy",
        "tables", "tensorflow", "threadpoolctl", "torch", "tqdm", "xarray", "dateutil"
    ]
)  # fmt: skip

# Tools that numerical code is run by, or shows its progress with.
TOOLS = frozenset(
    [
        "attr", "attrs", "certifi", "click", "cloudpickle", "colorama", "coverage", "debugpy",
        "execnet", "hypothesis", "importlib_metadata", "ipykernel", "IPython", "ipywidgets",
        "jinja2", "jupyter_client", "loguru", "markupsafe", "mypy", "notebook", "packaging",
        "pip", "pkg_resources", "pluggy", "psutil", "pydantic", "pydantic_core",
        "pydantic_settings", "pygments", "pytest", "_pytest", "requests", "rich", "setuptools",
        "six", "sortedcontainers", "tornado", "traitlets", "typing_extensions", "urllib3",
        "wandb", "xdist", "yaml"
    ]
)  # fmt: skip

LIBRARIES = NUMERICAL | TOOLS

_STANDARD = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]([^/\\.]+)")
PACKAGE = str(Path(__file__).parent)


@functools.cache
def in_library(file: str) -> bool:
    """Whether a source file is the standard library's, a named library's, or this package's."""
    installed = _INSTALLED.findall(file)
    if installed:
        return installed[-1] in LIBRARIES or file.startswith(PACKAGE)
    return file.startswith((*_STANDARD, PACKAGE, "<frozen"))


def is_library_name(module: str) -> bool:
    """Whether a module of this name is the standard library's, a named one's or this one's."""
    top = module.partition(".")[0]
    return top in LIBRARIES or top in sys.stdlib_module_names or top == "tapegrad"


def is_library_module(module: ModuleType) -> bool:
    """Whether a module is a library's; one without a file if its name is one's."""
    file = vars(module).get("__file__")
    if file is None:
        return is_library_name(module.__name__)
    return module.__name__ != "__main__" and in_library(file)


def is_library_object(thing: Any) -> bool:
    """Whether a class, or the class of an object, is a library's."""
    name = module_of(thing if isinstance(thing, type) else type(thing))
    module = sys.modules.get(name)
    return is_of_this_package(name) or (module is not None and is_library_module(module))


def module_of(kind: type) -> str:
    """Return the name of the module that a class is from."""
    name = kind.__module__  # a descriptor where a class derived from `type` has none of its own
    return name if isinstance(name, str) else "builtins"


def is_compiler_object(thing: Any) -> bool:
    """Whether an object is part of a compiler, whose insides are endless and no user's data."""
    return module_of(type(thing)).startswith(("numba.core", "numba.stencils", "llvmlite."))


def is_of_this_package(module: str | None) -> bool:
    """Whether a module of this name belongs to this package."""
    return (module or "").partition(".")[0] == "tapegrad"


def frames_to_user() -> int:
    """Return how many frames up, from the caller, the first one outside this package is."""
    count, frame = 0, sys._getframe(1)
    while frame.f_back is not None and is_of_this_package(frame.f_globals.get("__name__")):
        count, frame = count + 1, frame.f_back
    return count


def frames_to_users_code() -> int:
    """Return the `stacklevel` at which a warning of the caller's is at the user's line."""
    count, frame = 1, sys._getframe(1)
    while frame.f_back is not None and in_library(frame.f_code.co_filename):
        count, frame = count + 1, frame.f_back
    return count
