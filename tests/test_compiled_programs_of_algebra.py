"""Compiled programs differentiated unchanged: against differences, Python and compiled code."""

import pytest
from compiled_checks import CHECKS, programs_of

PROGRAMS = programs_of("compiled_programs_of_algebra")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_program(program, check):
    check(program)
