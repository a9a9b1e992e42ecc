"""Series, tables and labelled arrays in arithmetic with active numbers, on either side."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

import tapegrad as tg
from tapegrad.errors import InputTypeError, TapegradError, UnsupportedFunctionError
from tapegrad.testing import check_grads

pd = pytest.importorskip("pandas")

X = np.array([0.7, 1.6, 2.5])
T = np.array([1.0, 2.0, 4.0])
SERIES = {
    "by places": pd.Series(T),
    "by texts": pd.Series(T, index=list("abc"), name="t"),
    "by dates": pd.Series(T, index=pd.date_range("2020-01-01", periods=3)),
    "of whole numbers": pd.Series([1, 2, 4]),
    "that may lack some": pd.Series([1, 2, 4], dtype="Int64"),
    "an index": pd.Index(T),
}
FORMS = {
    "s * x": lambda s, x: s * x, "x * s": lambda s, x: x * s,
    "s * x0": lambda s, x: s * x[0], "x0 * s": lambda s, x: x[0] * s,
    "s - x": lambda s, x: s - x, "x0 - s": lambda s, x: x[0] - s, "s + x0": lambda s, x: s + x[0],
    "x / s": lambda s, x: x / s, "s / x0": lambda s, x: s / x[0],
    "s ** x0": lambda s, x: s ** x[0], "x0 ** s": lambda s, x: x[0] ** s,
    "s ** x": lambda s, x: s**x,
    "s // x": lambda s, x: s // x, "x0 % s": lambda s, x: x[0] % s,
    "-s * x": lambda s, x: -s * x,
    "x += s": lambda s, x: _added(x, s),
    "(s - x) ** 2": lambda s, x: (s - x) ** 2,
    "exp": lambda s, x: np.exp(-x[0] * s), "exp of a quotient": lambda s, x: np.exp(-s / x),
    "multiply": lambda s, x: np.multiply(x, s), "power": lambda s, x: np.power(x, s),
    "where": lambda s, x: np.where(s > 1.5, s * x[0], x),
    "a mask": lambda s, x: x[np.asarray(s) > 1.5] * 2.0,
    "comparisons": lambda s, x: x * (s > x) + (x[0] < s) * x + (s == x[1]) * x + (x[0] != s) * x,
    "gammaln": lambda s, x: scipy.special.gammaln(s + x[0]),
    "logpdf": lambda s, x: scipy.stats.norm.logpdf(s, x[0], x[1]),
    "a residual's sum": lambda s, x: np.sum((s - x[1] * np.exp(-x[0] * s)) ** 2),
    "a residual's mean": lambda s, x: np.mean((s - x[0]) ** 2),
    "x @ s": lambda s, x: x @ s,
    "np.dot": lambda s, x: np.dot(s, x), "concatenate": lambda s, x: np.concatenate([x, s]),
    "interp": lambda s, x: np.interp(s, [0.0, 1.5, 5.0], x),
    "a loop": lambda s, x: sum(number * x[0] for number in s),
}  # fmt: skip


def _added(x, s):
    y = x.copy()
    y += s
    return y


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("form", FORMS)
def test_a_series_stands_for_its_values_on_either_side(kind, form):
    series, function = SERIES[kind], FORMS[form]
    values = np.asarray(series, float)
    expected, tangent = tg.jvp(lambda x: function(values, x), (X,), (np.ones(3),))
    found, found_tangent = tg.jvp(lambda x: function(series, x), (X,), (np.ones(3),))
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    np.testing.assert_allclose(found_tangent, tangent, rtol=1e-15)
    np.testing.assert_allclose(np.asarray(function(series, X), float), found, rtol=1e-14)


def test_what_is_taken_of_a_series_is_plain():
    series = SERIES["by texts"]
    f = lambda x: np.sum(series.to_numpy() * x + series.values * x) + series.mean() * x[0]  # noqa: E731
    np.testing.assert_allclose(tg.grad(f)(X), 2.0 * T + [T.mean(), 0.0, 0.0], rtol=1e-15)
    assert tg.grad(lambda x: series["b"] * x[0] + series.iloc[2] * x[1])(X).tolist() == [2, 4, 0]


TABLE = pd.DataFrame({"t": T, "y": [2.0, 1.1, 0.4], "kind": ["u", "v", "u"]})


def test_columns_of_a_table_are_fitted_as_they_stand():
    def misfit(p):
        return np.sum((TABLE["y"] - p[0] * np.exp(-p[1] * TABLE.t)) ** 2) / TABLE["y"].var()

    def misfit_by_rows(p):
        total = 0.0
        for row in TABLE.itertuples():
            total += (row.y - p[0] * np.exp(-p[1] * row.t)) ** 2
        return total / TABLE["y"].var()

    point = np.array([3.0, 0.5])
    check_grads(misfit, (point,), order=2)
    value, gradient = tg.value_and_grad(misfit)(point)
    assert value == pytest.approx(misfit(point), rel=1e-14)
    found, by_rows = tg.value_and_grad(misfit_by_rows)(point)
    assert found == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(by_rows, gradient, rtol=1e-12)


def test_a_table_that_changes_is_seen():
    table = TABLE.copy()
    gradient = tg.grad(lambda x: np.sum(x * table["t"]))
    np.testing.assert_array_equal(gradient(X), T)
    table.loc[1, "t"] = 7.0
    np.testing.assert_array_equal(gradient(X), [1.0, 7.0, 4.0])
    table["t"] = [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(gradient(X), np.ones(3))


NUMBERED = pd.Series(T, index=[2, 1, 0])
DATED, LATER = SERIES["by dates"], pd.Series(T, index=pd.date_range("2020-01-02", periods=3))
NUMERIC = TABLE[["t", "y"]]
REFUSED = {
    "a table": (lambda x: np.sum(NUMERIC * x[0]), "its axes have names"),
    "a table on the right": (lambda x: np.sum(x[0] * NUMERIC), "its axes have names"),
    "a table beside an array": (lambda x: np.sum(NUMERIC.T - x), "its axes have names"),
    "a table in a function": (lambda x: np.sum(np.exp(x[0] * NUMERIC)), "its axes have names"),
    "labels that are other numbers": (lambda x: (NUMBERED * x)[0], "labels may be numbers"),
    "a part of a series": (lambda x: np.sum(SERIES["by places"][1:] * x[1:]), "may be numbers"),
    "labels to be aligned": (lambda x: np.sum(DATED * x - LATER), "would align them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_labels_may_mean_more_than_places_the_values_have_to_be_taken(name):
    function, reason = REFUSED[name]
    with pytest.raises(InputTypeError, match=reason) as caught:
        tg.grad(function)(X)
    assert "write a.to_numpy() for the" in str(caught.value)


def test_texts_are_no_numbers():
    with pytest.raises(InputTypeError, match="only real numbers can"):
        tg.grad(lambda x: np.sum(x * TABLE["kind"]))(X)


def test_the_same_labels_again_are_those_met_before():
    f = lambda x: np.sum((DATED * x - DATED**2) / DATED.copy())  # noqa: E731
    np.testing.assert_allclose(tg.grad(f)(X), np.ones(3))


def test_a_deviation_by_nobody_knows_what_is_refused():
    series = SERIES["by places"]
    for name in ("std", "var"):
        with pytest.raises(UnsupportedFunctionError, match=rf"a\.{name}\(ddof=1\)"):
            tg.grad(lambda x, name=name: getattr(series * x, name)())(X)
        for use in (lambda a, name=name: getattr(a, name)(ddof=1),
                    lambda a, name=name: getattr(np, name)(a)):  # fmt: skip
            value, _ = tg.value_and_grad(lambda x, use=use: use(series * x))(X)
            assert value == pytest.approx(use(series * X), rel=1e-14)
    assert tg.value_and_grad(lambda x: x.std())(X)[0] == pytest.approx(X.std(), rel=1e-14)


@pytest.mark.parametrize("use", [
    lambda a: a.abs().sum(), lambda a: a.groupby(TABLE["kind"]).sum(),
    lambda a: a.rolling(2).mean().sum(), lambda a: a.iloc[0], lambda a: a.values,
])  # fmt: skip
def test_what_only_a_series_has_is_asked_of_arrays_in_vain(use):
    with pytest.raises(AttributeError, match=r"write a\.to_numpy\(\) for the Series a"):
        tg.grad(lambda x: use(SERIES["by places"] - x))(X)


def test_a_series_of_active_numbers_keeps_their_derivatives_or_says_so():
    np.testing.assert_array_equal(tg.grad(lambda x: pd.Series(x).sum())(X), np.ones(3))
    np.testing.assert_allclose(tg.grad(lambda x: (pd.Series(x) * x[0]).sum())(X),
                               [2.0 * X[0] + X[1] + X[2], X[0], X[0]])  # fmt: skip
    np.testing.assert_allclose(tg.grad(lambda x: TABLE.assign(z=x)["z"].sum())(X), np.ones(3))
    np.testing.assert_allclose(
        tg.grad(lambda x: SERIES["by places"].map(lambda t: t * x[0] ** 2).sum())(X),
        [2.0 * X[0] * T.sum(), 0.0, 0.0],
    )
    with pytest.raises(UnsupportedFunctionError, match=r"write a\.to_numpy\(\) for the Series a"):
        tg.jacobian(pd.Series)(X)


def test_labels_met_in_one_call_bind_no_other():
    for series in (DATED, LATER, SERIES["by texts"]):
        gradient = tg.grad(lambda x, s=series: np.sum(x * s))
        np.testing.assert_array_equal(gradient(X), T)
    assert X.std() == tg.value_and_grad(lambda x: x.std())(X)[0]


# --- other libraries --------------------------------------------------------------------------

BOTH_SIDES = {
    "a * x": lambda a, x: a * x, "x * a": lambda a, x: x * a, "a * x0": lambda a, x: a * x[0],
    "x0 * a": lambda a, x: x[0] * a, "x0 - a": lambda a, x: x[0] - a, "a / x": lambda a, x: a / x,
    "a ** x0": lambda a, x: a ** x[0], "exp": lambda a, x: np.exp(x[0] * a),
    "add": lambda a, x: np.add(a, x), "maximum": lambda a, x: np.maximum(x, a),
}  # fmt: skip


@pytest.mark.parametrize("form", BOTH_SIDES)
@pytest.mark.parametrize("library", ["xarray", "polars"])
def test_arrays_of_other_libraries_have_to_be_given_as_values(library, form):
    module = pytest.importorskip(library)
    array = module.DataArray(T, dims="t") if library == "xarray" else module.Series("t", T)
    with pytest.raises(TapegradError, match=r"write (a\.to_numpy\(\) for the|y = np\.array\(a)"):
        tg.grad(lambda x: np.sum(BOTH_SIDES[form](array, x)))(X)
    plain = tg.grad(lambda x: np.sum(BOTH_SIDES[form](array.to_numpy(), x)))(X)
    np.testing.assert_array_equal(plain, tg.grad(lambda x: np.sum(BOTH_SIDES[form](T, x)))(X))
