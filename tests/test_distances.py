"""scipy.spatial.distance: all pairs, two vectors, every metric, and where points coincide."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pytest
import scipy.spatial
from scipy.spatial import distance
from scipy.spatial.distance import cdist, pdist, squareform

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

RNG = np.random.default_rng(14)
A, B = RNG.uniform(0.1, 1.0, (5, 3)), RNG.uniform(0.1, 1.0, (4, 3))
W = np.array([0.5, 1.0, 2.0])
_FACTOR = RNG.normal(size=(3, 3))
FORM = _FACTOR @ _FACTOR.T + np.eye(3) + 0.3 * _FACTOR  # not symmetric
WEIGHTS, HALF = RNG.normal(size=(5, 4)), RNG.normal(size=10)

METRICS = {
    "euclidean": ({}, {"w": W}),
    "sqeuclidean": ({}, {"w": W}),
    "cityblock": ({}, {"w": W}),
    "minkowski": ({}, {"p": 3}, {"p": 1}, {"p": 2.0}, {"p": np.inf}, {"p": 2.5, "w": W},
                  {"p": np.inf, "w": W}),
    "chebyshev": ({}, {"w": W}, {"w": np.array([0.0, 1.0, 1.0])}),
    "cosine": ({}, {"w": W}),
    "correlation": ({}, {"w": W}),
    "canberra": ({}, {"w": W}),
    "braycurtis": ({}, {"w": W}),
    "jensenshannon": ({},),
    "seuclidean": ({"V": W}, {}),
    "mahalanobis": ({"VI": FORM}, {}),
}  # fmt: skip
CASES = [(name, given) for name, choices in METRICS.items() for given in choices]
IDS = [f"{name} {','.join(given)}" for name, given in CASES]


# --- all pairs --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "given"), CASES, ids=IDS)
def test_distances_of_all_pairs_have_two_derivatives_by_either_set(name, given):
    check_grads(lambda x: cdist(x, B, name, **given), (A,), order=2)
    check_grads(lambda x: cdist(A, x, name, **given), (B,), order=2)
    check_grads(lambda x: np.exp(-cdist(x, x[:4] * x[1:], name, **given)), (A,), order=2)
    check_grads(lambda x: pdist(x, name, **given), (A,), order=2)


@pytest.mark.parametrize(("name", "given"), CASES, ids=IDS)
def test_the_distances_are_scipys_to_the_bit(name, given):
    found, _ = tg.jvp(lambda x: cdist(x, B, name, **given), (A,), (A,))
    default = not given and name in ("seuclidean", "mahalanobis")  # by our own variances
    np.testing.assert_allclose(found, cdist(A, B, name, **given), rtol=1e-13 if default else 0.0)
    found, _ = tg.jvp(lambda x: pdist(x, name, **given), (A,), (A,))
    np.testing.assert_allclose(found, pdist(A, name, **given), rtol=1e-13 if default else 0.0)


PARAMETERS = [(name, given) for name, given in CASES
              if {"w", "V", "VI"} & set(given) and given.get("p") != np.inf]  # fmt: skip


@pytest.mark.parametrize(("name", "given"), PARAMETERS)
def test_a_metrics_weights_variances_and_form_are_differentiated_by(name, given):
    rest = {key: value for key, value in given.items() if key == "p"}
    ((key, value),) = [(key, value) for key, value in given.items() if key != "p"]
    if name == "chebyshev" and 0.0 in value:
        value = W  # at 0 a coordinate begins to count
    check_grads(lambda q: cdist(A, B, name, **rest, **{key: q}), (value,), order=2)
    check_grads(lambda q: pdist(A * q.ravel()[1], name, **rest, **{key: q}), (value,), order=2)


def test_a_weight_of_zero_has_its_derivative():
    w = np.array([0.0, 1.0, 2.0])
    expected = 0.5 * (A[0] - B[0]) ** 2 / cdist(A[:1], B[:1], w=w)[0, 0]
    np.testing.assert_allclose(tg.grad(lambda w: cdist(A, B, w=w)[0, 0])(w), expected)
    np.testing.assert_allclose(tg.grad(lambda w: distance.euclidean(A[0], B[0], w))(w), expected)


def test_other_names_of_metrics_are_metrics():
    names = {"l2": None, "Euclid": "euclidean", "sqe": "sqeuclidean", "cblock": "cityblock",
             "cheb": "chebyshev", "CORRELATION": "correlation", "js": "jensenshannon"}  # fmt: skip
    for alias, name in names.items():
        if name is None:
            with pytest.raises(ValueError, match="Unknown Distance Metric"):
                tg.grad(lambda x, alias=alias: np.sum(cdist(x, B, alias)))(A)
            continue
        found = tg.grad(lambda x, alias=alias: np.sum(cdist(x, B, alias)))(A)
        np.testing.assert_array_equal(
            found, tg.grad(lambda x, name=name: np.sum(cdist(x, B, name)))(A)
        )


def test_what_counts_differing_coordinates_is_constant():
    x = (A > 0.4).astype(float)
    for name in ("hamming", "jaccard", "dice", "yule", "rogerstanimoto", "russellrao",
                 "sokalsneath"):  # fmt: skip
        y = np.maximum(x, np.eye(5, 3))
        value, gradient = tg.value_and_grad(lambda x, n=name: np.sum(cdist(x, x[:2], n)))(y)
        np.testing.assert_allclose(value, np.sum(cdist(y, y[:2], name)), rtol=1e-15)
        assert not gradient.any()
    steps = tg.value_and_grad(lambda x: cdist(x, B, "hamming")[0, 0] + np.sum(x))
    steps(A)
    assert steps(np.where(np.arange(5)[:, None] == 0, B[0], A))[0] == np.sum(B[0]) + np.sum(A[1:])
    with pytest.raises(UnsupportedFunctionError, match=r"cdist with metric='hamming' by w="):
        tg.grad(lambda w: cdist(A, B, "hamming", w=w)[0, 0])(W)


def test_passive_rows_and_numbers_among_the_points_are_constants():
    def f(x):
        points = np.zeros((4, 2))
        points[1] = 2.0, 1.0
        points[2, 0] = x[0]
        points[3] = x[1:]
        return np.sum(pdist(points) ** 3)

    check_grads(f, (np.array([0.3, -0.7, 1.9]),), order=2)


def test_large_sets_are_summed_in_parts():
    points, others = RNG.normal(size=(400, 3)), RNG.normal(size=(90, 3))
    gradient = tg.grad(lambda x: np.sum(cdist(x, others) ** 3))
    distances = cdist(points, others)
    expected = 3.0 * np.einsum("ij,ijk->ik", distances, points[:, None] - others)
    np.testing.assert_allclose(gradient(points), expected, rtol=1e-12)
    assert len(gradient.recorded.recordings[0].tape.op) < 4 * distances.size  # no coordinates'


def test_points_far_from_the_origin_lose_no_digits():
    near = np.array([[1e8 + 0.25, 2e8], [1e8, 2e8 + 0.5]])
    expected = (near[0] - near[1]) / np.linalg.norm(near[0] - near[1])
    np.testing.assert_allclose(tg.grad(lambda x: pdist(x)[0])(near)[0], expected, rtol=1e-14)


# --- points that coincide ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["euclidean", "minkowski", "seuclidean", "mahalanobis",
                                  "jensenshannon", "chebyshev", "cityblock"])  # fmt: skip
def test_where_points_coincide_the_distance_has_the_derivative_zero(name):
    given = {"minkowski": {"p": 3}, "seuclidean": {"V": W}, "mahalanobis": {"VI": FORM}}
    given = given.get(name, {})
    twice = np.vstack([A[:2], A[:2]])
    for f in (lambda x: np.sum(cdist(x, A[:2], name, **given)[:2] * np.eye(2)),
              lambda x: np.sum(np.diag(cdist(x, x, name, **given))),
              lambda x: pdist(x, name, **given)[1]):  # fmt: skip
        np.testing.assert_array_equal(tg.grad(f)(twice), np.zeros((4, 3)))
        np.testing.assert_array_equal(tg.hessian(f)(twice), np.zeros((4, 3, 4, 3)))


@pytest.mark.parametrize("kernel", [lambda d: np.exp(-(d**2)), lambda d: np.exp(-d),
                                    lambda d: (1.0 + d) * np.exp(-d)])  # fmt: skip
def test_kernels_of_scaled_points_have_the_derivatives_by_the_scale(kernel):
    points = np.vstack([A, A[:1]])  # one is there twice

    def f(log_scale):
        scaled = points / np.exp(log_scale)
        return np.sum(kernel(cdist(scaled, scaled)))

    check_grads(f, (np.array([0.1, -0.2, 0.3]),), order=2)
    check_grads(lambda s: np.sum(kernel(pdist(points * s))), (1.3,), order=2)


def test_squared_distances_have_their_second_derivatives_where_points_coincide():
    def f(x):
        return np.sum(np.exp(-0.5 * cdist(x, B, "sqeuclidean")))

    expected = -np.eye(3)
    for b in B[1:]:
        d = B[0] - b
        expected = expected + (np.outer(d, d) - np.eye(3)) * np.exp(-0.5 * d @ d)
    np.testing.assert_allclose(tg.hessian(f)(B[:1]).reshape(3, 3), expected, rtol=1e-12)


def test_what_neither_distribution_has_any_of_counts_nothing():
    p, q = np.array([[0.2, 0.0, 0.8]]), np.array([[0.5, 0.0, 0.5]])
    check_grads(lambda x: cdist(x * [1.0, 0.0, 1.0], q, "jensenshannon"), (p,), order=2)
    for f in (lambda x: cdist(x, q, "jensenshannon")[0, 0],
              lambda x: distance.jensenshannon(x[0], q[0])):  # fmt: skip
        gradient = tg.grad(f)(p)
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(gradient @ p[0], 0.0, atol=1e-15)


def test_canberra_of_nothing_and_nothing_is_constant():
    x, y = np.array([[0.0, 0.3, -0.2]]), np.array([[0.0, 0.5, 0.4]])
    expected = [[0.0, -2.0 * 0.5 / 0.8**2, 0.0]]  # of opposite signs it's 1
    found = tg.grad(lambda x: cdist(x, y, "canberra")[0, 0])(x)
    np.testing.assert_allclose(found, expected, atol=1e-15)
    found = tg.grad(lambda x: distance.canberra(x[0], y[0]))(x)
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_the_largest_difference_is_shared_at_a_tie():
    found = tg.grad(lambda x: cdist(x, np.zeros((1, 3)), "chebyshev")[0, 0])
    np.testing.assert_array_equal(found(np.array([[2.0, -2.0, 1.0]])), [[0.5, -0.5, 0.0]])


# --- functions as metrics, vectors and matrices -----------------------------------------------


def _scaled(u, v, scale=1.0):
    return np.sqrt(1.0 + scale * np.sum((u - v) ** 2))


def test_a_metric_that_is_a_function_is_called_on_rows():
    check_grads(lambda x: cdist(x, B, _scaled, scale=x[0, 0]), (A,), order=2)
    check_grads(lambda x: pdist(x, lambda u, v: abs(u[0] - v[1]) * u[2]), (A,), order=2)
    check_grads(lambda s: cdist(A, B, lambda u, v: _scaled(u, v, s)), (0.7,), order=2)
    for metric in (distance.cosine, distance.minkowski, distance.mahalanobis, distance.seuclidean):
        name = metric.__name__
        np.testing.assert_allclose(tg.grad(lambda x, m=metric: HALF @ pdist(x, m))(A),
                                   tg.grad(lambda x, n=name: HALF @ pdist(x, n))(A))  # fmt: skip
    plain, constant = cdist(A, B, _scaled), tg.value_and_grad(lambda x: np.sum(x) + np.sum(
        cdist(A, B, _scaled)))(A)[0]  # fmt: skip
    np.testing.assert_allclose(constant, np.sum(A) + np.sum(plain), rtol=1e-15)


def test_squareform_moves_numbers_both_ways():
    check_grads(lambda x: squareform(pdist(x)) * np.arange(25).reshape(5, 5), (A,))
    for both_ways in (
        lambda x: squareform(squareform(pdist(x))),
        lambda x: squareform(cdist(x, x)),
        lambda x: squareform(cdist(x, x) + np.eye(5), checks=False),
        lambda x: squareform(squareform(pdist(x), "tomatrix"), force="tovector"),
    ):
        f = lambda x, both_ways=both_ways: HALF @ both_ways(x)  # noqa: E731
        np.testing.assert_allclose(tg.grad(f)(A), tg.grad(lambda x: HALF @ pdist(x))(A), rtol=1e-12)
    with pytest.raises(ValueError, match="must be symmetric"):
        tg.grad(lambda x: np.sum(squareform(x[:3])))(A)
    with pytest.raises(ValueError, match="Incompatible vector size"):
        tg.grad(lambda x: np.sum(squareform(x[0, :2])))(A)
    with pytest.raises(ValueError, match="not a distance vector"):
        tg.grad(lambda x: np.sum(squareform(x[:3], "tomatrix")))(A)


def test_a_matrix_that_is_no_longer_symmetric_is_found_out():
    f = tg.grad(lambda x: np.sum(squareform(np.array([[0.0, x[0]], [x[1], 0.0]]))))
    np.testing.assert_array_equal(f(np.array([2.0, 2.0])), [1.0, 0.0])
    with pytest.raises(ValueError, match="must be symmetric"):
        f(np.array([2.0, 3.0]))


# --- two vectors ------------------------------------------------------------------------------

PAIRS = {
    "euclidean": ({}, {"w": W}), "sqeuclidean": ({}, {"w": W}), "cityblock": ({}, {"w": W}),
    "chebyshev": ({}, {"w": W}), "cosine": ({}, {"w": W}),
    "minkowski": ({"p": 3}, {"p": 1}, {"p": np.inf}, {"p": 2.5, "w": W}, {"p": np.inf, "w": W}),
    "correlation": ({}, {"w": W}, {"centered": False}), "canberra": ({}, {"w": W}),
    "braycurtis": ({}, {"w": W}), "jensenshannon": ({}, {"base": 2.0}),
    "seuclidean": ({"V": W},), "mahalanobis": ({"VI": FORM},),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_vectors_have_two_derivatives(name):
    function, (u, v) = getattr(distance, name), A[:2]
    for given in PAIRS[name]:
        check_grads(lambda x, given=given: function(x, v, **given), (u,), order=2)
        check_grads(lambda x, given=given: function(u, x, **given), (v,), order=2)
        check_grads(lambda x, given=given: function(x, list(x * x), **given), (u,), order=2)
        for key in {"w", "V", "VI"} & set(given):
            rest = {k: value for k, value in given.items() if k != key}
            check_grads(lambda q, k=key, rest=rest: function(u, v, **{k: q}, **rest), (given[key],))
        value, _ = tg.value_and_grad(lambda x, given=given: function(x, v, **given))(u)
        np.testing.assert_allclose(value, function(u, v, **given), rtol=1e-14)


def test_two_vectors_that_coincide_have_the_derivative_zero():
    for name, given in (("euclidean", {}), ("minkowski", {"p": 3}), ("jensenshannon", {}),
                        ("seuclidean", {"V": W}), ("mahalanobis", {"VI": FORM})):  # fmt: skip
        f = functools.partial(getattr(distance, name), v=A[0], **given)
        if name == "jensenshannon":
            f = functools.partial(distance.jensenshannon, q=A[0])
        np.testing.assert_array_equal(tg.grad(lambda x, f=f: f(x))(A[0]), np.zeros(3))


def test_the_angle_between_parallel_vectors_has_its_second_derivative():
    u = np.array([0.6, 0.8])
    for v in (u, 3.0 * u):  # rounding takes one of them below zero
        hessian = tg.hessian(lambda x, v=v: distance.cosine(x, v))(u)
        np.testing.assert_allclose(hessian, np.eye(2) - np.outer(u, u), atol=1e-12)


def test_divergences_along_an_axis_keep_it_if_asked():
    check_grads(lambda x: distance.jensenshannon(x, A[:, ::-1], axis=1), (A,), order=2)
    f = lambda x: distance.jensenshannon(x, A[:, ::-1], axis=1, keepdims=True)  # noqa: E731
    assert tg.jvp(f, (A,), (A,))[0].shape == (5, 1)


def test_matrices_of_norms_are_recorded():
    for p in (1, 2, 3, np.inf):
        check_grads(lambda x, p=p: scipy.spatial.distance_matrix(x, B, p), (A,), order=2)
        found, _ = tg.jvp(lambda x, p=p: scipy.spatial.distance_matrix(B, x, p=p), (A,), (A,))
        np.testing.assert_array_equal(found, scipy.spatial.distance_matrix(B, A, p))


# --- how they're reached, and what is refused --------------------------------------------------

NEAR = functools.partial(cdist, metric="sqeuclidean")


class Space:
    distances = staticmethod(cdist)
    by_name = {"all": cdist}  # noqa: RUF012


FORMS = {
    "by its name": lambda x: np.sum(cdist(x, B, "sqeuclidean")),
    "by keywords": lambda x: np.sum(cdist(XA=x, XB=B, metric="sqeuclidean")),
    "through its module": lambda x: np.sum(distance.cdist(x, B, "sqeuclidean")),
    "through its package": lambda x: np.sum(scipy.spatial.distance.cdist(x, B, "sqeuclidean")),
    "an attribute": lambda x: np.sum(Space.distances(x, B, "sqeuclidean")),
    "a dictionary's": lambda x: np.sum(Space.by_name["all"](x, B, "sqeuclidean")),
    "a loop's variable": lambda x: sum(np.sum(f(x, B, "sqeuclidean")) for f in (cdist,)),
    "a partial": lambda x: np.sum(NEAR(x, B)),
    "by getattr": lambda x: np.sum(getattr(distance, "c" + "dist")(x, B, "sqeuclidean")),
    "mapped": lambda x: np.sum(list(map(lambda u: cdist([u], B, "sqeuclidean"), x))),  # noqa: C417
}


@pytest.mark.parametrize("form", FORMS)
def test_distances_are_recognised_however_they_are_reached(form):
    expected = 2.0 * np.sum(A[:, None] - B, axis=1)
    np.testing.assert_allclose(tg.grad(FORMS[form])(A), expected, rtol=1e-12)


def test_plain_points_have_scipys_distances_inside_a_recorded_function():
    seen = []

    def f(x):
        seen.append(cdist(A, B, "cosine"))
        seen.append(pdist(A.astype(np.float32)))
        seen.append(squareform(np.arange(3)))
        return np.sum(x)

    tg.grad(f)(A)
    plain = (cdist(A, B, "cosine"), pdist(A.astype(np.float32)), squareform(np.arange(3)))
    for found, expected in zip(seen, plain, strict=False):
        np.testing.assert_array_equal(np.asarray(found), expected)


def _misfit(x):
    return np.sum(WEIGHTS * np.exp(-cdist(x, B, "minkowski", p=3)))


def test_all_tiers_and_a_copy_from_a_pickle_agree():
    gradient = tg.value_and_grad(_misfit)
    value, slope = gradient(A)
    for other in (tg.value_and_grad(_misfit, compile="now"), pickle.loads(pickle.dumps(gradient)),
                  gradient.compiled(A)):  # fmt: skip
        for point in (A, A + 0.1):
            value, slope = gradient(point)
            found, found_slope = other(point)
            np.testing.assert_allclose(found, value, rtol=1e-14)
            np.testing.assert_allclose(found_slope, slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: cdist(x, B, out=np.empty((5, 4))), r"cdist with out="),
    (lambda x: cdist(x, B, _scaled, out=np.empty((5, 4))), r"cdist with out="),
    (lambda x: cdist(x, B, "minkowski", p=x[0, 0]), r"cdist by the order p"),
    (lambda x: distance.minkowski(x[0], B[0], x[0, 0]), r"minkowski by the order p"),
    (lambda x: distance.yule(x[0], B[0]), r"scipy\.spatial\.distance\.yule has no rule"),
    (lambda x: distance.directed_hausdorff(x, B)[0], r"directed_hausdorff has no rule"),
])  # fmt: skip
def test_what_has_no_rule_is_refused_by_name(call, message):
    with pytest.raises(UnsupportedFunctionError, match=message):
        tg.grad(lambda x: np.sum(call(x)))(A)


@pytest.mark.parametrize("call", [
    lambda x: cdist(x, B[:, :2]), lambda x: cdist(x[0], B), lambda x: pdist(x[0]),
    lambda x: cdist(x, B, w=-W), lambda x: pdist(x[:3], "mahalanobis"),
    lambda x: cdist(x, B, "seuclidean", V=W[:2]), lambda x: distance.cosine(x, B),
    lambda x: cdist(x[:, :2], B, _scaled),
])  # fmt: skip
def test_bad_points_raise_scipys_errors(call):
    with pytest.raises(ValueError) as plain:  # noqa: PT011  # whatever SciPy says
        call(A)
    with pytest.raises(ValueError) as recorded:  # noqa: PT011
        tg.grad(lambda x: np.sum(call(x)))(A)
    assert str(recorded.value) == str(plain.value)


def test_sets_of_no_points_have_no_distances():
    assert tg.grad(lambda x: np.sum(cdist(x, B[:0])) + np.sum(pdist(x[:1])))(A).any() == 0
    assert tg.value_and_grad(lambda x: x[0, 0] + np.sum(cdist(x[:0], x)))(A)[0] == A[0, 0]
