"""What the README shows runs, one example after the other."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)

pytestmark = pytest.mark.xdist_group("readme")  # one example uses what another defined


@pytest.fixture(scope="module")
def names():
    """The names that the examples before have made, and the data that one is given."""
    t = np.linspace(0.0, 4.0, 50)
    return {"t": t, "y": 1.3 * np.exp(-0.8 * t)}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example, names, tmp_path, monkeypatch):
    if ".save(" in example and shutil.which("dot") is None:
        pytest.skip("the program dot is not installed")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "example.py"
    file.write_text(example, encoding="utf-8")
    exec(compile(example, str(file), "exec"), names)


def test_results_in_comments_are_those_of_the_code(names):
    for example in EXAMPLES:
        for code, result in re.findall(r"^(tg\..*?)  # (-?[\d.]+)", example, re.M):
            digits = result.rstrip(".").partition(".")[2]
            value = float(eval(code, names))
            assert abs(value - float(result.rstrip("."))) < 10.0 ** -len(digits), code
