"""Files kept for later processes: written whole or not at all, and checked before they are used.

A kernel's file begins with a digest of its content and of what it is for: nothing is unpickled or
linked that was damaged, cut short, made of other sources or for another function or processor.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import llvmlite
import numba

from tapegrad.numba_internals import dumps

_DIGEST = hashlib.sha256


def write(path: Path, content: bytes) -> None:
    """Write a file, so that another process sees all of it or nothing.

    Raises
    ------
    OSError
        If it can't be written; nothing is left behind.
    """
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class Entries:
    """A function's machine code on disk: what Numba loads and saves, a file for each key.

    Parameters
    ----------
    directory : str
    stem : str
        What the files' names begin with.
    stamp : str
        Of the sources that the function is compiled from.
    """

    def __init__(self, directory: str, stem: str, stamp: str) -> None:
        self._directory, self._stem, self._stamp = Path(directory), stem, stamp

    def _place(self, key: Any) -> tuple[Path, bytes]:
        """Return where a key's file is, and what it must be for.

        The name is of the signature and the processor alone, so that a function that changed
        takes the place of what it was.
        """
        signature, processor = key[:2]
        name = _DIGEST(repr((signature, processor)).encode()).hexdigest()[:16]
        purpose = repr((numba.__version__, llvmlite.__version__, self._stamp, key)).encode()
        return self._directory / f"{self._stem}.{name}.nbc", _DIGEST(purpose).digest()

    def load(self, key: Any) -> Any:
        """Return what was saved, or None if that isn't there or isn't as it was saved."""
        path, purpose = self._place(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        length = _DIGEST().digest_size
        digest, payload = content[:length], content[length:]
        return pickle.loads(payload) if digest == _DIGEST(purpose + payload).digest() else None

    def save(self, key: Any, data: Any) -> None:
        """Keep data for later processes."""
        path, purpose = self._place(key)
        payload = dumps(data)
        write(path, _DIGEST(purpose + payload).digest() + payload)
