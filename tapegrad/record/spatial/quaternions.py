"""Formulas of rotations by unit quaternions, written with NumPy's names for active arrays.

Quaternions are along the last axis, the scalar last, as SciPy has them. Where SciPy takes a series
near a removable singularity so is here, as a function of squares, which has all its derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL_ANGLE = 1e-3  # SciPy's
_LOCK = 1e-7  # SciPy's: how far from gimbal lock angles are unique


def _parts(q: Any) -> tuple[Any, Any, Any, Any]:
    return q[..., 0], q[..., 1], q[..., 2], q[..., 3]


def _square(x: Any) -> Any:
    return np.sum(x * x, axis=-1)


def _root(square: Any) -> Any:
    """Return a length, which has the derivative 0 at 0."""
    is_zero = square == 0.0
    return np.where(is_zero, 0.0, np.sqrt(np.where(is_zero, 1.0, square)))


def normalised(q: Any) -> Any:
    """Return quaternions divided by their lengths."""
    return q / np.sqrt(_square(q))[..., None]


def conjugate(q: Any) -> Any:
    """Return the inverses of unit quaternions."""
    return q * np.array([-1.0, -1.0, -1.0, 1.0])


def product(p: Any, q: Any) -> Any:
    """Return the quaternions of rotations by q, then by p."""
    (px, py, pz, pw), (qx, qy, qz, qw) = _parts(p), _parts(q)
    return np.stack([
        pw * qx + qw * px + (py * qz - pz * qy),
        pw * qy + qw * py + (pz * qx - px * qz),
        pw * qz + qw * pz + (px * qy - py * qx),
        pw * qw - px * qx - py * qy - pz * qz,
    ], axis=-1)  # fmt: skip


def canonical(q: Any) -> Any:
    """Return those of two opposite quaternions of which the last nonzero part is positive.

    Which comes first is SciPy's choice: the scalar, then x, y and z.
    """
    x, y, z, w = _parts(q)
    is_negative = z < 0.0
    for part in (y, x, w):
        is_negative = (part < 0.0) | ((part == 0.0) & is_negative)
    return np.where(is_negative[..., None], -q, q)


# --- vectors ----------------------------------------------------------------------------------


def of_vectors(r: Any) -> Any:
    """Return the quaternions of rotation vectors."""
    s = _square(r)
    is_small = s <= SMALL_ANGLE**2
    angle = np.sqrt(np.where(is_small, 1.0, s))
    scale = np.where(is_small, 0.5 - s / 48.0 + s * s / 3840.0 - s * s * s / 645120.0,
                     np.sin(0.5 * angle) / angle)  # fmt: skip
    cosine = np.where(is_small, 1.0 - s / 8.0 + s * s / 384.0 - s * s * s / 46080.0,
                      np.cos(0.5 * angle))  # fmt: skip
    return np.concatenate([r * scale[..., None], cosine[..., None]], axis=-1)


def vectors(q: Any) -> Any:
    """Return the rotation vectors of unit quaternions."""
    q = canonical(q)
    s, w = _square(q[..., :3]), q[..., 3]
    is_small = s <= (0.5 * SMALL_ANGLE) ** 2
    angle = 2.0 * np.arctan2(np.sqrt(np.where(is_small, 1.0, s)), w)
    series = 2.0 + s / 3.0 + 3.0 * s * s / 20.0 + 5.0 * s * s * s / 56.0
    scale = np.where(is_small, series, angle / np.sin(0.5 * angle))
    return q[..., :3] * scale[..., None]


def magnitudes(q: Any) -> Any:
    """Return the angles of rotations; their derivative at none is 0."""
    return 2.0 * np.arctan2(_root(_square(q[..., :3])), np.abs(q[..., 3]))


def of_mrps(mrp: Any) -> Any:
    """Return the quaternions of modified Rodrigues parameters."""
    divisor = 1.0 + _square(mrp)[..., None]
    return np.concatenate([2.0 * mrp, 2.0 - divisor], axis=-1) / divisor


def mrps(q: Any) -> Any:
    """Return the modified Rodrigues parameters of unit quaternions."""
    w = q[..., 3:]
    turned = np.where(w < 0.0, -q[..., :3], q[..., :3])
    return turned / (1.0 + np.abs(w))


# --- matrices ---------------------------------------------------------------------------------


def matrices(q: Any) -> Any:
    """Return the matrices of unit quaternions."""
    x, y, z, w = _parts(q)
    xx, yy, zz, ww = x * x, y * y, z * z, w * w
    xy, zw, xz, yw, yz, xw = x * y, z * w, x * z, y * w, y * z, x * w
    rows = [
        [xx - yy - zz + ww, 2.0 * (xy - zw), 2.0 * (xz + yw)],
        [2.0 * (xy + zw), -xx + yy - zz + ww, 2.0 * (yz - xw)],
        [2.0 * (xz - yw), 2.0 * (yz + xw), -xx - yy + zz + ww],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def of_matrices(m: Any) -> Any:
    """Return the quaternions of orthogonal matrices, divided by the part that is largest."""
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = [m[..., k, k] for k in range(3)]

    def found(k: int) -> Any:
        i, j = (k + 1) % 3, (k + 2) % 3
        parts: list[Any] = [None] * 4
        parts[k] = 1.0 - trace + 2.0 * diagonal[k]
        parts[i] = m[..., i, k] + m[..., k, i]
        parts[j] = m[..., j, k] + m[..., k, j]
        parts[3] = m[..., j, i] - m[..., i, j]
        return np.stack(parts, axis=-1)

    chosen = np.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0],
                       m[..., 1, 0] - m[..., 0, 1], 1.0 + trace], axis=-1)  # fmt: skip
    largest = trace
    for k in (2, 1, 0):  # the first of equals is taken
        is_larger = diagonal[k] >= largest
        chosen = np.where(is_larger[..., None], found(k), chosen)
        largest = np.where(is_larger, diagonal[k], largest)
    return normalised(chosen)


def applied_to(q: Any, points: Any, inverse: bool) -> Any:
    """Return points that are turned, one rotation of all or one of each."""
    m = matrices(q)
    m = np.swapaxes(m, -1, -2) if inverse else m
    if m.ndim == 3 and len(m) == 1 and points.ndim <= 2:
        return points @ m[0].T
    return np.sum(m * points[..., None, :], axis=-1)


# --- angles -----------------------------------------------------------------------------------


def of_angles(seq: str, angles: Any) -> Any:
    """Return the quaternions of Euler angles about axes."""
    found = None
    for k, axis in enumerate(seq.lower()):
        half = 0.5 * angles[..., k]
        parts = [np.zeros(half.shape)] * 3 + [np.cos(half)]
        parts["xyz".index(axis)] = np.sin(half)
        turn = np.stack(parts, axis=-1)
        if found is None:
            found = turn
        else:
            found = product(found, turn) if seq.isupper() else product(turn, found)
    return found


def euler_angles(q: Any, seq: str) -> tuple[Any, Any]:
    """Return Euler angles, and where they're unique: not where the first and third axes meet.

    The method is that of Bernardes and Viollet, Quaternion to Euler angles conversion (2022).
    """
    axes = ["xyz".index(axis) for axis in seq.lower()]
    i, j, k = axes if seq.islower() else axes[::-1]
    is_symmetric = i == k
    k = 3 - i - j if is_symmetric else k
    sign = float((i - j) * (j - k) * (k - i) // 2)
    w, qi, qj, qk = q[..., 3], q[..., i], q[..., j], sign * q[..., k]
    a, b, c, d = (w, qi, qj, qk) if is_symmetric else (w - qj, qi + qk, qj + w, qk - qi)
    half_sum, half_difference = np.arctan2(b, a), np.arctan2(d, c)
    middle = 2.0 * np.arctan2(np.hypot(c, d), np.hypot(a, b))
    is_unique = (middle > _LOCK) & (np.abs(middle - np.pi) > _LOCK)
    first, third = half_sum - half_difference, half_sum + half_difference
    if not is_symmetric:
        third, middle = sign * third, middle - 0.5 * np.pi
    ends = (first, third) if seq.islower() else (third, first)
    angles = np.stack([ends[0], middle, ends[1]], axis=-1)
    angles = np.where(angles < -np.pi, angles + 2.0 * np.pi, angles)
    return np.where(angles > np.pi, angles - 2.0 * np.pi, angles), is_unique
