"""ADBench's bundle adjustment: 1000 reprojection residuals and their 2 x 15 derivatives each.

A column of the point is one observation: its camera (rotation vector, centre, focal length,
principal point, two distortion coefficients), its point in space and its weight; the data are the
features seen. What is asked for is the array [residual component, input, observation].
"""

import math
from functools import partial
from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload, complex_step

OBSERVATIONS = 1000
INPUTS = 15


def residuals(x: Any, features: Any) -> Any:
    """NumPy, along the last axis; also right for one observation, x of shape (15,)."""
    rx, ry, rz, cx, cy, cz, focal, ux, uy, k1, k2, px, py, pz, weight = (
        x[i] for i in range(INPUTS)
    )
    theta = np.sqrt(rx * rx + ry * ry + rz * rz)
    wx, wy, wz = rx / theta, ry / theta, rz / theta
    cosine, sine = np.cos(theta), np.sin(theta)
    qx, qy, qz = px - cx, py - cy, pz - cz
    along = (wx * qx + wy * qy + wz * qz) * (1.0 - cosine)
    tx = qx * cosine + (wy * qz - wz * qy) * sine + wx * along
    ty = qy * cosine + (wz * qx - wx * qz) * sine + wy * along
    tz = qz * cosine + (wx * qy - wy * qx) * sine + wz * along
    mx, my = tx / tz, ty / tz
    square = mx * mx + my * my
    distorted = focal * (1.0 + k1 * square + k2 * square * square)
    return np.stack(
        [
            weight * (mx * distorted + ux - features[0]),
            weight * (my * distorted + uy - features[1]),
        ]
    )


def component(x: Any, features: Any, which: int) -> tuple[Any, Any]:
    """One residual component's total, whose gradient holds that row of every Jacobian, and it."""
    row = residuals(x, features)[which]
    return np.sum(row), row


@numba.njit(cache=True)
def compiled(x: Array, features: Array) -> Array:
    """The residuals as a loop."""
    out = np.empty((2, x.shape[1]))
    for i in range(x.shape[1]):
        rx, ry, rz = x[0, i], x[1, i], x[2, i]
        theta = math.sqrt(rx * rx + ry * ry + rz * rz)
        wx, wy, wz = rx / theta, ry / theta, rz / theta
        cosine, sine = math.cos(theta), math.sin(theta)
        qx, qy, qz = x[11, i] - x[3, i], x[12, i] - x[4, i], x[13, i] - x[5, i]
        along = (wx * qx + wy * qy + wz * qz) * (1.0 - cosine)
        tx = qx * cosine + (wy * qz - wz * qy) * sine + wx * along
        ty = qy * cosine + (wz * qx - wx * qz) * sine + wy * along
        tz = qz * cosine + (wx * qy - wy * qx) * sine + wz * along
        mx, my = tx / tz, ty / tz
        square = mx * mx + my * my
        distorted = x[6, i] * (1.0 + x[9, i] * square + x[10, i] * square * square)
        out[0, i] = x[14, i] * (mx * distorted + x[7, i] - features[0, i])
        out[1, i] = x[14, i] * (my * distorted + x[8, i] - features[1, i])
    return out


reference = partial(complex_step, residuals)


def scene() -> tuple[Array, Array]:
    """Cameras near the origin looking at points in front of them, and noisy features."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((INPUTS, OBSERVATIONS))
    middle = np.array([0.1, -0.2, 0.05, 0, 0, -6, 1, 0, 0, 0.01, 0.001, 0, 0, 0, 1])
    spread = np.array([0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.05, 0.01, 0.01, 1e-3, 1e-4, 1, 1, 1, 0.1])
    x = middle[:, None] + spread[:, None] * noise
    features = compiled(x, np.zeros((2, OBSERVATIONS))) / x[14]
    return x, features + 0.01 * rng.standard_normal((2, OBSERVATIONS))


def workload() -> Workload:
    """The scene's Jacobian values."""
    x, features = scene()
    return Workload("ba", x, (features,), compiled, reference)
