"""Functions of one number that are made of several operations, or of none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.ops import CODE
from tapegrad.record.functions.registry import record, rule
from tapegrad.record.stand_ins import itself, stand_in


@rule(np.sinc, is_compiled=True)
def _sinc(x: Any) -> Any:
    t = np.multiply(x, math.pi)
    square = t * t
    # The quotient has no derivatives at zero; about it, the series is exact to rounding.
    series = 1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0))
    is_small = np.absolute(t) < 0.02
    safe = np.where(is_small, 1.0, t)
    return np.where(is_small, series, np.sin(safe) / safe)


@rule(np.deg2rad, np.radians, is_compiled=True)
def _deg2rad(x: Any) -> Any:
    return np.multiply(x, math.pi / 180.0)


@rule(np.rad2deg, np.degrees, is_compiled=True)
def _rad2deg(x: Any) -> Any:
    return np.multiply(x, 180.0 / math.pi)


@rule(np.conjugate, np.real, np.real_if_close)
def _same(x: Any, *args: Any) -> Any:
    return x


@rule(np.imag)
def _imag(val: Any) -> Any:
    return np.zeros_like(val) if np.ndim(val) else 0.0


@rule(np.i0)
def _i0(x: Any) -> Any:
    return record(CODE["i0"], x)


@rule(np.angle, is_compiled=True)
def _angle(z: Any, deg: bool = False) -> Any:
    angles = np.arctan2(0.0, z)
    return angles * (180.0 / math.pi) if deg else angles


for _function, _of_numpy in ((math.radians, _deg2rad), (math.degrees, _rad2deg)):
    stand_in(_function, of_numbers=True)(itself(_of_numpy))
