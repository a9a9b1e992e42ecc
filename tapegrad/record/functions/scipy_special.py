"""Functions of scipy.special that are made of several elementary operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

REPLACEMENTS: dict[str, Callable[..., Any]] = {}
