"""Smaller programs that fail alike."""

from __future__ import annotations

import dataclasses
import time

from fuzz.oracles import Wrong, check
from fuzz.programs import Program, smaller

SECONDS = 20.0


def shrunk(program: Program, seed: int, kind: str) -> Program:
    """Return a program with as few lines as still fail in the same way, found in a while."""
    end = time.monotonic() + SECONDS
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for lines in smaller(program.lines):
            if time.monotonic() > end:
                return program
            shorter = dataclasses.replace(program, lines=lines)
            if _fails(shorter, seed, kind):
                program, is_smaller = shorter, True
                break
    return program


def _fails(program: Program, seed: int, kind: str) -> bool:
    try:
        check(program, seed)
    except Wrong as wrong:
        return wrong.kind == kind
    except Exception:  # it no longer is a program
        return False
    return False
