"""What of scipy.optimize is refused with active numbers, and what to write in its place."""

from __future__ import annotations

from tapegrad.implicit.solver_rules import refuse_solver

_SQUARES = "`tapegrad.minimizer(lambda x, A, b: np.sum((A @ x - b) ** 2), x0, bounds={})(A, b)`"
_PROGRAM = (
    "its solution is a corner: find which constraints hold there by it of plain numbers, as "
    "tapegrad.stop_gradient(x) gives, and solve those, `np.linalg.solve(A_held, b_held)`"
)
_GLOBAL = (
    "call it of plain numbers, with tapegrad.stop_gradient(x) for what it depends on, and "
    "`tapegrad.minimizer(f, found.x)` from there"
)
_OLDER = "call scipy.optimize.minimize in its place, which has a rule"

_INSTEAD = {
    "nnls": f"write {_SQUARES.format('(0.0, None)')}",
    "lsq_linear": f"write {_SQUARES.format('bounds')}",
    "linprog": _PROGRAM,
    "milp": _PROGRAM,
    "differential_evolution": _GLOBAL,
    "dual_annealing": _GLOBAL,
    "basinhopping": _GLOBAL,
    "shgo": _GLOBAL,
    "direct": _GLOBAL,
    "brute": _GLOBAL.replace("found.x", "found"),
    **dict.fromkeys(("fmin", "fmin_bfgs", "fmin_cg", "fmin_ncg", "fmin_powell", "fmin_l_bfgs_b",
                     "fmin_tnc", "fmin_slsqp", "fmin_cobyla"), _OLDER),
}  # fmt: skip


for _name, _instead in _INSTEAD.items():
    refuse_solver(f"scipy.optimize.{_name}", _instead)
