"""Modules whose source is generated: written to a file named by its hash, then imported.

A real file gives tracebacks lines to show, and Numba something to cache beside.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tapegrad import numba_internals as internals
from tapegrad.caching import write


def _directories() -> Iterator[Path]:
    if wanted := internals.cache_folder():
        yield Path(wanted)
    yield Path(__file__).parent / "__pycache__"
    yield Path(internals.user_cache_folder("tapegrad"))
    yield Path(tempfile.gettempdir()) / f"tapegrad-{os.getenv('USER', 'cache')}"


def _written(name: str, source: str) -> Path:
    content = source.encode()
    for directory in _directories():
        path = directory / name
        try:
            if not path.is_file() or path.read_bytes() != content:
                directory.mkdir(parents=True, exist_ok=True)
                write(path, content)
            return path
        except OSError:  # not ours to write: try the next place
            continue
    raise OSError(f"no directory to write {name} to; set NUMBA_CACHE_DIR to a writable one")


def load(stem: str, source: str) -> ModuleType:
    """Import generated source as the module `tapegrad.<stem>_<hash>`.

    Parameters
    ----------
    stem : str
        What the module is, for its name.
    source : str
        Python source.

    Raises
    ------
    OSError
        If no directory can be written to.
    """
    name = f"{stem}_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    path = _written(f"{name}.py", source)
    spec = importlib.util.spec_from_file_location(f"tapegrad.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
