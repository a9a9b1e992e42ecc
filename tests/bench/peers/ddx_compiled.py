"""ddx-ad, compiled to machine code through LLVM: the interpreted forms, told to compile."""

import ddx

from peers.ddx_interpreted import forms


def compiled(equation: ddx.Equation, points: int) -> None:
    """Build the kernel for this many points a call, before the call."""
    equation.compile(points=points)


FORMS = forms(compiled)
