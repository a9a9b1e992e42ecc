"""Kernels that integrate: paths and adjoints by the explicit and the implicit method."""

from __future__ import annotations

from numba import complex128, float64, int64, types

from tapegrad.implicit.ode import implicit_steps
from tapegrad.implicit.ode.explicit_steps import DONE, STEP, TIME, explicit
from tapegrad.implicit.ode.implicit_steps import implicit
from tapegrad.implicit.ode.rates import SIZE, N, at
from tapegrad.jit import Kernel, jit
from tapegrad.memory import data, shift, slots
from tapegrad.memory import inputs as inputs_of
from tapegrad.memory import outputs as outputs_of
from tapegrad.replay.sweeps import forward


def _explicit_path(words, course, t1, z, tolerances, coefficients, scratch, of_complex, pivots,
                   out_ts, out_zs, out_dense):  # fmt: skip
    return explicit(data(words), data(course), t1, data(z), data(tolerances), data(coefficients),
                    data(scratch), data(out_ts), data(out_zs), data(out_dense))  # fmt: skip


def _implicit_path(words, course, t1, z, tolerances, coefficients, scratch, of_complex, pivots,
                   out_ts, out_zs, out_dense):  # fmt: skip
    vectors = data(scratch)
    matrices = shift(vectors, implicit_steps.N_SCRATCH * words[SIZE] + 3)
    return implicit(data(words), data(course), t1, data(z), data(tolerances), vectors, matrices,
                    data(of_complex), data(pivots), data(out_ts), data(out_zs))  # fmt: skip


@jit
def _begun(words, course, times, seeds, k, t0, z):
    """Begin where a state's time is, with what's differentiated by it; return where to stop."""
    is_zero = True
    for i in range(words[N]):
        z[i] += seeds[k, i]
        is_zero = is_zero and z[i] == 0.0
    end = times[k - 1] if k > 0 else t0
    course[TIME] = times[k]
    return times[k] if is_zero else end


def _explicit_adjoint(words, course, times, seeds, t0, z, tolerances, coefficients, scratch,
                      of_complex, pivots):  # fmt: skip
    none, status = data(z), int64(DONE)
    for k in range(len(times) - 1, -1, -1):
        end = _begun(words, course, times, seeds, k, t0, z)
        if end != times[k] and status == DONE:
            status = explicit(data(words), data(course), end, data(z), data(tolerances),
                              data(coefficients), data(scratch), none, none, none)  # fmt: skip
    return status


def _implicit_adjoint(words, course, times, seeds, t0, z, tolerances, coefficients, scratch,
                      of_complex, pivots):  # fmt: skip
    none, status, vectors = data(z), int64(DONE), data(scratch)
    matrices = shift(vectors, implicit_steps.N_SCRATCH * words[SIZE] + 3)
    for k in range(len(times) - 1, -1, -1):
        end = _begun(words, course, times, seeds, k, t0, z)
        if end != times[k] and status == DONE:
            course[STEP] = 0.0  # what a jump makes is fast
            status = implicit(data(words), data(course), end, data(z), data(tolerances), vectors,
                              matrices, data(of_complex), data(pivots), none, none)  # fmt: skip
    return status


def _at_times(words, times, out):
    for k in range(len(times)):
        at(data(words), times[k], shift(data(out), k * words[N]))


_WORDS, _VECTOR, _MATRIX = int64[::1], float64[::1], float64[:, ::1]
_MEMORY = (_VECTOR, complex128[::1], int64[::1])
_PATH = int64(_WORDS, _VECTOR, float64, _VECTOR, _VECTOR, _VECTOR, *_MEMORY, *[_VECTOR] * 3)
_ADJOINT = int64(_WORDS, _VECTOR, _VECTOR, _MATRIX, float64, *[_VECTOR] * 3, *_MEMORY)
path_kernels = [Kernel(kernel, _PATH) for kernel in (_explicit_path, _implicit_path)]
adjoint_kernels = [Kernel(kernel, _ADJOINT) for kernel in (_explicit_adjoint, _implicit_adjoint)]
at_times_kernel = Kernel(_at_times, types.void(_WORDS, _VECTOR, _VECTOR))


def _respond(head_array, value, t, y, out):
    head = data(head_array)
    values = slots(head, value)
    n, slot = inputs_of(head)
    values[slot[0]] = t
    for i in range(len(y)):
        values[slot[1 + i]] = y[i]
    guard = forward(head, values)
    if guard < 0:
        n, operand = outputs_of(head)
        for i in range(n):
            out[i] = values[operand[i]]
    return guard


respond = Kernel(_respond, int64(int64[::1], float64[::1], float64, float64[::1], float64[::1]))
