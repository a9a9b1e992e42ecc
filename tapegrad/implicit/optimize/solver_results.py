"""What SciPy's solvers return, made again with active numbers: of the same names, read when asked.

What has a derivative is computed when it's read. What a solver tells of how it went is plain and
guarded then: a program that reads it is recorded again where it's another. What is only an
estimate of the solver's own, such as `hess_inv`, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.implicit.optimize.scipy_solutions import (
    Told,
)
from tapegrad.record.frames import Site

_ADVICE = {
    "hess_inv": "np.linalg.inv(tapegrad.hessian(objective)(x))",
    "hess": "tapegrad.hessian(objective)(x)",
}  # fmt: skip


class SolverResult:
    """What stands for a result of SciPy's, whose items are attributes, too.

    Parameters
    ----------
    solver : str
        The name of SciPy's function.
    told : Told
    computed : mapping of callable
        What has derivatives, by name.
    hidden : sequence of str, optional
        Items that it hasn't.
    """

    def __init__(self, solver: str, told: Told, computed: Mapping[str, Callable[[], Any]],
                 hidden: Sequence[str] = ()) -> None:  # fmt: skip
        self._solver, self._told, self._computed = solver, told, computed
        self._names = [name for name in told.run.items if name not in hidden]
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self:
            raise AttributeError(name)
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Any:
        if name in self._computed:
            return self._computed[name]()
        if self._told.tells(name):
            return self._told.read(name)
        advice = _ADVICE.get(name)
        raise UnsupportedFunctionError(
            f"`{name}` of what {self._solver} returns is an estimate that the solver made on its "
            f"way and has no derivative, at {Site().place}"
            f"{f'write {advice}' if advice else 'compute it of `x`, or leave it out'}"
        )

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an item, or a default."""
        return getattr(self, name) if name in self else default

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def keys(self) -> list[str]:
        """Return the items' names."""
        return [*self._names]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __dir__(self) -> list[str]:
        return self.keys()
