"""The layers of the package: which module may import which, read from the source."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tapegrad"

# From the lowest floor to the highest. A module may import from its own floor and from lower
# ones; a package's name stands for all of its modules.
FLOORS = [
    ["interfaces", "numba_protocols", "numba_internals", "numba_cache"],
    ["errors", "ops", "expression", "tree", "libraries", "layout", "caching", "notice", "progress"],
    ["generated", "jit", "special_table"],
    ["special", "blocks", "growth", "rows", "instructions", "binding", "columns", "memory"],
    ["block_calls"],
    ["program", "listing"],
    ["tape", "rules"],
    ["checking"],
    ["replay"],
    ["passes", "roll"],
    ["record"],
    ["codegen"],
    ["embed"],
    ["function"],
    ["derivatives", "drawing"],
    ["implicit", "custom"],
    ["explained"],
    ["compiled", "testing", "__init__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# Within the packages, the same.
RECORD_FLOORS = [
    [
        "kinds",
        "nesting",
        "open_tape",
        "frames",
        "intervals",
        "dependence",
        "templates",
        "exact",
        "pairs",
        "detours",
        "stand_ins",
        "steps",
    ],
    ["emission", "trampolines", "stores"],
    ["expressions", "refusals", "labelled"],
    ["numba_operations"],
    ["appending"],
    ["active", "elementwise", "scans", "guards", "expansion"],
    ["array"],
    ["called"],
    ["active_sweeps"],
    ["arithmetic", "plain"],
    ["operators", "stopping"],
    ["functions", "linear", "complex_numbers"],
    ["creation", "mathematics"],
    ["scipy"],
    ["interpolation"],
    ["stored_results"],
    ["lists"],
    ["interception"],
    ["namespaces"],
    ["distributions", "signals", "spatial"],
    ["scipy_families"],
    ["storing"],
    ["twins"],
    ["numba"],
]


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def dotted(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def is_for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@functools.cache
def imports(path, everywhere=True):
    """The modules that a file imports, but for type checkers."""
    return list(found_imports(path, everywhere))


def found_imports(path, everywhere):
    nodes = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while nodes:
        node = nodes.pop()
        if is_for_types_only(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                inner = PACKAGE.parent / Path(*node.module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else node.module
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.extend(child for child in ast.iter_child_nodes(node))


def top(name):
    """The part of a module's dotted name that has a floor."""
    return (name.split(".") + ["__init__"])[1]


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_a_module_imports_nothing_from_a_higher_floor(path):
    own = FLOOR[top(dotted(path))]
    for name in imports(path):
        if name.split(".")[0] == "tapegrad":
            assert FLOOR[top(name)] <= own, f"{dotted(path)} imports {name}"


RECORD_FLOOR = {name: floor for floor, names in enumerate(RECORD_FLOORS) for name in names}


def recorders():
    return [path for path in modules() if dotted(path).startswith("tapegrad.record.")]


def part_of_record(name):
    """The part of a recorder's dotted name that has a floor of its own, if it's a recorder."""
    return name.split(".")[2] if name.startswith("tapegrad.record.") else None


@pytest.mark.parametrize("path", recorders(), ids=dotted)
def test_recorders_import_nothing_from_a_higher_floor_of_theirs(path):
    own = RECORD_FLOOR[part_of_record(dotted(path))]
    parts = {part_of_record(name) for name in imports(path)} - {None}
    for part in parts:
        assert RECORD_FLOOR[part] <= own, f"{dotted(path)} imports {part}"


def test_every_recorder_has_a_floor_and_imports_from_lower_ones():
    assert {part_of_record(dotted(path)) for path in recorders()} == set(RECORD_FLOOR)
    imported = {part_of_record(name) for path in recorders() for name in imports(path)}
    assert len(imported & set(RECORD_FLOOR)) > len(RECORD_FLOOR) // 2


def test_imports_have_no_cycle():
    graph = {dotted(path): set(imports(path)) for path in modules()}
    done, active = set(), []

    def visit(name):
        assert name not in active, " -> ".join([*active, name])
        if name in done or name not in graph:
            return
        active.append(name)
        for other in graph[name]:
            visit(other)
        done.add(active.pop())

    for name in graph:
        visit(name)
    assert done == set(graph)


def test_every_floor_is_of_the_package_and_every_module_has_a_floor():
    found = {top(dotted(path)) for path in modules()}
    assert found == set(FLOOR)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_optional_libraries_are_not_imported_with_the_package(path):
    optional = {"scipy", "matplotlib", "graphviz", "mpmath", "hypothesis", "pytest"}
    assert optional.isdisjoint(name.split(".")[0] for name in imports(path, everywhere=False))


PUBLIC = {
    *("numba", "numba.types", "numba.extending"),
    *("llvmlite", "llvmlite.ir", "llvmlite.binding"),
}


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of something that is no package
        return False


def parts_of_compilers(tree):
    """The modules of Numba and llvmlite that a file imports, or reads as attributes."""
    named = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = {"llvm": "llvmlite.binding"}.get(node.value.id, node.value.id)
            named.append(f"{owner}.{node.attr}")
    of_compilers = {name for name in named if name.split(".")[0] in {"numba", "llvmlite"}}
    return {name for name in of_compilers if is_module(name)}


def hidden_attributes(tree):
    """The attributes with an underscore that a file reads of what isn't its own class's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            owner = getattr(node.value, "id", None)
            if owner not in {"self", "cls", "sys"}:
                yield node.attr


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


INTERNALS = PACKAGE / "numba_internals.py"


def test_what_is_not_public_of_numba_is_reached_in_one_module():
    hidden = set(hidden_attributes(parsed(INTERNALS)))
    assert {"_reload_init", "_compile_for_args", "_definitions"} < hidden
    for path in modules():
        tree = parsed(path)
        if path != INTERNALS:
            assert parts_of_compilers(tree) <= PUBLIC, path
            assert not hidden & set(hidden_attributes(tree)), path


def test_modules_of_numba_that_are_not_public_are_noticed():
    source = "from numba.core import ir\nimport numba\nnumba.np.arrayobj\nnumba.njit\nllvm.ffi.lib"
    found = parts_of_compilers(ast.parse(source)) - PUBLIC
    assert found == {"numba.core", "numba.core.ir", "numba.np", "llvmlite.binding.ffi"}


def test_third_party_imports_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", entry)[0] for entry in project["dependencies"]}
    foreign = {
        name.split(".")[0]
        for path in modules()
        for name in imports(path, everywhere=False)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "tapegrad"}
    }
    assert foreign == declared


def test_the_package_works_without_scipy():
    code = """
import sys
sys.modules["scipy"] = None
import math, numpy as np, tapegrad
f = tapegrad.grad(lambda x: np.sum(np.exp(x)) * math.sin(x[0]))
print(f(np.array([0.0, 1.0]))[1], len(tapegrad.supported()) > 100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "0.0 True", done.stderr


def test_no_two_files_have_one_name():
    names = [path.name for path in modules() if path.name != "__init__.py"]
    assert sorted(set(names)) == sorted(names)
