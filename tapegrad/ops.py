"""The table of elementary operations: the only place where calculus is written.

A row gives an operation's name, its value and its partial derivatives as expressions in the
operands `x` and `y` and the computed value `z`, what NumPy, `math` and `scipy.special` call
it, and where it may be sampled. Any row may be called by name inside a partial derivative. From
the rows come the operators, the recorders, the arms of the sweeps, the documentation's table and
the tests: adding an operation is adding a row. `rows` reads them, and refuses a malformed one.

A partial of exactly zero is left out of the sweeps. A contribution is `chain(w, partial)`,
which is zero as soon as either factor is, so that a path through a zero contributes nothing
even where the rest of it is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Interval = tuple[float, float]

REAL: Interval = (-3.0, 3.0)
POSITIVE: Interval = (0.1, 4.0)
UNIT: Interval = (-0.95, 0.95)
ABOVE_ONE: Interval = (1.05, 4.0)


@dataclass(frozen=True)
class Kink:
    """A point where the derivative is a convention, and the partials it takes there."""

    at: tuple[float, ...]
    partials: tuple[float, ...]


@dataclass(frozen=True)
class Op:
    """One row as it's written: an elementary operation of one or two operands.

    `whole` is the operand that is a whole constant, so that it has no derivative: an exponent or
    an order. `unrolls` says that the value is products alone if it's small.
    """

    name: str
    value: str
    partials: tuple[str, ...]
    code: int = -1
    symbol: str = ""
    ufuncs: tuple[str, ...] = ()
    math: str = ""
    special: tuple[str, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
    domain: tuple[Interval, ...] = ()
    kinks: tuple[Kink, ...] = ()
    boolean: bool = False
    whole: str = ""
    unrolls: bool = False

    @property
    def arity(self) -> int:
        """Number of operands."""
        return len(self.partials)

    @property
    def operator(self) -> str:
        """What Python's module `operator` calls its sign; nothing for those of truth values."""
        return _OPERATORS.get((self.symbol, self.arity), "")


_OPERATORS = {
    ("+", 2): "add", ("-", 2): "sub", ("*", 2): "mul", ("/", 2): "truediv", ("//", 2): "floordiv",
    ("%", 2): "mod", ("**", 2): "pow", ("-", 1): "neg", ("+", 1): "pos", ("abs", 1): "abs",
    ("<", 2): "lt", ("<=", 2): "le", (">", 2): "gt", (">=", 2): "ge", ("==", 2): "eq",
    ("!=", 2): "ne",
}  # fmt: skip

_rows: list[Op] = []


def _row(
    name: str,
    value: str,
    *partials: str,
    ufuncs: str | None = None,
    math: str = "",
    special: str = "",
    on: Interval | tuple[Interval, ...] = REAL,
    kinks: tuple[Kink, ...] = (),
    symbol: str = "",
    boolean: bool = False,
    whole: str = "",
    unrolls: bool = False,
    **where: str,
) -> None:
    """Append a row; `ufuncs` defaults to the name, `where` names shared subexpressions."""
    domain = on if isinstance(on[0], tuple) else (on,) * len(partials)
    _rows.append(
        Op(
            name=name,
            value=value,
            partials=partials,
            code=len(_rows),
            symbol=symbol,
            ufuncs=tuple((name if ufuncs is None else ufuncs).split()),
            math=math,
            special=tuple(special.split()),
            where=where,
            domain=domain,
            kinks=kinks,
            boolean=boolean,
            whole=whole,
            unrolls=unrolls,
        )
    )


def _tie(at: float, *partials: float) -> tuple[Kink, ...]:
    return (Kink((at,) * len(partials), partials),)


# fmt: off
# --- arithmetic -----------------------------------------------------------------------------
_row("add",        "x + y",   "1", "1",            symbol="+")
_row("subtract",   "x - y",   "1", "-1",           symbol="-")
_row("multiply",   "x * y",   "y", "x",            symbol="*")
_row("divide",     "x / y",   "1.0 / y", "-z / y", symbol="/", on=(REAL, POSITIVE))
_row("negative",   "-x",      "-1",                symbol="-")
_row("positive",   "x",       "1",                 symbol="+")
_row("square",     "x * x",   "2.0 * x")
_row("reciprocal", "1.0 / x", "-z * z",            on=POSITIVE)
_row("power",      "x ** y",  "chain(y, power(x, y - 1.0))", "chain(z, log(x))",
     symbol="**", ufuncs="power float_power", math="pow", on=(POSITIVE, REAL))
_row("powi",       "special.powi(x, y)", "chain(y, powi(x, y - 1.0))", "0", ufuncs="", whole="y",
     unrolls=True)
_row("remainder",  "x % y",            "1", "rint((z - x) / y)", symbol="%",
     on=((0.1, 0.9), (1.1, 2.0)))
_row("fmod",       "np.fmod(x, y)",  "1", "rint((z - x) / y)", math="fmod",
     on=((-0.9, -0.1), (1.1, 2.0)))
_row("nearest_remainder", "special.nearest_remainder(x, y)", "1", "rint((z - x) / y)", ufuncs="",
     math="remainder", on=((0.1, 0.5), (1.1, 2.0)))
_row("floor_divide", "x // y",         "0", "0", symbol="//", on=((0.1, 0.9), (1.1, 2.0)))

# --- pieces ---------------------------------------------------------------------------------
_row("absolute", "abs(x)", "sign(x)", ufuncs="absolute fabs", math="fabs", symbol="abs",
     kinks=_tie(0.0, 0.0))
_row("sign",     "(x > 0.0) - 1.0 * (x < 0.0) if x == x else x", "0", kinks=_tie(0.0, 0.0))
_row("copysign", "math.copysign(x, y)", "sign(x) * copysign(1.0, y)", "0", math="copysign",
     on=((0.1, 3.0), (0.1, 3.0)))
_row("maximum",  "x if x > y or x != x else y", "step(x, y)", "step(y, x)",
     kinks=_tie(1.0, 0.5, 0.5))
_row("minimum",  "x if x < y or x != x else y", "step(y, x)", "step(x, y)",
     kinks=_tie(1.0, 0.5, 0.5))
_row("fmax",     "x if x > y or y != y else y",
     "0.5 * (equal(x, z) + not_equal(y, z))", "0.5 * (equal(y, z) + not_equal(x, z))",
     kinks=_tie(1.0, 0.5, 0.5))
_row("fmin",     "x if x < y or y != y else y",
     "0.5 * (equal(x, z) + not_equal(y, z))", "0.5 * (equal(y, z) + not_equal(x, z))",
     kinks=_tie(1.0, 0.5, 0.5))
_row("floor",    "np.floor(x)", "0", on=(0.1, 0.9))
_row("ceil",     "np.ceil(x)",  "0", on=(0.1, 0.9))
_row("trunc",    "np.trunc(x)", "0", on=(0.1, 0.9))
_row("rint",     "np.rint(x)",    "0", on=(0.6, 1.4))
# Rounding to single precision stands for the number, as a store into a float32 array does.
_row("single",   "special.single(x)", "1", ufuncs="")

# --- powers, exponentials, logarithms -------------------------------------------------------
_row("sqrt",  "math.sqrt(x)",    "0.5 / z",           math="sqrt",  on=POSITIVE)
_row("cbrt",  "special.cbrt(x)", "1.0 / (3.0 * z * z)", math="cbrt", special="cbrt", on=POSITIVE)
_row("exp",   "math.exp(x)",     "z",                 math="exp")
_row("exp2",  "special.exp2(x)", "z * LN2",           math="exp2",  special="exp2")
_row("exp10", "special.exp10(x)", "z * LN10", ufuncs="", special="exp10")
_row("expm1", "math.expm1(x)",   "exp(x)",            math="expm1", special="expm1")
_row("log",   "math.log(x)",     "1.0 / x",           math="log",   on=POSITIVE)
_row("log2",  "math.log2(x)",    "1.0 / (x * LN2)",   math="log2",  on=POSITIVE)
_row("log10", "math.log10(x)",   "1.0 / (x * LN10)",  math="log10", on=POSITIVE)
_row("log1p", "math.log1p(x)",   "1.0 / (1.0 + x)",   math="log1p", special="log1p", on=(-0.9, 3.0))
_row("logaddexp",  "special.logaddexp(x, y)",  "expit(x - y)", "expit(y - x)")
_row("logaddexp2", "special.logaddexp2(x, y)",
     "expit((x - y) * LN2)", "expit((y - x) * LN2)")

# --- trigonometry ---------------------------------------------------------------------------
_row("sin",     "math.sin(x)",  "cos(x)",  math="sin")
_row("cos",     "math.cos(x)",  "-sin(x)", math="cos")
_row("tan",     "math.tan(x)",  "1.0 + z * z", math="tan", on=(-1.4, 1.4))
_row("arcsin",  "math.asin(x)", "1.0 / sqrt((1.0 - x) * (1.0 + x))",  math="asin", on=UNIT)
_row("arccos",  "math.acos(x)", "-1.0 / sqrt((1.0 - x) * (1.0 + x))", math="acos", on=UNIT)
_row("arctan",  "math.atan(x)", "1.0 / (1.0 + x * x)",                math="atan")
_row("arctan2", "math.atan2(x, y)", "keep(h, y / h / h)", "-keep(h, x / h / h)", math="atan2",
     on=(POSITIVE, REAL), kinks=_tie(0.0, 0.0, 0.0), h="hypot(x, y)")
_row("sinh",    "math.sinh(x)",  "cosh(x)", math="sinh")
_row("cosh",    "math.cosh(x)",  "sinh(x)", math="cosh")
_row("tanh",    "math.tanh(x)",  "1.0 / (c * c)",         math="tanh", c="cosh(x)")
_row("arcsinh", "math.asinh(x)", "1.0 / hypot(1.0, x)",   math="asinh")
_row("arccosh", "math.acosh(x)", "1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0))", math="acosh",
     on=ABOVE_ONE)
_row("arctanh", "math.atanh(x)", "1.0 / ((1.0 - x) * (1.0 + x))", math="atanh", on=UNIT)
_row("hypot",   "math.hypot(x, y)", "keep(z, x / z)", "keep(z, y / z)", math="hypot",
     kinks=_tie(0.0, 0.0, 0.0))

# --- special functions ----------------------------------------------------------------------
_row("erf",       "math.erf(x)",  "TWO_OVER_SQRT_PI * exp(-(x * x))",  ufuncs="", math="erf",
     special="erf")
_row("erfc",      "math.erfc(x)", "-TWO_OVER_SQRT_PI * exp(-(x * x))", ufuncs="", math="erfc",
     special="erfc")
_row("erfinv",    "special.erfinv(x)", "HALF_SQRT_PI * exp(z * z)", ufuncs="", special="erfinv",
     on=UNIT)
# exp(z**2) is exp(z**2) erfc(z) / x, which is exact for small x; equal() makes it infinite at 0.
_row("erfcinv",   "special.erfcinv(x)",
     "-HALF_SQRT_PI * (scaled_erfc(0.0, z) + equal(x, 0.0)) / x", ufuncs="", special="erfcinv",
     on=(0.1, 1.9))
_row("ndtr",      "special.ndtr(x)", "exp(-0.5 * x * x) * ONE_OVER_SQRT_2PI", ufuncs="",
     special="ndtr")
_row("log_ndtr",  "special.log_ndtr(x)", "SQRT_2_OVER_PI / scaled_erfc(0.0, -SQRT_HALF * x)",
     ufuncs="", special="log_ndtr")
_row("ndtri",     "special.ndtri(x)",
     "SQRT_HALF_PI * (scaled_erfc(0.0, -SQRT_HALF * z) + equal(x, 0.0)) / x", ufuncs="",
     special="ndtri", on=(0.05, 0.95))
# Those of `whole` x have an order, which is sampled at 0.0.
_row("scaled_erfc", "special.scaled_erfc(x, y)", "0",
     "-2.0 * (x + 1.0) * scaled_erfc(x + 1.0, y)", ufuncs="", whole="x", on=((0.0, 0.0), REAL))
_row("gamma",     "special.gamma(x)", "z * digamma(x)", ufuncs="", math="gamma", special="gamma",
     on=POSITIVE)
_row("gammaln",   "special.gammaln(x)", "digamma(x)", ufuncs="", math="lgamma",
     special="gammaln", on=POSITIVE)
_row("digamma",   "special.digamma(x)", "polygamma(1.0, x)", ufuncs="", special="psi digamma",
     on=POSITIVE)
_row("polygamma", "special.polygamma(x, y)", "0", "polygamma(x + 1.0, y)", ufuncs="",
     whole="x", on=((0.0, 0.0), POSITIVE))
_row("digamma_rise", "special.digamma_rise(x, y)",
     "polygamma(1.0, x + y) - polygamma(1.0, x)", "polygamma(1.0, x + y)", ufuncs="", on=POSITIVE)
_row("beta",      "special.beta(x, y)", "-z * digamma_rise(x, y)", "-z * digamma_rise(y, x)",
     ufuncs="", special="beta", on=POSITIVE)
_row("betaln",    "special.betaln(x, y)", "-digamma_rise(x, y)", "-digamma_rise(y, x)",
     ufuncs="", special="betaln", on=POSITIVE)
_row("expit",     "special.expit(x)", "z * expit(-x)", ufuncs="", special="expit")
_row("log_expit", "special.log_expit(x)", "expit(-x)", ufuncs="", special="log_expit")
_row("logit",     "special.logit(x)", "1.0 / (x * (1.0 - x))", ufuncs="", special="logit",
     on=(0.05, 0.95))
_row("xlogy",     "special.xlogy(x, y)", "log(y)", "keep(logical_or(x, y), x / y)", ufuncs="",
     special="xlogy",
     on=POSITIVE)
_row("xlog1py",   "special.xlog1py(x, y)", "log1p(y)",
     "keep(logical_or(x, 1.0 + y), x / (1.0 + y))", ufuncs="", special="xlog1py", on=POSITIVE)
_row("entr",      "special.entr(x)", "-1.0 - log(x)", ufuncs="", special="entr", on=POSITIVE)
_row("rel_entr",  "special.rel_entr(x, y)", "1.0 + log_ratio(x, y)", "-x / y", ufuncs="",
     special="rel_entr", on=POSITIVE)
_row("kl_div",    "special.kl_div(x, y)", "log_ratio(x, y)", "(y - x) / y", ufuncs="",
     special="kl_div", on=POSITIVE)
_row("log_ratio", "special.log_ratio(x, y)", "1.0 / x", "-1.0 / y", ufuncs="", on=POSITIVE)
_row("huber",     "special.huber(x, y)", "absolute(y) - minimum(absolute(y), x)",
     "keep(y, sign(y) * minimum(absolute(y), x)) + drop(y, y)", ufuncs="", special="huber",
     on=(POSITIVE, REAL))
_row("pseudo_huber", "special.pseudo_huber(x, y)", "keep(h, r * (r / h))",
     "keep(h, x * (y / h))", ufuncs="", special="pseudo_huber", on=(POSITIVE, REAL),
     h="hypot(x, y)", r="y * (y / (h + x))")
_row("boxcox",    "special.boxcox(x, y)", "power(x, y - 1.0)",
     "keep(c, L * L * exponential_moment(1.0, y * L)) + drop(c, 1.0 / (y * y))", ufuncs="",
     special="boxcox", on=(POSITIVE, REAL), L="log(x)", c="logical_or(x, less_equal(y, 0.0))")
_row("inv_boxcox", "special.inv_boxcox(x, y)", "z / (1.0 + x * y)",
     "-z / (1.0 + x * y) * L * L * exponential_moment(1.0, y * L)", ufuncs="",
     special="inv_boxcox", on=POSITIVE, L="log(z)")
_row("exponential_moment", "special.exponential_moment(x, y)", "0",
     "exponential_moment(x + 1.0, y)", ufuncs="", whole="x", on=((0.0, 0.0), REAL))
_row("i0",  "special.iv(0.0, x)", "iv(1.0, x)", ufuncs="", special="i0")
_row("i1",  "special.iv(1.0, x)", "0.5 * (iv(0.0, x) + iv(2.0, x))", ufuncs="", special="i1")
_row("iv",  "special.iv(x, y)", "0", "0.5 * (iv(x - 1.0, y) + iv(x + 1.0, y))", ufuncs="",
     whole="x", on=((0.0, 0.0), REAL))
_row("ive", "special.ive(x, y)", "0",
     "0.5 * (ive(x - 1.0, y) + ive(x + 1.0, y)) - sign(y) * z", ufuncs="",
     whole="x", on=((0.0, 0.0), POSITIVE))

# --- choices: 1.0 for true, 0.0 for false ---------------------------------------------------
_row("less",          "x < y",  "0", "0", boolean=True, symbol="<")
_row("less_equal",    "x <= y", "0", "0", boolean=True, symbol="<=")
_row("greater",       "x > y",  "0", "0", boolean=True, symbol=">")
_row("greater_equal", "x >= y", "0", "0", boolean=True, symbol=">=")
_row("equal",         "x == y", "0", "0", boolean=True, symbol="==")
_row("not_equal",     "x != y", "0", "0", boolean=True, symbol="!=")
_row("logical_and",   "x != 0.0 and y != 0.0",     "0", "0", boolean=True, symbol="&",
     ufuncs="logical_and bitwise_and")
_row("logical_or",    "x != 0.0 or y != 0.0",      "0", "0", boolean=True, symbol="|",
     ufuncs="logical_or bitwise_or")
_row("logical_xor",   "(x != 0.0) != (y != 0.0)",  "0", "0", boolean=True, symbol="^",
     ufuncs="logical_xor bitwise_xor")
_row("logical_not",   "x == 0.0",                  "0",      boolean=True, symbol="~",
     ufuncs="logical_not invert")
_row("isnan",         "x != x",                    "0",      boolean=True)
_row("isfinite",      "x - x == 0.0",              "0",      boolean=True)
_row("isinf",         "x == x and x - x != 0.0",   "0",      boolean=True)
# Whether two numbers have the same bits, but that all NaNs are one.
_row("same", "x == y and math.copysign(1.0, x) == math.copysign(1.0, y) or x != x and y != y",
     "0", "0", ufuncs="", boolean=True)
# A choice is a sum of two records, `keep(c, a) + drop(c, b)`; -0.0 is what adds nothing.
_row("keep", "y if x != 0.0 else -0.0", "0", "not_equal(x, 0.0)", ufuncs="",
     on=((0.5, 1.5), REAL))
_row("drop", "-0.0 if x != 0.0 else y", "0", "equal(x, 0.0)",     ufuncs="",
     on=((0.5, 1.5), REAL))

# --- what derivatives are made of -----------------------------------------------------------
_row("chain", "x * y if x * y == x * y or (x != 0.0 and y != 0.0) else 0.0", "y", "x", ufuncs="")
_row("step",  "1.0 if x > y else 0.5 * (x == y)", "0", "0", ufuncs="",
     kinks=_tie(1.0, 0.0, 0.0))
_row("stop",  "x", "0", ufuncs="")

# --- not computed: slot 0 and the inputs, which stand for themselves; blocks, arguments -----
_row("passive", "x", ufuncs="")
_row("input",   "x", ufuncs="")
_row("call",    "x", ufuncs="")
_row("result",  "x", ufuncs="")
_row("argument", "x", ufuncs="")
# fmt: on

OPS: tuple[Op, ...] = tuple(_rows)
BY_NAME: dict[str, Op] = {op.name: op for op in OPS}
CODE: dict[str, int] = {op.name: op.code for op in OPS}
OPERATORS: dict[str, Op] = {op.operator: op for op in OPS if op.operator}
CONSTANTS: dict[str, float] = {
    "LN2": 0.6931471805599453,
    "LN10": 2.302585092994046,
    "TWO_OVER_SQRT_PI": 1.1283791670955126,
    "HALF_SQRT_PI": 0.886226925452758,
    "SQRT_HALF": 0.7071067811865476,
    "SQRT_2_OVER_PI": 0.7978845608028654,
    "SQRT_HALF_PI": 1.2533141373155003,
    "ONE_OVER_SQRT_2PI": 0.3989422804014327,
}


def documentation() -> str:
    """Return the table as aligned text, one operation a line."""
    header = ("operation", "value", "partials", "NumPy", "math", "scipy.special")
    rows = [
        (
            op.name,
            op.value,
            "; ".join([", ".join(op.partials), *(f"{k} = {v}" for k, v in op.where.items())]),
            " ".join(op.ufuncs),
            op.math,
            " ".join(op.special),
        )
        for op in OPS
        if op.partials
    ]
    return aligned([header, *rows])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as text, their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
