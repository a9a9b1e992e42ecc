"""Files kept for later processes: whatever happens to them, they are made again, never believed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tapegrad import caching, generated
from tapegrad.caching import Entries

KEY = ("float64(float64)", ("x86_64", "skylake", ""), ("code", "cells"))
DATA = {"code": bytes(range(200)), "name": "kernel"}


def entries(directory, stem="kernel-1.py311", stamp="stamp"):
    return Entries(str(directory), stem, stamp)


@pytest.fixture
def saved(tmp_path):
    entries(tmp_path).save(KEY, DATA)
    (file,) = tmp_path.iterdir()
    return file


def test_what_was_saved_is_loaded(saved):
    assert entries(saved.parent).load(KEY) == DATA


def test_every_flipped_bit_is_noticed(saved):
    content = saved.read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(damaged)
        assert entries(saved.parent).load(KEY) is None


def test_files_cut_short_lengthened_or_missing_are_noticed(saved):
    content = saved.read_bytes()
    for length in (0, 1, 31, 32, 33, len(content) - 1):
        saved.write_bytes(content[:length])
        assert entries(saved.parent).load(KEY) is None
    saved.write_bytes(content + b"\0")
    assert entries(saved.parent).load(KEY) is None
    saved.unlink()
    assert entries(saved.parent).load(KEY) is None


def test_what_was_made_for_something_else_is_not_used(saved):
    assert entries(saved.parent, stamp="other sources").load(KEY) is None
    changed = (*KEY[:2], ("other code", "cells"))
    assert entries(saved.parent).load(changed) is None
    other = ("int64(int64)", *KEY[1:])
    entries(saved.parent).save(other, 1)
    (foreign,) = set(saved.parent.iterdir()) - {saved}
    shutil.copy(saved, foreign)
    assert entries(saved.parent).load(other) is None
    assert entries(saved.parent).load(KEY) == DATA


def test_a_function_that_changed_takes_the_place_of_what_it_was(saved):
    changed = (*KEY[:2], ("other code", "cells"))
    entries(saved.parent, stamp="other sources").save(changed, 2)
    assert list(saved.parent.iterdir()) == [saved]
    assert entries(saved.parent, stamp="other sources").load(changed) == 2


def test_a_file_is_replaced_whole_or_not_at_all(saved, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        entries(saved.parent).save(KEY, "another")
    assert list(saved.parent.iterdir()) == [saved]
    assert entries(saved.parent).load(KEY) == DATA


PROGRAM = """
from numba import float64
from numba.core import event
from tapegrad.jit import Kernel

compiled = []

class Listener(event.Listener):
    def on_start(self, event): compiled.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event): pass

def sevenfold(x):
    return 7.0 * x

event.register("numba:compile", Listener())
kernel = Kernel(sevenfold, float64(float64))
assert kernel.run(3.0) == 21.0
print("sevenfold" in compiled)
"""


def compiles(directory):
    """Whether a kernel of its own is compiled in another process."""
    file = directory / "program.py"
    file.write_text(PROGRAM)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(directory / "cache")}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout == "True\n"


def test_a_damaged_kernel_is_compiled_again_in_the_next_process(tmp_path):
    assert compiles(tmp_path)
    assert not compiles(tmp_path)
    (file,) = (tmp_path / "cache").rglob("*sevenfold*.nbc")
    content = bytearray(file.read_bytes())
    for place in np.random.default_rng(1).integers(0, len(content), 64):
        content[place] ^= 16
    file.write_bytes(content)
    assert compiles(tmp_path)
    assert not compiles(tmp_path)


def test_a_generated_module_that_was_damaged_is_written_again(monkeypatch, tmp_path):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    source = "def one():\n    return 1  # é\n"
    module = generated.load("damaged", source)
    path = Path(module.__file__)
    for damage in (b"", source.encode()[:-3], b"\xff\xfe" + source.encode(), b"raise SystemExit"):
        path.write_bytes(damage)
        assert generated.load("damaged", source).one() == 1
        assert path.read_bytes() == source.encode()
    del sys.modules[module.__name__]


def test_a_write_leaves_nothing_but_the_file(tmp_path):
    caching.write(tmp_path / "file", b"one")
    caching.write(tmp_path / "file", b"two")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"two"]
