"""Counts, histograms and covariances: tables made of samples that may have weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE
from tapegrad.record import scans
from tapegrad.record.array import as_active_data, wrap
from tapegrad.record.functions.dot import matmul
from tapegrad.record.functions.operands import array_on, is_active, tape_of, truth
from tapegrad.record.functions.reductions import maximum, minimum
from tapegrad.record.functions.registry import RULES, rule
from tapegrad.record.kinds import ACTIVE


def _sums(weights: Any, places: Any, count: int) -> Any:
    """Return the sums of active weights by the place each belongs to."""
    tape = tape_of(weights)
    result = np.zeros(count, ACTIVE)
    operands = np.ascontiguousarray(as_active_data(tape, weights))
    scans.update(tape, CODE["add"], result, places.astype(np.int64), operands)
    return wrap(tape, result)


@rule(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if np.ndim(x) != 1:
        raise ValueError("numpy.bincount needs a 1-d array")
    if is_active(x):
        raise TypeError("numpy.bincount counts integers, not floats: write x.astype(int)")
    count = len(np.bincount(x, minlength=minlength))  # and NumPy's checks
    places, weights = np.asarray(x), array_on(tape_of(weights), weights)
    if weights.shape != places.shape:
        raise ValueError("The weights and list don't have the same length.")
    return _sums(weights, places, count)


@rule(np.histogram_bin_edges)
def _edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """Return the edges, which are active where the least and greatest sample give them."""
    if isinstance(bins, str):
        if is_active(a):
            raise UnsupportedFunctionError(
                f"numpy.histogram with bins={bins!r} has no rule for active samples: pass the "
                "number of bins, or their edges"
            )
        return np.histogram_bin_edges(a, bins, range, None)
    if np.ndim(bins) > 1:
        raise ValueError("`bins` must be 1d, when an array")
    if np.ndim(bins) == 1:
        if np.any(truth(bins[:-1] > bins[1:])):
            raise ValueError("`bins` must increase monotonically, when an array")
        return bins
    if bins < 1:
        raise ValueError("`bins` must be positive, when an integer")
    if range is None:
        range = (minimum(a), maximum(a)) if np.size(a) else (0.0, 1.0)
    first, last = range
    if first > last:
        raise ValueError("max must be larger than min in range parameter.")
    if not (np.isfinite(first) and np.isfinite(last)):
        raise ValueError("supplied or autodetected range is not finite")
    if first == last:
        first, last = first - 0.5, last + 0.5
    return np.linspace(first, last, bins + 1)


@rule(np.histogram)
def _histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None,
               weights: Any = None) -> Any:  # fmt: skip
    tape = tape_of(a, bins, range, weights)
    samples = array_on(tape, a)
    if weights is not None and np.shape(weights) != samples.shape:
        raise ValueError("weights should have the same shape as a.")
    samples = samples.ravel()
    plain = np.asarray(a) if not is_active(a) else samples
    edges = np.asarray(bins) if isinstance(bins, list | tuple) and not is_active(bins) else bins
    edges = RULES[np.histogram_bin_edges](plain, edges, range)
    count = len(edges) - 1
    inside = truth(np.logical_and(samples >= edges[0], samples <= edges[-1]))
    samples = samples[inside]
    places = np.minimum(np.searchsorted(edges, samples, side="right") - 1, count - 1)
    if weights is None:
        counted: Any = np.bincount(places, minlength=count)
    elif is_active(weights):
        counted = _sums(np.ravel(weights)[inside], places, count)
    else:
        counted = np.bincount(places, np.ravel(weights)[inside], count)
    if density:
        counted = counted / np.diff(edges) / np.sum(counted)
    return counted, edges


# --- covariances ------------------------------------------------------------------------------


def _rows(tape: Any, samples: Any, name: str, rowvar: Any) -> Any:
    """Return samples as a matrix, a variable a row."""
    array = array_on(tape, samples)
    if array.ndim > 2:
        raise ValueError(f"{name} has more than 2 dimensions")
    rows = np.atleast_2d(array)
    is_turned = array.ndim != 1 if name == "m" else rows.shape[0] != 1
    return rows.T if not rowvar and is_turned else rows


def _sample_weights(weights: Any, name: str, count: int) -> Any:
    if weights is None:
        return None
    weights = array_on(tape_of(weights), weights) if is_active(weights) else np.asarray(weights)
    weights = weights.astype(np.float64)
    if weights.ndim > 1:
        raise RuntimeError(f"cannot handle multidimensional {name}")
    if weights.shape[0] != count:
        raise RuntimeError(f"incompatible numbers of samples and {name}")
    if np.any(truth(weights < 0.0)):
        raise ValueError(f"{name} cannot be negative")
    if name == "fweights" and not np.all(truth(weights == np.around(weights))):
        raise TypeError("fweights must be integer")
    return weights


@rule(np.cov)
def _cov(m: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None,
         fweights: Any = None, aweights: Any = None, *, dtype: Any = None) -> Any:  # fmt: skip
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    tape = tape_of(m, y, fweights, aweights)
    rows = _rows(tape, m, "m", rowvar)
    if rows.shape[0] == 0:
        return np.zeros((0, 0))
    if y is not None:
        rows = np.concatenate((rows, _rows(tape, y, "y", rowvar)), axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    frequencies = _sample_weights(fweights, "fweights", rows.shape[1])
    reliabilities = _sample_weights(aweights, "aweights", rows.shape[1])
    parts = [part for part in (frequencies, reliabilities) if part is not None]
    weights = parts[0] * parts[-1] if len(parts) == 2 else parts[0] if parts else None
    averages, scale = np.average(rows, axis=1, weights=weights, returned=True)
    if weights is None:
        degrees: Any = rows.shape[1] - ddof
    elif ddof == 0:
        degrees = scale[0]
    elif reliabilities is None:
        degrees = scale[0] - ddof
    else:
        degrees = scale[0] - ddof * np.sum(weights * reliabilities) / scale[0]
    deviations = rows - averages[:, np.newaxis]
    weighted = deviations if weights is None else deviations * weights
    with np.errstate(all="ignore"):
        factor = np.true_divide(1.0, np.maximum(degrees, 0.0))
    return np.squeeze(matmul(deviations, weighted.T) * factor)


@rule(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: Any = True, *, dtype: Any = None) -> Any:
    covariances = RULES[np.cov](x, y, rowvar)
    if np.ndim(covariances) == 0:
        return covariances / covariances
    deviations = np.sqrt(np.diagonal(covariances))
    correlations = covariances / deviations[:, np.newaxis] / deviations
    return np.clip(correlations, -1.0, 1.0)
