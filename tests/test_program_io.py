"""Programs as bytes and files: what survives, and what is refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from program_drafts import KNOWN, at, index, loop, program, put, row, step, triangle

from tapegrad.errors import InvalidProgramError, ProgramFileError
from tapegrad.program import io
from tapegrad.program.io import decoded, digest, encoded, load, save
from tapegrad.program.ir import Apply, Constant, Guard, Program, Region, Store, Table, Variable

HEADER = 8 + 4 + 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.program"


# --- what survives ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_programs_are_the_same_when_they_are_read(name, path):
    written = KNOWN[name]()
    save(written, path)
    assert load(path) == load(str(path)) == decoded(encoded(written)) == written
    assert digest(load(path)) == digest(written)


NUMBERS = [0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan, 5e-324, 1.7e308, 0.1,
           *np.array([0x7FF8000000001234, 0xFFFC00000000ABCD], "u8").view("f8")]  # fmt: skip


def test_numbers_survive_by_their_bits(path):
    body = [put("v", number) for number in NUMBERS]
    stores = [loop(0, len(NUMBERS), put(at("y", step(0)), at("c0", step(0))))]
    save(program(*body, *stores, y=len(NUMBERS), tables={"c0": NUMBERS}), path)
    read = load(path)
    bits = [struct.pack("<d", s.value.value) for s in read.body[:-1]]
    assert bits == [struct.pack("<d", number) for number in NUMBERS]
    assert read.tables[0].values.tobytes() == b"".join(bits)


def test_tables_survive_by_kind(path):
    whole = [0, -1, 2**62, -(2**63)]
    tables = {"t0": whole, "c0": [1.5], "empty": np.empty(0), "none": np.empty(0, np.int64)}
    save(program(tables=tables), path)
    read = load(path)
    assert read == program(tables=tables)
    assert [t.is_whole for t in read.tables] == [True, False, False, True]
    assert read.table["t0"].values.tolist() == whole
    with pytest.raises(ValueError, match="read-only"):
        read.tables[0].values[0] = 1


def test_all_that_is_said_of_a_program_survives():
    regions = (
        Region("x", 3, "input"), Region("any", 5, "memory", True),
        Region("v é \"1\"", 2, within="any", offset=3), Region("y", 1, "output", True),
    )  # fmt: skip
    rounded = row("add", 1, 2, rounding="reordered")
    body = (put("v", rounded), Guard(Variable("v"), Constant(3.0)))
    whole = Program(regions, (), body, is_strict=True)
    assert decoded(encoded(whole)) == whole
    for other in (
        Program(regions, (), body),
        Program(regions[::-1], (), body, True),
        Program(regions, (), body[:1], True),
        Program(regions, (), (put("v", row("add", 1, 2)), body[1]), True),
        Program(regions, (), (put("v", row("add", 2, 1, rounding="reordered")), body[1]), True),
        Program(regions, (Table("v", np.array([1.0])),), body, True),
        Program(regions, (Table("v", np.array([1])),), body, True),
    ):
        assert encoded(other) != encoded(whole)
        assert digest(other) != digest(whole)
        assert decoded(encoded(other)) == other != whole


def test_whole_numbers_of_numpy_are_the_same_program():
    def written(number):
        where = index(number(1), (number(2), step(number(0))), of="t0", at=step(number(0)))
        count = index(number(3))
        return program(loop(number(0), count, put("v", at("x", where))), x=number(9))

    assert encoded(written(int)) == encoded(written(np.int64))


def test_deep_values_and_loops_need_no_recursion():
    deep = Variable("v")
    for _ in range(5_000):
        deep = Apply("add", (Constant(1.0), Apply("sin", (deep,))))
    content = encoded(program(put("v", 0), put("v", deep)))
    assert encoded(decoded(content)) == content


def test_a_digest_is_the_same_in_another_process():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from program_drafts import triangle\n"
        "from tapegrad.program.io import digest\n"
        "print(digest(triangle()))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.strip() == digest(triangle()), done.stderr


# --- what is refused ----------------------------------------------------------------------------


def parts():
    """A file, and where its parts begin: magic, version, checksum, length, text, tables."""
    content = encoded(triangle())
    (length,) = struct.unpack_from("<Q", content)
    return [0, 8, 12, HEADER, HEADER + 8, HEADER + 8 + length, HEADER + len(content)]


def reading(data, path):
    path.write_bytes(data)
    return load(path)


def test_a_file_with_any_byte_altered_is_refused(path):
    save(triangle(), path)
    data, bounds = path.read_bytes(), parts()
    assert bounds[-1] == len(data)
    for start, end in itertools.pairwise(bounds):
        for place in {start, (start + end) // 2, end - 1}:
            for flip in (0x01, 0x80):
                altered = bytearray(data)
                altered[place] ^= flip
                with pytest.raises(ProgramFileError) as error:
                    reading(altered, path)
                expected = "holds no program" if place < 8 else "isn't as it was saved"
                assert expected in str(error.value)
                assert "save" in str(error.value)


def test_a_file_that_was_cut_short_or_goes_on_is_refused(path):
    save(triangle(), path)
    data = path.read_bytes()
    for length in {0, 1, 7, 8, 11, 12, 20, *parts()[:-1], len(data) // 2, len(data) - 1}:
        with pytest.raises(ProgramFileError, match=r"holds no program|isn't as it was saved"):
            reading(data[:length], path)
    with pytest.raises(ProgramFileError, match="isn't as it was saved"):
        reading(data + b"\0", path)
    assert reading(data, path) == triangle()


def sealed(content, version=io.VERSION):
    checksum = hashlib.sha256(b"tapegrad" + struct.pack("<I", version) + content).digest()
    return b"tapegrad" + struct.pack("<I", version) + checksum + content


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_a_file_of_another_version_is_refused(version, path):
    with pytest.raises(ProgramFileError, match=f"of version {version} of the format.* version 1"):
        reading(sealed(b"whatever it then is", version), path)


def test_another_file_is_refused_and_one_that_is_not_there_is_said_so(path):
    with pytest.raises(ProgramFileError, match="doesn't begin as a file written by `save`"):
        reading(b"PK\x03\x04 an archive of some kind, longer than a header is at least", path)
    with pytest.raises(FileNotFoundError):
        load(path.with_name("nothing"))


def text_of(**changes):
    described = {"body": [], "regions": [], "strict": False, "tables": [], **changes}
    written = json.dumps(described).encode()
    return struct.pack("<Q", len(written)) + written


@pytest.mark.parametrize("content", [
    b"", b"\1\2\3", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{}",
    struct.pack("<Q", 2) + b"\xff\xff", text_of(body=3), text_of(body=[[]]),
    text_of(body=[["end"]]), text_of(body=[["for", 0, [3, [], "", None], False]]),
    text_of(body=[["jump", [], []]]), text_of(body=[["guard", [], []]]),
    text_of(body=[["guard", [["number", "00"]], [["number", "00"]]]]),
    text_of(body=[["guard", [["apply", "sin", 1, "exact"]], [["variable", "v"]]]]),
    text_of(body=[["guard", [["what", "v"]], [["variable", "v"]]]]),
    text_of(regions=[["x"]]), text_of(tables=[["t", "whole", 3]]), text_of() + b"more",
])  # fmt: skip
def test_bytes_that_no_program_has_are_refused_with_their_checksum_right(content, path):
    with pytest.raises(ProgramFileError, match="these bytes are no program's"):
        reading(sealed(content), path)


def test_a_program_that_breaks_the_rules_is_not_loaded(path):
    beyond = program(Store(at("y", 5), Constant(1.0)), y=1)
    save(beyond, path)
    with pytest.raises(InvalidProgramError, match="a place is beyond the 1 of 'y'"):
        load(path)


def test_a_file_that_can_not_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        save(triangle(), tmp_path / "nowhere" / "some.program")
    assert list(tmp_path.iterdir()) == []
