"""What the README shows runs: each example alone, and all of them as one script."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def needs_graphviz(example):
    return ".save(" in example and shutil.which("dot") is None


def check_results(example, names):
    """Compare what an example says its expressions return; return how many there are."""
    results = re.findall(r"^(tg\..*?)  # (-?[\d.]+)", example, re.M)
    for code, result in results:
        digits = result.rstrip(".").partition(".")[2]
        assert abs(eval(code, names) - float(result.rstrip("."))) < 10.0 ** -len(digits), code
    return len(results)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_alone(number, tmp_path, monkeypatch):
    if needs_graphviz(EXAMPLES[number]):
        pytest.skip("Graphviz is not installed")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"example_{number}.py"
    file.write_text(EXAMPLES[number], encoding="utf-8")
    names = {"__name__": f"example_{number}"}
    exec(compile(EXAMPLES[number], str(file), "exec"), names)
    check_results(EXAMPLES[number], names)


def test_the_examples_run_as_one_script_and_show_what_they_return(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = [example for example in EXAMPLES if not needs_graphviz(example)]
    file = tmp_path / "examples.py"
    script = "\n".join(examples)
    file.write_text(script, encoding="utf-8")
    names = {"__name__": "examples"}
    exec(compile(script, str(file), "exec"), names)
    assert sum(check_results(example, names) for example in examples) >= 3
