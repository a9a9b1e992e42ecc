"""scipy.spatial.transform's Rotation and Slerp: SciPy's objects, which hold active quaternions.

A rotation made of active numbers is a Rotation whose quaternions are an active array; its methods
are recognised by its class, as are those of rotations made outside that are given active numbers.
What is recorded is compared with SciPy's own result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.array import plain_index
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.linear.shaped import applied
from tapegrad.record.nesting import unsettle
from tapegrad.record.scipy.families import operand, values_of
from tapegrad.record.scipy.recognised import HOLDERS, Row, is_held, is_passive, no_rule, on_import
from tapegrad.record.spatial import quaternions as formulas
from tapegrad.record.spatial.nearest_rotations import NearestRotation
from tapegrad.record.spatial.pairwise import RefusedRow
from tapegrad.record.spatial.rotation_private import (
    is_known,
    is_single,
    quaternions,
    transforms,
    with_quaternions,
)
from tapegrad.record.trampolines import stand_for

_MODULE = "scipy.spatial.transform"
_TOLERANCE = 1e-9  # how far what is recorded may be from SciPy's result
_RULES: dict[str, Callable[..., Any]] = {}


def _rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function for methods, named as ``"Rotation.apply"``."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


class _RotationRow(Row):
    """A method of rotations and its rule."""

    def neutral(self, plain: FunctionType) -> Any:
        """Return what calls the rule if anything is active, and SciPy's method otherwise."""

        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_held(args) and not is_held([*kwargs.values()]):
                return plain(*args, **kwargs)
            if is_passive(args) and is_passive([*kwargs.values()]):
                return plain(*map(_plain, args), **{k: _plain(x) for k, x in kwargs.items()})
            return self.recorded(args, kwargs)

        return call


@on_import(_MODULE)
def _prepare(module: Any) -> None:
    """Have the methods replaced, however they're reached, and those without a rule refused."""
    if not is_known(module.Rotation):
        return
    names = ("Rotation", "Slerp", "RotationSpline", "RigidTransform")
    rows: dict[FunctionType, Row] = {}
    for kind, own, thing in (
        (name, *item) for name in names for item in vars(getattr(module, name, object)).items()
    ):
        function = thing.__func__ if isinstance(thing, staticmethod) else thing
        if isinstance(function, FunctionType) and own not in _OWN:
            title = f"{kind}.{own}"
            rule = _RULES.get(title)
            full = f"{_MODULE}.{title.removesuffix('.__init__')}"
            rows[function] = (
                RefusedRow(full, function) if rule is None else _RotationRow(full, function, rule)
            )
    stand_for({function: row.neutral for function, row in rows.items()})
    HOLDERS.update((module.Rotation, module.Slerp))


_OWN = ("__bool__", "__len__", "__repr__", "_from_raw_quat", "_from_raw_matrix", "identity",
        "random")  # fmt: skip
"""What has nothing to do with derivatives."""


# --- rotations of active numbers --------------------------------------------------------------


def _plain(thing: Any) -> Any:
    """Return an argument with the numbers at the recording's point."""
    if isinstance(thing, list | tuple):
        return type(thing)(map(_plain, thing))
    if type(thing) in HOLDERS and is_held(thing):
        if isinstance(thing, transforms().Rotation):
            return with_quaternions(thing, np.array(quaternions(thing).primal))
        made = object.__new__(type(thing))
        vars(made).update({name: _plain(own) for name, own in vars(thing).items()})
        return made
    return np.array(values_of(operand(thing))) if is_held(thing) else thing


def _scipys(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a function of SciPy's returns for plain numbers."""
    try:
        return function(*map(_plain, args), **{key: _plain(x) for key, x in kwargs.items()})
    except Exception:  # which may depend on them, and the program may catch it
        unsettle()
        raise


def _same(found: Any, expected: Any) -> Any:
    """Return what was recorded in the shape of SciPy's result, if it is that result."""
    if np.shape(found) != np.shape(expected):
        found = np.reshape(found, np.shape(expected))
    numbers = values_of(found)
    error = np.abs(numbers - expected)
    is_other = error > _TOLERANCE * (1.0 + np.abs(expected))
    if is_other.any() or not (np.isnan(error) == np.isnan(expected)).all():
        raise UnsupportedFunctionError(
            "what is recorded of a rotation isn't what this version of SciPy has for it"
        )
    return found


def _rotation(q: Any, plain: Any) -> Any:
    """Return a rotation with quaternions, in all else like SciPy's plain one."""
    q = _same(q, quaternions(plain))
    return plain if is_passive(q) else with_quaternions(plain, q)


def _signed(q: Any, plain: Any) -> Any:
    """Return of opposite quaternions SciPy's: rounding decides where parts are equally large."""
    products = np.sum(values_of(q) * quaternions(plain), axis=-1, keepdims=True)
    return np.where(products < 0.0, -q, q) if (products < 0.0).any() else q


# --- made of numbers --------------------------------------------------------------------------


def _kind() -> Any:
    return transforms().Rotation


def _stack(x: Any, n_dimensions: int) -> Any:
    """Return numbers of rotations as those of a stack, of one where there's none."""
    return x[None] if x.ndim == n_dimensions else x


def _scalar_last(q: Any, scalar_first: Any) -> Any:
    return np.concatenate([q[..., 1:], q[..., :1]], axis=-1) if scalar_first else q


@_rule("Rotation.__init__")
def _init(self: Any, quat: Any, normalize: Any = True, copy: Any = True,
          scalar_first: Any = False) -> None:  # fmt: skip
    quat = operand(quat)
    plain = _scipys(_kind(), quat, normalize, copy, scalar_first)
    q = _scalar_last(_stack(quat, 1), scalar_first)
    q = formulas.normalised(q) if normalize else q.copy()
    vars(self).update(vars(_rotation(q, plain)))


@_rule("Rotation.from_quat")
def _from_quat(quat: Any, *, scalar_first: Any = False) -> Any:
    return _kind()(quat, True, scalar_first=scalar_first)


@_rule("Rotation.from_rotvec")
def _from_rotvec(rotvec: Any, degrees: Any = False) -> Any:
    rotvec = operand(rotvec)
    plain = _scipys(_kind().from_rotvec, rotvec, degrees)
    rotvec = _stack(rotvec, 1)
    return _rotation(formulas.of_vectors(np.deg2rad(rotvec) if degrees else rotvec), plain)


@_rule("Rotation.from_mrp")
def _from_mrp(mrp: Any) -> Any:
    mrp = operand(mrp)
    return _rotation(formulas.of_mrps(_stack(mrp, 1)), _scipys(_kind().from_mrp, mrp))


@_rule("Rotation.from_euler")
def _from_euler(seq: Any, angles: Any, degrees: Any = False) -> Any:
    angles = operand(angles)
    plain = _scipys(_kind().from_euler, seq, angles, degrees)
    angles = np.reshape(angles, (*np.shape(quaternions(plain))[:-1], len(seq)))
    return _rotation(formulas.of_angles(seq, np.deg2rad(angles) if degrees else angles), plain)


@_rule("Rotation.from_matrix")
def _from_matrix(matrix: Any, *, assume_valid: Any = False) -> Any:
    given = {"assume_valid": True} if assume_valid else {}
    plain = _scipys(_kind().from_matrix, operand(matrix), **given)
    matrix = _stack(operand(matrix), 2)
    if matrix.size and not assume_valid:
        (matrix,) = applied(NearestRotation, (matrix,))
    return _rotation(_signed(formulas.of_matrices(matrix), plain), plain)


@_rule("Rotation.concatenate")
def _concatenate(rotations: Any) -> Any:
    plain = _scipys(_kind().concatenate, rotations)
    if isinstance(rotations, _kind()):
        return _rotation(quaternions(rotations).copy(), plain)
    return _rotation(np.concatenate([*map(quaternions, rotations)]), plain)


@_rule("Rotation.align_vectors")
def _align_vectors(a: Any, b: Any, weights: Any = None, return_sensitivity: Any = False) -> Any:
    title = f"{_MODULE}.Rotation.align_vectors"
    if return_sensitivity:
        raise no_rule(f"{title} with return_sensitivity=True", "leave it out, or ")
    a, b = operand(a), operand(b)
    w = np.ones(len(a)) if weights is None else operand(weights)
    plain, distance = _scipys(_kind().align_vectors, a, b, weights)
    if a.ndim < 2 or len(a) < 2 or np.isinf(values_of(w)).any():
        raise no_rule(f"{title} of one pair, or one that has an infinite weight,")
    (matrix,) = applied(NearestRotation, (((w[:, None] * a).T @ b)[None],))
    square = np.sum(w * np.sum((a - b @ matrix[0].T) ** 2, axis=-1))
    is_zero = square == 0.0
    found = np.where(is_zero, 0.0, np.sqrt(np.where(is_zero, 1.0, square)))
    # SciPy's is a difference of large numbers.
    scale = np.sqrt(np.sum(values_of(w) * np.sum(values_of(a) ** 2 + values_of(b) ** 2, axis=-1)))
    if abs(float(values_of(found)) - float(distance)) > 1e-6 * scale:
        raise UnsupportedFunctionError(f"{title} isn't what this version of SciPy has for it")
    return _rotation(_signed(formulas.of_matrices(matrix), plain), plain), found


# --- as numbers -------------------------------------------------------------------------------


def _numbers(self: Any, name: str, found: Any, *args: Any, **kwargs: Any) -> Any:
    return _same(found, _scipys(getattr(_kind(), name), self, *args, **kwargs))


@_rule("Rotation.as_quat")
def _as_quat(self: Any, canonical: Any = False, *, scalar_first: Any = False) -> Any:
    q = quaternions(self)
    q = formulas.canonical(q) if canonical else q.copy()
    given = {"scalar_first": True} if scalar_first else {}
    q = np.concatenate([q[..., 3:], q[..., :3]], axis=-1) if scalar_first else q
    return _numbers(self, "as_quat", q, canonical, **given)


@_rule("Rotation.as_matrix")
def _as_matrix(self: Any) -> Any:
    return _numbers(self, "as_matrix", formulas.matrices(quaternions(self)))


@_rule("Rotation.as_rotvec")
def _as_rotvec(self: Any, degrees: Any = False) -> Any:
    found = formulas.vectors(quaternions(self))
    return _numbers(self, "as_rotvec", np.rad2deg(found) if degrees else found, degrees)


@_rule("Rotation.as_mrp")
def _as_mrp(self: Any) -> Any:
    return _numbers(self, "as_mrp", formulas.mrps(quaternions(self)))


@_rule("Rotation.as_euler")
def _as_euler(self: Any, seq: Any, degrees: Any = False, *, suppress_warnings: Any = False) -> Any:
    given = {"suppress_warnings": True} if suppress_warnings else {}
    expected = _scipys(_kind().as_euler, self, seq, degrees, **given)
    found, is_unique = formulas.euler_angles(quaternions(self), seq)
    if not bool(np.all(is_unique)):
        raise no_rule(
            f"{_MODULE}.Rotation.as_euler in gimbal lock, where angles have no derivative,",
            "take the angles about other axes, or use as_matrix, as_quat or as_rotvec, or ",
        )
    return _same(np.rad2deg(found) if degrees else found, expected)


@_rule("Rotation.magnitude")
def _magnitude(self: Any) -> Any:
    return _numbers(self, "magnitude", formulas.magnitudes(quaternions(self)))


# --- of rotations -----------------------------------------------------------------------------


@_rule("Rotation.apply")
def _apply(self: Any, vectors: Any, inverse: Any = False) -> Any:
    points = operand(vectors)
    expected = _scipys(_kind().apply, self, points, inverse)
    return _same(formulas.applied_to(quaternions(self), points, bool(inverse)), expected)


@_rule("Rotation.inv")
def _inv(self: Any) -> Any:
    return _rotation(formulas.conjugate(quaternions(self)), _scipys(_kind().inv, self))


@_rule("Rotation.__mul__")
def _mul(self: Any, other: Any) -> Any:
    if not isinstance(other, _kind()):
        return NotImplemented
    plain = _scipys(_kind().__mul__, self, other)
    found = formulas.product(quaternions(self), quaternions(other))
    return _rotation(formulas.normalised(found), plain)


@_rule("Rotation.__pow__")
def _pow(self: Any, n: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        raise NotImplementedError("modulus not supported")
    if not is_held(n):
        if n in (0, 1, -1):
            plain, q = _scipys(_kind().__pow__, self, n), quaternions(self)
            return (
                plain if n == 0 else _rotation(q.copy() if n == 1 else formulas.conjugate(q), plain)
            )
    elif np.ndim(n):
        if np.shape(n) != (1,):
            raise ValueError("Array exponent must be a scalar")
        n = n[0]
    vectors = n * formulas.vectors(quaternions(self))
    # A power of 1 or -1 that may change has one sign, where SciPy's keeps another one's.
    made = _scipys(_kind().from_rotvec, vectors)
    plain = _scipys(_kind().__pow__, self, n)
    return _rotation(formulas.of_vectors(vectors), with_quaternions(plain, quaternions(made)))


@_rule("Rotation.__getitem__")
def _getitem(self: Any, indexer: Any) -> Any:
    key = plain_index(indexer)
    plain = _scipys(_kind().__getitem__, self, key)
    return _rotation(quaternions(self)[key].copy(), plain)


@_rule("Rotation.__iter__")
def _iter(self: Any) -> Iterator[Any]:
    if is_single(self):
        raise TypeError("Single rotation is not iterable.")
    return (self[k] for k in range(len(quaternions(self))))


@_rule("Rotation.__setitem__")
def _setitem(self: Any, indexer: Any, value: Any) -> None:
    raise no_rule(
        f"{_MODULE}.Rotation.__setitem__", "make the stack with Rotation.concatenate, or "
    )


@_rule("Rotation.approx_equal")
def _approx_equal(self: Any, other: Any, atol: Any = None, degrees: Any = False) -> Any:
    _scipys(_kind().approx_equal, self, other, atol, degrees)
    atol = 1e-8 if atol is None else np.deg2rad(atol) if degrees else atol
    return (other * self.inv()).magnitude() < atol


@_rule("Rotation.mean")
def _mean(self: Any, weights: Any = None, axis: Any = None) -> Any:
    q = quaternions(self)
    if axis is not None or q.ndim > 2:
        raise no_rule(f"{_MODULE}.Rotation.mean along an axis", "leave it out, or ")
    plain = _scipys(_kind().mean, self, weights)
    weighted = q if weights is None else operand(weights)[:, None] * q
    return _rotation(_signed(np.linalg.eigh(weighted.T @ q)[1][None, :, -1], plain), plain)


# --- between rotations ------------------------------------------------------------------------


@_rule("Slerp.__init__")
def _slerp(self: Any, times: Any, rotations: Any) -> None:
    vars(self).update(vars(_scipys(transforms().Slerp, times, rotations)))
    times = operand(times) * 1.0  # SciPy divides by what is float64
    self.times, self.timedelta = times, np.diff(times)
    self.rotations = rotations[:-1]
    self.rotvecs = (self.rotations.inv() * rotations[1:]).as_rotvec()


@_rule("Slerp.__call__")
def _slerped(self: Any, times: Any) -> Any:
    plain = _scipys(transforms().Slerp.__call__, self, times)
    times = operand(times)
    wanted = np.reshape(times, (-1,))
    places = np.searchsorted(self.times, wanted) - 1
    places = np.where(places < 0, 0, places)  # the first time is in the first interval
    share = (wanted - self.times[places]) / self.timedelta[places]
    turns = _kind().from_rotvec(self.rotvecs[places] * share[:, None])
    found = self.rotations[places] * turns
    return _rotation(quaternions(found), plain)


NAMED.update(
    f"{_MODULE}.{name.removesuffix('.__init__')}" for name in _RULES
    if not name.endswith("__setitem__")
)  # fmt: skip
