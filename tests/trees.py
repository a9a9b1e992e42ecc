"""How the tests compare two trees of numbers."""

from __future__ import annotations

import dataclasses

import numpy as np


def same(found, wanted, rtol=1e-12):
    """Assert that two trees have the same structure and numbers."""
    assert type(found) is type(wanted) or np.isscalar(wanted), (found, wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            same(found[key], wanted[key], rtol)
    elif isinstance(wanted, tuple | list):
        assert len(found) == len(wanted)
        for part, other in zip(found, wanted, strict=True):
            same(part, other, rtol)
    elif dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            same(getattr(found, field.name), getattr(wanted, field.name), rtol)
    elif wanted is None or isinstance(wanted, str):
        assert found == wanted
    else:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-13)
