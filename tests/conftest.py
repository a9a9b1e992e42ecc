"""What all tests share: modules that a test writes, how many seeds are run, silence."""

from __future__ import annotations

import importlib
import os
import sys

import pytest
from hypothesis import settings


def pytest_addoption(parser):
    parser.addoption(
        "--seeds", type=int, default=1, metavar="N",
        help="run N times as many random programs and examples",
    )  # fmt: skip

    parser.addoption(
        "--exact", action="store_true",
        help="run each test in memory that is exactly as large as was asked for, which is checked",
    )  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not item.config.getoption("--exact"):
        return (yield)
    import exact  # of what is tested, so not for the process that hands out tests

    with exact.reservations():
        return (yield)


def pytest_configure(config):
    config.addinivalue_line("markers", "seeds(n, *more): the test is run with seeds 0 to n - 1")
    count = 40 * config.getoption("seeds")
    settings.register_profile("seeds", max_examples=count, deadline=None, derandomize=True)
    settings.load_profile("seeds")


# Those that take longest, in this order: a file that is begun late keeps one worker busy alone.
SLOW_FILES = (
    "test_compiled_programs_of_simulation", "test_compiled_programs_of_algebra",
    "test_compiled_programs", "test_compiled_arrays", "test_compiled_operations", "test_native",
    "test_compiled_embedding", "test_compiled_errors", "test_sweeps", "test_fuzz",
    "test_compiled_edges", "test_compiled_processes", "test_machine_code",
    "test_machine_code_of_examples", "test_programs", "test_special", "test_threads",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("seeds")
    if marker is not None:
        count, *more = marker.args
        every = range(count * metafunc.config.getoption("seeds"))
        metafunc.parametrize("seed", [*every, *(seed for seed in more if seed not in every)])


os.environ["TAPEGRAD_QUIET"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _every_program_that_is_compiled_is_checked():
    from tapegrad.codegen import compiled_tape
    from tapegrad.program.check import check

    def checked(program):
        check(program, stored=True)
        return alarmed(program)

    alarmed, compiled_tape.alarmed = compiled_tape.alarmed, checked
    yield
    compiled_tape.alarmed = alarmed


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
