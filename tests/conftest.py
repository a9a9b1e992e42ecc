"""Modules that a test writes, and that are forgotten after it; and silence about compiling."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

os.environ["TAPEGRAD_QUIET"] = "1"


@pytest.fixture
def make_module(tmp_path, monkeypatch):
    """Write a module, import it, and forget it after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make(name, source):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]
