"""scipy.spatial.transform: rotations of active numbers, however they're made, used and reached."""

from __future__ import annotations

import functools
import pickle
import threading
import warnings

import numpy as np
import pytest
import scipy.spatial.transform
from scipy.spatial.transform import RigidTransform, Rotation, RotationSpline, Slerp
from scipy.spatial.transform import Rotation as R

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.spatial import rotation_private
from tapegrad.testing import check_grads

pytestmark = pytest.mark.skipif(not rotation_private.is_known(Rotation),
                                reason="rotations of this SciPy are compiled")  # fmt: skip

RNG = np.random.default_rng(3)
VECTOR, VECTORS = RNG.normal(size=3), RNG.normal(size=(4, 3))
POINT, POINTS = RNG.normal(size=3), RNG.normal(size=(4, 3))
QUAT, QUATS = RNG.normal(size=4), RNG.normal(size=(4, 4))
MATRIX, MATRICES = R.from_rotvec(VECTOR).as_matrix(), R.from_rotvec(VECTORS).as_matrix()
ONE, STACK = R.from_rotvec([0.3, -0.2, 0.5]), R.from_rotvec(RNG.normal(size=(4, 3)))
TIMES = np.array([0.0, 1.0, 2.0, 4.0])
SEQUENCES = ("xyz", "XYZ", "zxz", "ZYX", "yxy", "ZXZ", "zyx")
NEAR_PI = VECTOR / np.linalg.norm(VECTOR)

MAKING = {
    "a vector": (lambda x: R.from_rotvec(x).as_matrix(), VECTOR),
    "vectors": (lambda x: R.from_rotvec(x).as_matrix(), VECTORS),
    "a vector in degrees": (lambda x: R.from_rotvec(x, degrees=True).as_matrix(), 50.0 * VECTOR),
    "no vector": (lambda x: R.from_rotvec(x).as_matrix(), np.zeros(3)),
    "a short vector": (lambda x: R.from_rotvec(x).apply(POINT), np.array([1e-4, 2e-4, 0.0])),
    "a vector at the end of a series": (lambda x: R.from_rotvec(x).apply(POINT),
                                        np.array([1e-3, 0.0, 0.0])),
    "vectors, one of them none": (lambda x: R.from_rotvec(x).as_quat(),
                                  VECTORS * [[1.0], [0.0], [1e-5], [1.0]]),
    "vectors in a grid": (lambda x: R.from_rotvec(x.reshape(2, 2, 3)).as_matrix(), VECTORS),
    "numbers in a list": (lambda x: R.from_rotvec([x[0], 0.0, x[2]]).as_matrix(), VECTOR),
    "a quaternion": (lambda x: R.from_quat(x).as_matrix(), QUAT),
    "quaternions": (lambda x: R.from_quat(x).as_quat(), QUATS),
    "quaternions, scalars first": (lambda x: R.from_quat(x, scalar_first=True).as_quat(), QUATS),
    "the class": (lambda x: R(x).as_mrp(), QUAT),
    "the class, not normalised": (lambda x: R(x / np.sqrt(x @ x), False).as_quat(), QUAT),
    "Rodrigues parameters": (lambda x: R.from_mrp(x).as_matrix(), VECTOR),
    "a matrix": (lambda x: R.from_matrix(x).as_quat(), MATRIX),
    "matrices": (lambda x: R.from_matrix(x).as_rotvec(), MATRICES),
    "the unit matrix": (lambda x: R.from_matrix(x).as_matrix(), np.eye(3)),
    "a matrix that isn't orthogonal": (lambda x: R.from_matrix(x).as_matrix(),
                                       MATRIX + 0.1 * RNG.normal(size=(3, 3))),
    "a matrix that is valid": (lambda x: R.from_matrix(
        R.from_rotvec(x).as_matrix(), assume_valid=True).as_quat(), VECTORS),
    "one angle": (lambda x: R.from_euler("x", x).as_quat(), 0.3),
    "an angle of each": (lambda x: R.from_euler("Y", x[:, None]).as_quat(), VECTORS[:, 0]),
    "two angles": (lambda x: R.from_euler("xz", x).as_quat(), VECTOR[:2]),
    **{f"angles {s}": (lambda x, s=s: R.from_euler(s, x).as_matrix(), VECTOR) for s in SEQUENCES},
    "angles in degrees": (lambda x: R.from_euler("zyx", x, degrees=True).as_quat(), 30.0 * VECTORS),
}  # fmt: skip

READING = {
    "a vector": (lambda x: R.from_quat(x).as_rotvec(), QUAT),
    "vectors in degrees": (lambda x: R.from_rotvec(x).as_rotvec(degrees=True), VECTORS),
    "no vector": (lambda x: R.from_rotvec(x).as_rotvec(), np.zeros(3)),
    "a vector before a half turn": (lambda x: R.from_rotvec(x).as_rotvec(), 3.1 * NEAR_PI),
    "a vector beyond a half turn": (lambda x: R.from_rotvec(x).as_rotvec(), 3.2 * NEAR_PI),
    "canonical quaternions": (lambda x: R.from_quat(x).as_quat(canonical=True, scalar_first=True),
                              QUATS),
    "Rodrigues parameters": (lambda x: R.from_quat(x).as_mrp(), QUATS),
    "magnitudes": (lambda x: R.from_rotvec(x).magnitude(), 2.0 * VECTORS),
    "a magnitude": (lambda x: R.from_rotvec(x).magnitude() ** 2, VECTOR),
    **{f"angles {s}": (lambda x, s=s: R.from_rotvec(x).as_euler(s), VECTORS) for s in SEQUENCES},
    "angles in degrees": (lambda x: R.from_rotvec(x).as_euler("zxy", degrees=True), VECTOR),
}  # fmt: skip

USING = {
    "apply": (lambda x: R.from_rotvec(x).apply(POINTS, inverse=True), VECTOR),
    "apply many to one point": (lambda x: R.from_rotvec(x).apply(POINT), VECTORS),
    "apply many to as many": (lambda x: R.from_rotvec(x).apply(x * x, inverse=True), VECTORS),
    "apply one from outside": (lambda x: ONE.apply(x), POINT),
    "apply one from outside to many": (lambda x: ONE.apply(x, True), POINTS),
    "apply many from outside": (lambda x: STACK.apply(x, inverse=True), POINT),
    "apply many from outside to many": (lambda x: STACK.apply(vectors=x), POINTS),
    "apply to a list": (lambda x: ONE.apply([x[0], 0.0, x[2]]), POINT),
    "inv": (lambda x: R.from_rotvec(x).inv().as_quat(), VECTOR),
    "* from outside": (lambda x: (R.from_rotvec(x) * ONE).as_quat(), VECTOR),
    "outside *": (lambda x: (ONE * R.from_rotvec(x)).as_quat(), VECTORS),
    "* of stacks": (lambda x: (R.from_rotvec(x) * R.from_rotvec(x**2) * STACK).as_rotvec(),
                    VECTORS),
    "**": (lambda x: (R.from_rotvec(x) ** 2.5).as_rotvec(), 0.3 * VECTOR),
    "** 1 and -1": (lambda x: ((R.from_rotvec(x) ** -1) * (ONE**1)).as_quat(), VECTOR),
    "** an active number": (lambda x: (R.from_rotvec(x[:3]) ** x[3]).as_matrix(), QUAT),
    "outside ** an active one": (lambda x: (ONE ** x[0]).as_matrix(), np.array([1.0])),
    "none ** an active one": (lambda x: (R.identity() ** x[0]).as_matrix() * x[1], VECTOR),
    "a slice": (lambda x: R.from_rotvec(x)[1:3].as_quat(), VECTORS),
    "an element": (lambda x: R.from_rotvec(x)[-1].as_quat(), VECTORS),
    "a mask": (lambda x: R.from_rotvec(x)[np.arange(4) != 1].as_quat(), VECTORS),
    "a loop": (lambda x: np.stack([each.as_quat() for each in R.from_rotvec(x)]), VECTORS),
    "concatenate": (lambda x: R.concatenate([R.from_rotvec(x), ONE, STACK]).as_quat(), VECTOR),
    "concatenate one": (lambda x: R.concatenate(R.from_rotvec(x)).as_quat(), VECTORS),
    "mean": (lambda x: R.from_rotvec(x).mean().as_quat(), 0.4 * VECTORS),
    "mean with weights": (lambda x: R.from_rotvec(0.4 * VECTORS).mean(x).as_quat(), TIMES + 1.0),
    "align_vectors": (lambda x: R.align_vectors(x, POINTS)[0].as_quat(), POINTS + 0.3 * VECTORS),
    "align_vectors' distance": (lambda x: R.align_vectors(x, POINTS, [1.0, 2.0, 0.5, 1.0])[1],
                                POINTS + 0.3 * VECTORS),
    "align_vectors by weights": (
        lambda x: R.align_vectors(POINTS + 0.3 * VECTORS, POINTS, weights=x)[0].as_rotvec(),
        TIMES + 1.0),
    "Slerp": (lambda x: Slerp(TIMES, R.from_rotvec(x))([0.0, 0.5, 1.3, 4.0]).as_quat(),
              0.5 * VECTORS),
    "Slerp at active times": (lambda x: Slerp(TIMES, STACK)(x).as_matrix(),
                              np.array([0.3, 1.7, 3.0])),
    "Slerp at one time": (lambda x: SLERP(x).as_matrix(), 1.1),
    "Slerp between active times": (lambda x: Slerp(x, STACK)(1.1).as_matrix(), TIMES),
}  # fmt: skip
SLERP = Slerp(TIMES, STACK)


@pytest.mark.parametrize("case", [
    *(pytest.param(case, id=f"of {name}") for name, case in MAKING.items()),
    *(pytest.param(case, id=f"as {name}") for name, case in READING.items()),
    *(pytest.param(case, id=name) for name, case in USING.items()),
])  # fmt: skip
def test_rotations_have_scipys_values_and_two_derivatives(case):
    function, point = case
    plain = function(point)
    found, _ = tg.jvp(function, (point,), (np.ones_like(point),))
    assert np.shape(found) == np.shape(plain)
    np.testing.assert_allclose(found, plain, rtol=1e-13, atol=1e-14)
    check_grads(function, (point,), order=2, rtol=1e-5, atol=1e-6)


# --- where cases remove singularities ---------------------------------------------------------


def _cross(v):
    x, y, z = v
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def test_at_no_rotation_the_derivatives_are_the_exponentials():
    f = lambda r: R.from_rotvec(r).apply(POINT)  # noqa: E731
    np.testing.assert_array_equal(tg.jacobian(f)(np.zeros(3)), -_cross(POINT))
    expected = np.empty((3, 3, 3))
    for i, a in enumerate(np.eye(3)):
        for j, b in enumerate(np.eye(3)):
            both = _cross(a) @ _cross(b) + _cross(b) @ _cross(a)
            expected[:, i, j] = 0.5 * both @ POINT
    second = tg.jacobian(tg.jacobian(f))(np.zeros(3))
    np.testing.assert_allclose(second, expected, rtol=1e-14, atol=1e-15)


def test_third_derivatives_at_no_rotation_are_the_exponentials():
    f = lambda t: R.from_rotvec(t * VECTOR).apply(POINT)[0]  # noqa: E731
    generator, expected = _cross(VECTOR), POINT
    for order in range(1, 5):
        expected = generator @ expected
        for _ in range(order):
            f = tg.grad(f)
        np.testing.assert_allclose(f(0.0), expected[0], rtol=1e-12)
        f = lambda t: R.from_rotvec(t * VECTOR).apply(POINT)[0]  # noqa: E731


@pytest.mark.parametrize("length", [0.0, 1e-9, 9.99e-4, 1e-3, 1.001e-3, 0.1, 3.0, np.pi])
def test_a_vector_comes_back_from_its_rotation(length):
    r = length * NEAR_PI
    back = tg.jacobian(lambda r: R.from_rotvec(r).as_rotvec())
    np.testing.assert_allclose(back(r), np.eye(3), atol=1e-9 if length > 3.1 else 1e-12)


def test_no_magnitude_has_the_derivative_zero():
    gradient = tg.grad(lambda r: R.from_rotvec(r).magnitude())
    np.testing.assert_array_equal(gradient(np.zeros(3)), np.zeros(3))


def test_a_matrix_is_differentiated_as_what_is_nearest_to_it():
    tangent = _cross(VECTOR)  # along the rotations, and across them
    for matrix in (np.eye(3), MATRIX):
        f = lambda m: R.from_matrix(m).as_matrix()  # noqa: E731
        np.testing.assert_allclose(tg.jvp(f, (matrix,), (matrix @ tangent,))[1], matrix @ tangent,
                                   atol=1e-14)  # fmt: skip
        across = matrix @ (np.eye(3) + np.outer(POINT, POINT))
        np.testing.assert_allclose(tg.jvp(f, (matrix,), (across,))[1], np.zeros((3, 3)), atol=1e-14)


def test_every_largest_part_of_a_quaternion_makes_one_of_its_matrix():
    for quat in np.vstack([np.eye(4), np.ones((1, 4)), [[1.0, 1.0, 0.0, 0.0]]]):
        m = R.from_quat(quat).as_matrix()
        assert R.from_matrix(m).approx_equal(R.from_quat(quat))
        jacobian = tg.jacobian(lambda m: R.from_matrix(m).as_matrix())(m).reshape(9, 9)
        turns = np.stack([(m @ _cross(e)).ravel() for e in np.eye(3)], axis=1)
        np.testing.assert_allclose(jacobian @ turns, turns, atol=1e-14)


def test_gimbal_lock_is_refused_where_it_is_met():
    angles = tg.jacobian(lambda r: R.from_rotvec(r).as_euler("xyz"))
    angles(np.array([0.1, 0.2, 0.3]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SciPy's
        with pytest.raises(UnsupportedFunctionError, match="as_euler in gimbal lock"):
            angles(np.array([0.0, 0.5 * np.pi, 0.0]))
    with pytest.raises(UnsupportedFunctionError, match="use as_matrix"):
        tg.grad(lambda r: R.from_rotvec(r).as_euler("zxz", suppress_warnings=True)[1])(np.zeros(3))


def test_a_perfect_fit_has_no_distance_and_the_derivative_zero():
    turned = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(
        tg.grad(lambda b: R.align_vectors(turned, b)[1])(turned), np.zeros((3, 3))
    )


# --- how they're reached ----------------------------------------------------------------------

FROM_VECTOR, APPLY = R.from_rotvec, ONE.apply
TURN = functools.partial(R.from_rotvec, degrees=False)


class Frame:
    kind = R

    def __init__(self):
        self.rotation = R.identity()

    def turned(self, r):
        self.rotation = self.kind.from_rotvec(r)
        return self.rotation.apply(POINT)


def _method(r):
    for make in (R.from_rotvec,):
        for name in ("apply",):
            return getattr(make(r), name)(POINT)
    return None


FORMS = {
    "by its name": lambda r: R.from_rotvec(r).apply(POINT),
    "by another name": lambda r: Rotation.from_rotvec(rotvec=r).apply(vectors=POINT),
    "through its module": lambda r: scipy.spatial.transform.Rotation.from_rotvec(r).apply(POINT),
    "bound outside": lambda r: FROM_VECTOR(r).apply(POINT),
    "a partial": lambda r: TURN(r).apply(POINT),
    "an attribute": lambda r: Frame().turned(r),
    "in a loop, by getattr": _method,
    "the class's function": lambda r: R.apply(R.from_rotvec(r), POINT),
    "mapped": lambda r: list(map(R.from_rotvec(r).apply, [POINT]))[0],  # noqa: RUF015
    "by the class": lambda r: R(R.from_rotvec(r).as_quat()).apply(POINT),
    "by its matrix": lambda r: R.from_rotvec(r).as_matrix() @ POINT,
    "by what it's multiplied by": lambda r: (R.from_rotvec(r) * ONE).apply(ONE.inv().apply(POINT)),
    "a method bound outside": lambda r: R.from_rotvec(r).apply(
        ONE.inv().apply(APPLY(POINT + 0 * r))
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_rotations_are_recognised_however_they_are_reached(form):
    jacobian = tg.jacobian(FORMS[form])
    expected = tg.jacobian(FORMS["by its name"])(VECTOR)
    np.testing.assert_allclose(jacobian(VECTOR), expected, rtol=1e-12, atol=1e-14)


def test_a_rotation_left_in_an_object_is_todays():
    frame = Frame()
    gradient = tg.value_and_grad(lambda r: np.sum(frame.turned(r)))
    for r in (VECTOR, 2.0 * VECTOR, POINT):
        gradient(r)
        np.testing.assert_allclose(frame.rotation.as_matrix(), R.from_rotvec(r).as_matrix(),
                                   atol=1e-14)  # fmt: skip
        assert repr(frame.rotation).startswith("Rotation.from_matrix(array(")


def test_a_stack_outside_that_changes_is_seen():
    stack = R.from_rotvec(VECTORS)
    gradient = tg.grad(lambda x: np.sum(stack.apply(x)))
    before = gradient(POINTS)
    stack[0] = R.identity()
    after = gradient(POINTS)
    np.testing.assert_allclose(after[0], np.ones(3), rtol=1e-15)
    np.testing.assert_array_equal(after[1:], before[1:])


def test_plain_rotations_are_scipys_inside_a_recorded_function():
    seen = []

    def f(x):
        zeros = np.zeros(3)
        zeros[1] = 0.5
        seen.append(R.from_rotvec(zeros))
        seen.append((R.from_rotvec(zeros) * ONE) ** 2.5)
        seen.append(STACK[1:3])
        return np.sum(x)

    tg.grad(f)(VECTOR)
    half = R.from_rotvec([0.0, 0.5, 0.0])
    for found, expected in zip(seen, (half, (half * ONE) ** 2.5, STACK[1:3]), strict=False):
        np.testing.assert_array_equal(found.as_quat(), expected.as_quat())
        assert type(found.as_quat()) is np.ndarray


def test_conditions_on_rotations_are_guarded():
    def f(r):
        turn = R.from_rotvec(r)
        is_near = turn.approx_equal(R.identity(), atol=30.0, degrees=True)
        assert turn.single
        assert turn.shape == ()
        assert len(R.concatenate([turn, ONE])) == 2
        return np.sum(r) if is_near else np.sum(r * r)

    gradient = tg.grad(f)
    for scale, expected in ((0.1, np.ones(3)), (1.0, 2.0 * np.ones(3)), (0.2, np.ones(3))):
        np.testing.assert_array_equal(gradient(scale * np.ones(3)), expected)


def _path(r):
    turn, total = R.identity(), 0.0
    for k in range(6):
        turn = R.from_rotvec(0.3 * r * (k - 2)) * turn
        total = total + np.sum(np.sin(turn.apply(POINTS)))
    return total


def test_all_tiers_a_copy_from_a_pickle_and_threads_agree():
    gradient = tg.value_and_grad(_path)
    points = [VECTOR, np.zeros(3), POINT]
    expected = [gradient(point) for point in points]
    others = (tg.value_and_grad(_path, compile="now"), pickle.loads(pickle.dumps(gradient)),
              gradient.compiled(VECTOR))  # fmt: skip
    for other in others:
        for point, (value, slope) in zip(points, expected, strict=True):
            found, found_slope = other(point)
            np.testing.assert_allclose(found, value, rtol=1e-13)
            np.testing.assert_allclose(found_slope, slope, rtol=1e-11, atol=1e-13)
    found = [None] * 4

    def run(k):
        found[k] = tg.value_and_grad(_path)(points[k % 3])[1]

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(found[k], expected[k % 3][1])


# --- what is refused --------------------------------------------------------------------------

SPLINE, RIGID = RotationSpline(TIMES, STACK), RigidTransform.from_rotation(ONE)
REFUSED = {
    "RotationSpline": lambda r: RotationSpline(TIMES, STACK * R.from_rotvec(r))(1.0).as_quat(),
    "RotationSpline.__call__": lambda r: SPLINE(r).as_quat(),
    "RigidTransform.from_rotation": lambda r: RigidTransform.from_rotation(R.from_rotvec(r)),
    "RigidTransform.from_translation": RigidTransform.from_translation,
    "RigidTransform.apply": RIGID.apply,
    "Rotation.from_davenport": lambda r: R.from_davenport(np.eye(3), "e", r).as_matrix(),
    "Rotation.as_davenport": lambda r: R.from_rotvec(r).as_davenport(np.eye(3), "e"),
    "Rotation.reduce": lambda r: R.from_rotvec(r).reduce(ONE).as_matrix(),
    "Rotation.__setitem__": lambda r: R.identity(2).__setitem__(0, R.from_rotvec(r)),
    "Rotation.align_vectors of one pair": lambda r: R.align_vectors(r, POINT)[1],
    "Rotation.align_vectors with return_sensitivity=True": lambda r: R.align_vectors(
        np.eye(3) * r, POINTS[:3], return_sensitivity=True)[1],
    "Rotation.mean along an axis": lambda r: R.from_rotvec(r[None]).mean(axis=0).as_quat(),
    "Rotation.__getstate__": lambda r: pickle.dumps(R.from_rotvec(r)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name(name):
    pattern = rf"scipy\.spatial\.transform\.{name}.* has no rule for active arguments"
    with pytest.raises(UnsupportedFunctionError, match=pattern):
        tg.grad(lambda r: np.sum(REFUSED[name](r)))(VECTOR)


@pytest.mark.parametrize("call", [
    lambda r: R.from_rotvec(r[:2]), lambda r: R.from_quat(np.append(0.0 * r, 0.0)),
    lambda r: R.from_matrix(-np.eye(3) * r[0] ** 2), lambda r: R.from_euler("xyx", r[:2]),
    lambda r: R.from_euler("xxy", r), lambda r: SLERP(100.0 + r),
    lambda r: R.from_rotvec(VECTORS[:3]).apply(r[:2]), lambda r: ONE ** r[:2],
])  # fmt: skip
def test_what_is_no_rotation_raises_scipys_errors(call):
    with pytest.raises(ValueError) as plain:  # noqa: PT011  # whatever SciPy says
        call(VECTOR)
    with pytest.raises(ValueError) as recorded:  # noqa: PT011
        tg.grad(lambda r: np.sum(call(r).as_quat()))(VECTOR)
    assert str(recorded.value)[:30] == str(plain.value)[:30]


def test_a_single_rotation_has_no_elements():
    for use in (lambda turn: turn[0], len, list):
        with pytest.raises(TypeError, match="Single rotation"):
            tg.grad(lambda r, use=use: use(R.from_rotvec(r)))(VECTOR)


def test_what_is_used_of_scipys_private_interfaces_is_there():
    assert not rotation_private.faults()
