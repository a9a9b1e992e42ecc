"""What isn't public of Numba: one error says what another version hasn't got, or has otherwise."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import llvmlite
import numba
import pytest
from numba.core import base, cgutils, codegen, ir, ir_utils
from numba.np import arrayobj

from tapegrad import numba_internals as internals

ROOT = Path(__file__).parent.parent


def looked_up():
    """The module, as another process would import it."""
    spec = importlib.util.spec_from_file_location("internals_again", internals.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fault():
    with pytest.raises(ImportError) as caught:
        looked_up()
    return str(caught.value)


def test_everything_is_there():
    assert looked_up()._arrays() is arrayobj


def test_a_function_that_is_missing_is_named_with_the_versions_and_the_remedy(monkeypatch):
    monkeypatch.delattr(cgutils, "alloca_once")
    text = fault()
    assert "numba.core.cgutils.alloca_once is missing. " in text
    assert f"Numba {numba.__version__} and llvmlite {llvmlite.__version__}: " in text
    assert text.endswith("pip install 'numba>=0.63,<0.69'")


def test_a_module_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba.misc.appdirs", None)
    assert "numba.misc.appdirs.AppDirs is missing" in fault()


def test_other_parameters_are_named(monkeypatch):
    monkeypatch.setattr(ir_utils, "guard", lambda state, func, *args: None)
    assert "numba.core.ir_utils.guard takes (state, func, args), not (func)" in fault()


def test_methods_and_their_parameters_are_looked_at(monkeypatch):
    monkeypatch.delattr(base.BaseContext, "get_dummy_value")
    monkeypatch.setattr(base.BaseContext, "cast", lambda self, builder, fromty, toty, val: val)
    text = fault()
    assert "numba.core.cpu.CPUContext.get_dummy_value is missing" in text
    assert "CPUContext.cast takes (self, builder, fromty, toty, val), not (self, builder, " in text


def test_what_a_constructor_sets_is_looked_at(monkeypatch):
    monkeypatch.setattr(ir.FunctionIR, "__init__", lambda self, blocks: None)
    for library in (codegen.CodeLibrary, codegen.CPUCodeLibrary):
        monkeypatch.setattr(library, "__init__", lambda self, name: None)
    text = fault()
    assert "numba.core.ir.FunctionIR._definitions is missing" in text
    assert "numba.core.codegen.CPUCodeLibrary._reload_init is missing" in text


def test_what_numba_imports_late_is_looked_at_when_it_is_needed(monkeypatch):
    monkeypatch.delattr(arrayobj, "lt_implementation")
    module = looked_up()
    with pytest.raises(ImportError, match=r"numba\.np\.arrayobj\.lt_implementation is missing"):
        module._arrays()


def test_the_oldest_version_declared_is_the_oldest_that_is_known():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"numba>={internals.OLDEST}" in project["dependencies"]
    version = [int(part) for part in re.findall(r"\d+", numba.__version__)[:2]]
    oldest, newest = ([*map(int, x.split("."))] for x in (internals.OLDEST, internals.NEWEST))
    assert oldest <= version <= newest
