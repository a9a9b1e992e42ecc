"""What the tests of the table compare with: every operation again, in mpmath and in NumPy."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import scipy.special

from tapegrad.ops import CONSTANTS, OPS
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length

mp = mpmath.mp


def _truth(test):
    return lambda *operands: mp.mpf(bool(test(*operands)))


MPMATH = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "power": mp.power,
    "powi": lambda x, y: x ** int(y),
    "remainder": lambda x, y: x - y * mp.floor(x / y),
    "fmod": lambda x, y: x - y * mp.sign(x / y) * mp.floor(abs(x / y)),
    "nearest_remainder": lambda x, y: x - y * mp.nint(x / y),
    "floor_divide": lambda x, y: mp.floor(x / y),
    "absolute": abs,
    "sign": mp.sign,
    "copysign": lambda x, y: abs(x) * mp.sign(y),
    "maximum": max,
    "minimum": min,
    "fmax": max,
    "fmin": min,
    "floor": mp.floor,
    "ceil": mp.ceil,
    "trunc": lambda x: mp.sign(x) * mp.floor(abs(x)),
    "rint": mp.nint,
    # Rounded by what the nearest double is, so that it moves as the number does.
    "single": lambda x: x + mp.mpf(float(np.float32(float(x)))) - mp.mpf(float(x)),
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p,
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
    "logaddexp2": lambda x, y: mp.log(mp.mpf(2) ** x + mp.mpf(2) ** y) / mp.log(2),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "arctan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "hypot": mp.hypot,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "gammaln": lambda x: mp.log(abs(mp.gamma(x))),
    "polygamma": lambda n, x: mp.psi(int(n), x),
    "expit": lambda x: 1 / (1 + mp.exp(-x)),
    "log_ratio": lambda x, y: mp.log(x / y),
    "less": _truth(lambda x, y: x < y),
    "less_equal": _truth(lambda x, y: x <= y),
    "greater": _truth(lambda x, y: x > y),
    "greater_equal": _truth(lambda x, y: x >= y),
    "equal": _truth(lambda x, y: x == y),
    "not_equal": _truth(lambda x, y: x != y),
    "logical_and": _truth(lambda x, y: x and y),
    "logical_or": _truth(lambda x, y: x or y),
    "logical_xor": _truth(lambda x, y: bool(x) != bool(y)),
    "logical_not": _truth(lambda x: not x),
    "isnan": _truth(lambda x: False),
    "isfinite": _truth(lambda x: True),
    "isinf": _truth(lambda x: False),
    "same": _truth(lambda x, y: x == y),
    "keep": lambda x, y: y if x else mp.mpf(0),
    "drop": lambda x, y: mp.mpf(0) if x else y,
    "chain": lambda x, y: x * y,
    "step": lambda x, y: mp.mpf(x > y),
    "stop": lambda x: x,
}

# The others are special functions, which test_special compares.
OPERATIONS = [op for op in OPS if op.name in MPMATH]

# Where else than in the table's own domain an operation is sampled.
WIDE = {
    "divide": ((-1e9, 1e9), (1e-6, 1e6)),
    "square": ((-1e100, 1e100),),
    "reciprocal": ((1e-100, 1e100),),
    "power": ((0.01, 50.0), (-20.0, 20.0)),
    "remainder": ((12.1, 12.9), (4.0, 6.0)),
    "fmod": ((12.1, 12.9), (4.0, 6.0)),
    "nearest_remainder": ((12.1, 12.9), (4.5, 6.0)),
    "sqrt": ((1e-300, 1e300),),
    "cbrt": ((-1e100, -1e-100),),
    "exp": ((-700.0, 700.0),),
    "exp2": ((-1000.0, 1000.0),),
    "expm1": ((-1e-8, 1e-8),),
    "log": ((1e-300, 1e300),),
    "log2": ((1e-300, 1e300),),
    "log10": ((1e-300, 1e300),),
    "log1p": ((-1e-8, 1e-8),),
    "logaddexp": ((700.0, 705.0), (700.0, 710.0)),
    "logaddexp2": ((1000.0, 1005.0), (1000.0, 1010.0)),
    "sin": ((-1e4, 1e4),),
    "cos": ((-1e4, 1e4),),
    "arctan": ((-1e8, 1e8),),
    "arcsin": ((-1e-8, 1e-8),),
    "arctan2": ((-1e8, 1e8), (-1e8, 1e8)),
    "sinh": ((-700.0, 700.0),),
    "cosh": ((-700.0, 700.0),),
    "tanh": ((-15.0, 15.0),),
    "arcsinh": ((-1e8, 1e8),),
    "arccosh": ((1e3, 1e8),),
    "arctanh": ((-1e-8, 1e-8),),
    "hypot": ((1e200, 1e300), (-1e300, 1e300)),
    "erf": ((-1e-8, 1e-8),),
    "erfc": ((3.0, 5.0),),
    "gammaln": ((10.0, 1e6),),
    "expit": ((-500.0, 30.0),),
}


def points(op, domain, count=12):
    """Points drawn evenly from the inside of a domain, whole where an operand must be."""
    rng = np.random.default_rng(op.code)
    drawn = [tuple(float(rng.uniform(low, high)) for low, high in domain) for _ in range(count)]
    if not op.whole:
        return drawn
    place = "xy".index(op.whole)
    # Exponents may be negative; orders are not.
    first, period = (-5, count) if op.domain[place][0] < 0.0 else (0, 4)
    return [
        (*point[:place], float(first + k % period), *point[place + 1 :])
        for k, point in enumerate(drawn)
    ]


def exactly(op, operands, orders):
    """The value of a mixed partial derivative, to 30 digits at least.

    The steps of mpmath's differences are absolute, so each operand moves by a factor 1 + t.
    """
    with mp.workdps(60):
        scale = [mp.mpf(x or 1.0) for x in operands]
        moving = [k for k, order in enumerate(orders) if order]

        def function(*factors):
            exact = [mp.mpf(x) for x in operands]
            for k, t in zip(moving, factors, strict=True):
                exact[k] += t * scale[k]
            return MPMATH[op.name](*exact[: op.arity])

        if not moving:
            return +function()
        if len(moving) == 1:
            return mp.diff(function, 0, orders[moving[0]]) / scale[moving[0]] ** orders[moving[0]]
        return mp.diff(function, (0, 0), orders) / (scale[0] * scale[1])


def swept(name, *operands):
    """Value, and partials by both sweeps, of one record of a tape."""
    op = next(op for op in OPS if op.name == name)
    tape = OpenTape()
    slots = [tape.input(x) for x in operands]
    slot = tape.append(op.code, slots[0], slots[1] if len(slots) == 2 else 0, math.nan)
    tape = tape.end([slot])
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out, reverse = np.empty(1), np.empty(len(operands))
    assert floats.replay.run(tape.head, np.array(operands), value) == -1
    floats.results.run(tape.head, value, out)
    result = out[0]
    floats.pullback.run(tape.head, np.ones(1), value, work, reverse)
    forward = []
    for direction in np.eye(len(operands)):
        floats.pushforward.run(tape.head, direction, value, work, out)
        forward.append(out[0])
    return result, reverse.tolist(), forward


def _chain(x, y):
    product = x * y
    return product if product == product or (x != 0.0 and y != 0.0) else np.float64(0.0)


def _numpy_namespace():
    known = {"special": scipy.special, "np": np}
    for op in OPS:
        for name in op.ufuncs:
            known[name] = getattr(np, name)
        for name in op.special:
            known[name] = getattr(scipy.special, name)
    return known | {
        "power": lambda x, y: np.power(np.full(2, x), np.full(2, y))[0],  # a scalar 0.5 is a sqrt
        "chain": _chain,
        "equal": lambda x, y: np.float64(x == y),
        "not_equal": lambda x, y: np.float64(x != y),
        "step": lambda x, y: np.float64(1.0 if x > y else 0.5 * (x == y)),
        "keep": lambda x, y: y if x != 0.0 else np.float64(-0.0),
        "drop": lambda x, y: np.float64(-0.0) if x != 0.0 else y,
        "log_ratio": lambda x, y: np.log(x / y),
        "powi": lambda x, y: np.float64(x) ** y,
        "polygamma": lambda n, x: scipy.special.polygamma(int(n), x),
    }


NUMPY = _numpy_namespace()


def as_documented(op, operands):
    """The partials that the table states, computed by NumPy."""
    x, y = (*map(np.float64, operands), np.float64(0.0))[:2]
    names = NUMPY | CONSTANTS | {"x": x, "y": y}
    with np.errstate(all="ignore"):
        names["z"] = NUMPY[(op.ufuncs or op.special)[0]](*map(np.float64, operands))
        for key, expression in op.where.items():
            names[key] = eval(expression, names)
        return [float(eval(partial, names)) for partial in op.partials]
