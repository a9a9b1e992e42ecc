"""ddx-ad, walking its graph: a model over named symbols, evaluated through its buffer.

One equation where the function is one sum over its inputs; where data points, paths or options
repeat, one equation for one of them and a batch of points, as its documentation does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import ddx
import numpy as np
from workloads import ba, bs, gmm, lj, mc, ode, rosen
from workloads.workload import Array, Workload

from peers import Form, reimported

Prepare = Callable[[ddx.Equation, int], Any]


def interpreted(equation: ddx.Equation, points: int) -> None:
    """An equation is interpreted unless told otherwise."""


def symbols(name: str, count: int, kind: Callable[[str], Any] = ddx.var) -> list[Any]:
    """Scalar symbols (or parameters) name0, name1, ..."""
    return [kind(f"{name}{i}") for i in range(count)]


def batch(model: Callable[[], Any], point: Array, prepare: Prepare) -> Any:
    """The bound call of a model at a point or at a batch of them, an input a row."""
    equation = ddx.equation(model)
    prepare(equation, point[0].size)
    return equation.buffer(point.copy())


def _scalar_loss(loss: Callable[[Any], Any]) -> Callable[[Prepare, Workload], Any]:
    def form(prepare: Prepare, w: Workload) -> Any:
        bound = batch(lambda: loss(symbols("x", w.x.size)), w.x, prepare)

        def call() -> tuple[Any, Any]:
            bound()
            return bound.value, bound.jacobian

        return call

    return form


def _mixture(prepare: Prepare, w: Workload) -> Any:
    """A data point's log-likelihood in a batch of all points, and the prior by itself."""

    def parts() -> tuple[list[Any], list[Any], list[list[Any]]]:
        x = symbols("x", w.x.size)
        roots, size = x[gmm.K + gmm.K * gmm.D :], gmm.D + gmm.TRIANGLE
        means = [x[gmm.K + k * gmm.D :][: gmm.D] for k in range(gmm.K)]
        return x[: gmm.K], means, [roots[k * size :][:size] for k in range(gmm.K)]

    def density() -> Any:
        alphas, means, roots = parts()
        point = symbols("point", gmm.D, ddx.param)
        inner = []
        for k in range(gmm.K):
            centred = [point[i] - means[k][i] for i in range(gmm.D)]
            square = 0.0
            for i in range(gmm.D):
                scaled = ddx.exp(roots[k][i]) * centred[i]
                for j in range(i):
                    scaled += roots[k][gmm.D - 1 + gmm.PLACE[i, j]] * centred[j]
                square += scaled**2
            inner.append(alphas[k] + sum(roots[k][: gmm.D]) - 0.5 * square)
        top = inner[0]
        for term in inner[1:]:
            top = ddx.max(top, term)
        return top + ddx.log(sum(ddx.exp(term - top) for term in inner))

    def prior() -> Any:
        alphas, means, roots = parts()
        weights = gmm.N * ddx.log(sum(ddx.exp(alpha) for alpha in alphas))
        # A symbol has to be named in the model to have a column: the means enter with zeros.
        unused = sum(0.0 * entry for mean in means for entry in mean)
        logs = [entry for root in roots for entry in root[: gmm.D]]
        lower = [entry for root in roots for entry in root[gmm.D :]]
        squares = sum(ddx.exp(entry) ** 2 for entry in logs) + sum(entry**2 for entry in lower)
        return 0.5 * gmm.GAMMA**2 * squares - gmm.M * sum(logs) - weights + unused

    (points,) = w.data
    likelihood = batch(density, np.vstack([np.tile(w.x[:, None], gmm.N), points.T]), prepare)
    rest = batch(prior, w.x, prepare)

    def call() -> tuple[Any, Any]:
        likelihood()
        rest()
        value = gmm.CONSTANT + np.sum(likelihood.value) + rest.value
        return value, np.sum(likelihood.jacobian, axis=1) + rest.jacobian

    return call


def _bundle(prepare: Prepare, w: Workload) -> Any:
    """One observation's two residuals as a system, a batch of all observations."""

    def model() -> Any:
        x = symbols("x", ba.INPUTS)
        return residuals(x, symbols("feature", 2, ddx.param))

    residuals = reimported(ba.residuals, np=_Names)
    bound = batch(model, np.vstack([w.x, *w.data]), prepare)

    def call() -> tuple[Any, Any]:
        bound()
        return bound.value, bound.jacobian

    return call


class _Names:
    """The NumPy names of the scalar residuals, as ddx has them."""

    sqrt, cos, sin = ddx.sqrt, ddx.cos, ddx.sin
    stack = tuple


def _book(prepare: Prepare, w: Workload) -> Any:
    """One option's price, a batch of all options; the total is taken by NumPy."""

    def price() -> Any:
        spot, strike, rate, volatility, time = symbols("x", 5)
        spread = volatility * ddx.sqrt(time)
        d1 = (ddx.log(spot / strike) + rate * time) / spread + 0.5 * spread
        below1 = 0.5 + 0.5 * ddx.erf(d1 * bs.ROOT_HALF)
        below2 = 0.5 + 0.5 * ddx.erf((d1 - spread) * bs.ROOT_HALF)
        return spot * below1 - strike * ddx.exp(-rate * time) * below2

    bound = batch(price, w.x, prepare)

    def call() -> tuple[Any, Any]:
        bound()
        return np.sum(bound.value), bound.jacobian

    return call


def _asian(prepare: Prepare, w: Workload) -> Any:
    """One path's pay-off, a batch of all paths; the mean is taken by NumPy."""

    def path() -> Any:
        spot, strike, rate, volatility, time = symbols("x", 5)
        dt = time / mc.STEPS
        drift = (rate - 0.5 * volatility**2) * dt
        spread = volatility * ddx.sqrt(dt)
        price, total = spot, 0.0
        for normal in symbols("normal", mc.STEPS, ddx.param):
            price = price * ddx.exp(drift + spread * normal)
            total += price
        return ddx.exp(-rate * time) * ddx.max(total / mc.STEPS - strike, ddx.Expression(0.0))

    (normals,) = w.data
    bound = batch(path, np.vstack([np.tile(w.x[:, None], mc.PATHS), normals.T]), prepare)

    def call() -> tuple[Any, Any]:
        bound()
        return np.mean(bound.value), np.mean(bound.jacobian, axis=1)

    return call


def forms(prepare: Prepare) -> dict[str, Form]:
    """All forms, each equation passed to `prepare` with its number of points."""
    scalar = {"rosen": rosen.scalar_form, "ode": ode.scalar_form, "lj": lj.scalar_form}
    batched = {"gmm": _mixture, "ba": _bundle, "bs": _book, "mc": _asian}
    every = {**{family: _scalar_loss(form) for family, form in scalar.items()}, **batched}
    return {family: partial(form, prepare) for family, form in every.items()}


FORMS = forms(interpreted)
