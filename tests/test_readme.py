"""What the README shows runs, one example after the other."""

import re
import shutil
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def test_the_examples_run_and_show_what_they_return(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = np.linspace(0.0, 4.0, 50)
    names = {"t": t, "y": 1.3 * np.exp(-0.8 * t)}  # data that an example is given
    results = 0
    for number, example in enumerate(EXAMPLES):
        if ".save(" in example and shutil.which("dot") is None:
            continue
        file = tmp_path / f"example_{number}.py"
        file.write_text(example, encoding="utf-8")
        exec(compile(example, str(file), "exec"), names)
        for code, result in re.findall(r"^(tg\..*?)  # (-?[\d.]+)", example, re.M):
            digits = result.rstrip(".").partition(".")[2]
            assert abs(eval(code, names) - float(result.rstrip("."))) < 10.0 ** -len(digits), code
            results += 1
    assert results >= 3
