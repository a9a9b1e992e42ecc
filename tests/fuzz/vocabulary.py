"""What random programs are made of: forms of expressions, by what they are and what they need.

In a form `{s}` is a scalar, `{a}` an array of the input's size, `{m}` a two by two matrix, `{l}` a
list of three scalars or more, `{b}` a condition, `{c}` a written number, `{k}` and `{j}` places,
`{n}` the input's size, `{i}` a place that may depend on the input, `{half}` elements of which some
are constants. Analytic forms hold for complex numbers; compilable ones are for Numba too.
"""

from __future__ import annotations

from typing import NamedTuple


class Form(NamedTuple):
    """An expression with places to fill."""

    text: str
    is_analytic: bool = False
    is_compilable: bool = True


def _forms(text: str, analytic: bool = False, compilable: bool = True) -> list[Form]:
    return [Form(line.strip(), analytic, compilable) for line in text.split(";") if line.strip()]


SCALARS = (
    _forms("""
    {s} + {s}; {s} - {s}; {s} * {s}; {s} * {c}; {c} - {s}; -{s}; {s} ** 2; {s} ** 3;
    {s} / (1.5 + {s} ** 2); 1.0 / (1.0 + {s} * {s}); np.sin({s}); np.cos({s}); np.tanh({s});
    np.exp(-({s} ** 2)); np.sqrt(1.0 + {s} ** 2); np.log(1.0 + {s} ** 2); np.arctan(0.3 * {s});
    np.sum({a}); {a}.sum(); {a}[{k}]; np.mean({a}); np.dot({a}, {a}); np.sum({a} * {a});
    h0({s}, {s}); r0({s}, {k}); np.sum({m}); {m}[{j}, {j}]; ({s} + {c}) * ({s} - {c});
    np.sum({a} @ {a}); np.prod({a}); np.trace({m}); np.sinh(0.3 * {s}); np.square({s})
    """, analytic=True)
    + _forms("""
    max({s}, {s}); min({s}, {s}, {c}); abs({s}); np.maximum({s}, {s}); np.minimum({s}, {c});
    np.fmax({s}, {s}); np.fmin({s}, {c}); np.sign({s}) * {s}; np.floor({s}) * {s};
    np.copysign({s}, {s}); np.hypot({s}, {s}); np.arctan2({s}, {s}); ({s} if {b} else {s});
    math.sin({s}); math.cos({s}); math.tanh({s}); math.atan({s}); math.exp(-abs({s}));
    math.sqrt(0.5 + abs({s})); math.log(1.1 + abs({s})); math.erf({s}); math.hypot({s}, {s});
    math.fabs({s}); math.expm1(min({s}, 2.0)); math.log1p(abs({s})); math.atan2({s}, {s});
    math.pow(1.1 + abs({s}), {s}); (0.2 + abs({s})) ** {c}; (0.2 + {s} ** 2) ** {s};
    {s} % 1.7; {s} // 0.7; np.max({a}); {a}.min(); {a}[np.argmax({a})]; {a}[np.argmin({a})];
    {a}[{i}]; np.sqrt(np.abs({s})); np.abs({s}) ** 1.5; {s} * ({s} > {c}); np.exp2(np.tanh({s}));
    np.expm1(-abs({s})); np.log1p({s} ** 2); np.arcsinh({s}); math.floor({s}) * {s};
    round({s}) * {s}; int({s}) * 0.5 + {s}; {s} * (1.0 if {b} else 0.5); np.median({a});
    np.var({a}); np.std({a}); np.linalg.norm({a}); {s} / (0.3 + abs({s})); np.cbrt({s});
    np.sum(np.where({a} > {s}, {a}, {c})); np.sum({a}[{a} > {s}]); np.rint({s}) + {s};
    np.logaddexp({s}, {s}); np.sum(np.sort({a})[1:]); np.sum({a}[::-1] * {a}); np.ptp({a});
    math.fmod({s}, 1.3); np.reciprocal(1.2 + abs({s})); np.trunc({s}) * {c} + {s}
    """)
    + _forms("""
    np.where({b}, {s}, {s}); np.clip({s}, -0.5, 0.5); float(len({a})) * {s}; sum({a});
    sum({l}); max({l}); min({l}); sorted({l})[{k}]; {l}[{k}]; {l}[-1] * {s}; np.heaviside({s}, {c});
    np.percentile({a}, 30.0); np.average({a}, weights=np.arange(1.0, N + 1.0)); np.nansum({a});
    np.trapezoid({a}, dx=0.5); np.einsum("i,i", {a}, {a}); np.einsum("ij,jk->", {m}, {m});
    np.vdot({a}, {a}); np.polyval({l}, {s}); np.max({m}, axis=0)[{j}]; np.interp({s}, XS, YS);
    np.searchsorted(XS, {s}) * {s}; np.count_nonzero({a} > {c}) * {s}; np.linalg.det({m} + EYE);
    np.linalg.norm({m}); np.nanmax({a}); np.float64({c}) * {s}; np.quantile({a}, 0.7);
    np.sum({a}, where={a} > {c}); np.add.reduce({a}); np.maximum.reduce({a}); np.inner({a}, {a});
    math.prod({l}); math.fsum({l}); math.dist({l}[:2], {l}[:2]);
    np.argsort({a})[{k}] * {s}; np.sinc({s});
    np.sum(np.linalg.solve({m} + 5.0 * EYE, {m}[0])); np.heaviside({s}, 0.5) * {s};
    np.sum(np.unique({a})); np.sum(np.partition({a}, {k})[{k}]); np.round({s}, 1) + {s}
    """, compilable=False)
)  # fmt: skip

ARRAYS = (
    _forms("""
    {a} + {a}; {a} - {a}; {a} * {a}; {a} * {s}; {c} - {a}; -{a}; {a} / (1.5 + {a} ** 2);
    np.sin({a}); np.cos({a}); np.tanh({a}); np.exp(-({a} ** 2)); {a}[::-1]; {a} ** 2;
    np.sqrt(1.0 + {a} ** 2); np.cumsum({a}); {a}.copy(); {a} + np.arange({n}) * {c};
    np.log(1.0 + {a} * {a}); {a} * np.ones({n}); np.concatenate(({a}[:1], {a}[1:]))
    """, analytic=True)
    + _forms("""
    np.array([{half}]); np.full({n}, {s}); np.where({a} > {a}, {a}, {a}); np.maximum({a}, {s});
    np.minimum({a}, {a}); np.abs({a}); np.sort({a}); {a}[np.argsort({a})]; np.hypot({a}, {a});
    np.sign({a}) * {a}; np.floor({a}) + {a}; np.arctan2({a}, {a}); np.abs({a}) ** 1.5;
    np.where({a} > {c}, {a}, {c}); {a} % 1.3; np.roll({a}, 1); np.fmax({a}, {s}); np.zeros({n});
    np.copysign({a}, {s}); np.cbrt({a}); np.clip({a}, -0.5, 0.7); np.array([{half}]) * {a};
    np.sqrt(np.abs({a})); np.log1p(np.abs({a})); np.logaddexp({a}, {a}); {a} * ({a} > {s})
    """)
    + _forms("""
    np.cumprod({a}); np.concatenate([{a}[{k}:], {a}[:{k}]]); np.array({l} * {n})[:{n}];
    np.interp({a}, XS, YS); np.diff({a}, append={s}); np.append({a}[1:], {s}); np.flip({a});
    np.array([{s} for t in {a}]); np.asarray([t * {s} for t in {a}]); np.gradient({a});
    np.stack([{a}, {a}])[{bit}]; np.outer({a}, {a})[{k}]; np.convolve({a}, [0.5, {c}])[:{n}];
    np.select([{a} > {s}, {a} < {c}], [{a}, {a}], {s}); np.take({a}, np.argsort({a}));
    np.pad({a}, 1, mode="edge")[1:-1]; np.ravel(np.vstack([{a}, {a}])[:1]); np.fmod({a}, 0.9);
    np.einsum("i,j->i", {a}, {a}); np.tile({a}, 2)[1 : {n} + 1]; np.maximum.accumulate({a});
    np.sum(np.outer({a}, {a}), axis={bit}); np.mean(np.stack([{a}, {a}]), axis=0);
    np.broadcast_to({s}, {n}) * {a}; np.add.outer({a}, {a})[:, {k}]; np.nan_to_num({a});
    np.max(np.stack([{a}, {a}, {a}]), axis=0); np.array([[{s}], [{s}]])[{bit}] + {a};
    np.partition({a}, {k})[{k}] + {a}; np.repeat({a}[:1], {n});
    np.piecewise({a}, [{a} > 0.0], [1.0])
    """, compilable=False)
)  # fmt: skip

MATRICES = (
    _forms("""
    {m} + {m}; {m} * {s}; {m}.T; np.tanh({m}); {m} * {m}; {m} - {c}; {m} @ {m}
    """, analytic=True)
    + _forms("""
    np.abs({m}); np.maximum({m}, {s}); np.dot({m}, {m}); np.where({m} > {c}, {m}, {s})
    """)
    + _forms("""
    np.array([[{s}, {c}], [{c}, {s}]]); np.outer({a}, {a})[:2, :2]; np.eye(2) * {s};
    np.diag(np.array([{s}, {c}])); np.linalg.inv({m} @ {m}.T + 2.0 * EYE); np.tril({m});
    np.sort({m}, axis={bit}); np.cumsum({m}, axis={bit}); np.einsum("ij,kj->ik", {m}, {m});
    np.kron({m}, np.ones((1, 1))); {m}[:, ::-1]; np.matmul({m}, np.array([[{s}, 0.0], [0.0, 1.0]]));
    np.triu({m}, 1) + np.array([[0.0, {s}], [0.0, 0.0]]) @ np.array([[0.0, 0.0], [0.0, {s}]])
    """, compilable=False)
)  # fmt: skip

LISTS = _forms("""
    [{s}, {s}, {c}]; [{s} for t in range(3)]; [t * {s} for t in {a}]; sorted([{s}, {s}, {c}]);
    list({a}); [{c}, {s}, {s}][::-1]; [max(t, {s}) for t in {a}]; list(map(abs, [{s}, {s}, {c}]));
    [t for t, u in zip({a}, {a}) if t <= u or t > {c}] + [{s}, {s}, {s}]
    """, compilable=False)  # fmt: skip

SCIPY = {
    "s": _forms("""
    stats.norm.logpdf({s}, {s}, 0.5 + {s} ** 2); stats.norm.cdf({s}, {c}, 1.0 + {s} ** 2);
    stats.t.logpdf({s}, 3.0 + abs({s})); stats.gamma.logpdf(0.1 + abs({s}), 1.5 + abs({s}));
    stats.expon.sf(abs({s}), scale=1.2 + abs({s})); stats.poisson.logpmf(3, 0.5 + abs({s}));
    stats.beta.logpdf(0.5 + 0.4 * np.tanh({s}), 2.0, 1.5 + abs({s})); stats.cauchy.logsf({s});
    stats.norm.ppf(0.5 + 0.4 * np.tanh({s}), {s}, 2.0); np.sum(stats.norm.logpdf({a}, {s}, 1.5));
    stats.norm({s}, 1.3).logpdf({s}); stats.weibull_min(1.5, scale=1.0 + abs({s})).logsf(abs({s}));
    stats.multivariate_normal.logpdf({a}[:2], {m}[0], {m} @ {m}.T + EYE);
    sum(d.logpdf({s}) for d in (stats.norm, stats.logistic, stats.laplace));
    special.gammaln(1.1 + abs({s})); special.erf({s}); special.expit({s}) * {s};
    special.logsumexp({a}); special.xlogy(abs({s}), 1.1 + abs({s})); special.j0({s});
    special.gammainc(1.2 + abs({s}), 0.1 + abs({s})); special.ndtr({s});
    special.digamma(1.5 + abs({s})); special.betaln(1.1 + abs({s}), {s} ** 2 + 0.5);
    special.softmax({a})[{k}]; special.log_ndtr({s}); special.i0e({s});
    linalg.det({m} + 3.0 * EYE); linalg.norm({a}); np.sum(linalg.solve({m} + 4.0 * EYE, {m}[0]));
    linalg.cho_solve(linalg.cho_factor({m} @ {m}.T + EYE), {m}[0])[{j}];
    linalg.lu_solve(linalg.lu_factor({m} + 4.0 * EYE), {m}[1])[{j}];
    linalg.solve_triangular(np.tril({m}, -1) + (2.0 + {s} ** 2) * EYE, {m}[0], lower=True)[{j}];
    linalg.eigvalsh({m} @ {m}.T + np.diag([1.0, 2.0]))[{j}]; linalg.pinv({m} + 4.0 * EYE)[0, {j}];
    distance.euclidean({a}, {a}); distance.cosine({a} + 2.0, {a} - 3.0); distance.pdist({m})[0];
    distance.cdist({m}, {m}, "sqeuclidean")[{j}, {bit}]; distance.minkowski({a}, {a}, 3);
    distance.cdist({m}, {m} + {c}, "cityblock")[{j}, {bit}]; distance.chebyshev({a}, {a});
    distance.cdist({m}, {m}, "seuclidean", V=1.0 + {a}[:2] ** 2)[0, {bit}];
    distance.canberra({a}, {a}); distance.braycurtis({a}, {a} + {c});
    distance.sqeuclidean({a}, {a});
    distance.jensenshannon(0.1 + np.abs({a}), 0.2 + np.abs({a})); np.sum(distance.cdist({m}, EYE));
    Rotation.from_rotvec({a}[:3]).apply({a}[1:4])[{k}]; Rotation.from_rotvec({a}[:3]).magnitude();
    Rotation.from_euler("xyz", {a}[:3]).as_quat()[{k}]; TURN.apply({a}[1:4], inverse=True)[{k}];
    (TURN * Rotation.from_quat([{s}, {s}, {s}, 1.5])).as_matrix()[{j}, {bit}];
    Rotation.from_rotvec({a}[:3]).inv().as_rotvec()[{k}]; (TURN ** {s}).as_mrp()[{k}]
    """, compilable=False),
    "a": _forms("""
    stats.norm.pdf({a}, {s}); stats.norm.cdf({a}, {s}, 1.5); special.gammaln(1.1 + np.abs({a}));
    special.erf({a}); special.expit({a}); special.log_softmax({a}); special.softmax({a});
    special.xlog1py({a}, {a} ** 2); stats.t.logpdf({a}, 4.0); stats.zscore({a} * np.arange({n}));
    np.append(Rotation.from_rotvec({a}[:3]).apply({a}[:3]), {a}[3:])
    """, compilable=False),
    "m": _forms("""
    linalg.inv({m} @ {m}.T + EYE); linalg.expm(0.3 * np.tanh({m})); distance.cdist({m}, {m});
    linalg.cholesky({m} @ {m}.T + EYE, lower=True); linalg.block_diag({s}, {s});
    distance.squareform(distance.pdist({m})); TURN.as_matrix()[:2, :2] @ {m};
    Rotation.from_rotvec({a}[:3]).as_matrix()[1:, :2]; linalg.solve({m} + 4.0 * EYE, {m})
    """, compilable=False),
}  # fmt: skip
"""What calls SciPy, by what it gives."""

CONDITIONS = _forms("""
    {s} > {s}; {s} < {c}; {s} >= {s}; {s} <= {c}; {s} > {c} or {s} < {c}; {s} > 0.0 and {s} < {s};
    not {s} > {c}; {s} == {s}; {s} != {c}; {c} < {s} < 1.0; np.sum({a}) > {c}; {a}[{k}] > {a}[{k}]
    """)

NUMBERS = ["0.0", "-0.0", "1.0", "0.5", "2.0", "-1.0", "1.5", "0.25", "1e-3", "3.0", "-0.7", "1e3"]
