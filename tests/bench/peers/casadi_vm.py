"""CasADi, run by its virtual machine.

An MX graph of vectors for Rosenbrock; one SX graph of scalars for the ode and Lennard-Jones; an
SX function with its gradient, mapped over the data, elsewhere.
The functions are called through their buffers, CasADi's fastest way in from Python.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import casadi as ca
import numpy as np
from workloads import ba, bs, gmm, lj, mc, ode
from workloads.workload import Array, Workload

from peers import Form


@dataclass(frozen=True)
class Buffered:
    """A function that evaluates from and into arrays bound once; it keeps them alive."""

    evaluate: Callable[[], None]
    results: list[Array]
    bound: tuple[Any, list[Array]]

    def __call__(self) -> list[Array]:
        """Evaluate at what the bound arguments hold; the same result arrays each time."""
        self.evaluate()
        return self.results


def buffered(function: ca.Function, inputs: list[Array], shapes: list[tuple[int, ...]]) -> Buffered:
    """Bind `function` to copies of its inputs and to results of these shapes."""
    buffer, evaluate = function.buffer()
    arguments = [np.array(array, order="F") for array in inputs]
    results = [np.zeros(shape, order="F") for shape in shapes]
    for i, argument in enumerate(arguments):
        buffer.set_arg(i, argument.ravel(order="K").data)
    for i, result in enumerate(results):
        buffer.set_res(i, result.ravel(order="K").data)
    return Buffered(evaluate, results, (buffer, arguments))


def with_gradient(x: Any, loss: Any, data: tuple[Any, ...] = (), options: Any = None) -> Any:
    """The CasADi function (x, *data) -> (loss, gradient)."""
    return ca.Function("f", [x, *data], [loss, ca.gradient(loss, x)], options or {})


def _scalar_loss(loss: Callable[[Any], Any]) -> Form:
    """A loss as one flat graph of scalars."""

    def form(w: Workload) -> Any:
        x = ca.SX.sym("x", w.x.size)
        return buffered(with_gradient(x, loss(x)), [w.x], [(), w.x.shape])

    return form


def chain(options: Any, w: Workload) -> Any:
    """Rosenbrock in vectors."""
    x = ca.MX.sym("x", w.x.size)
    loss = ca.sumsqr(10 * (x[1:] - x[:-1] ** 2)) + ca.sumsqr(1 - x[:-1])
    return buffered(with_gradient(x, loss, options=options), [w.x], [(), w.x.shape])


def log_density() -> ca.Function:
    """One data point's log-likelihood under the mixture, and its gradient."""
    x, point = ca.SX.sym("x", gmm.K * (1 + 2 * gmm.D + gmm.TRIANGLE)), ca.SX.sym("point", gmm.D)
    alphas, means, roots = mixture_parts(x)
    inner = []
    for k in range(gmm.K):
        padded = ca.vertcat(0, roots[gmm.D :, k])
        lower = ca.reshape(padded[gmm.PLACE.ravel(order="F").tolist()], gmm.D, gmm.D)
        centred = point - means[:, k]
        scaled = ca.exp(roots[: gmm.D, k]) * centred + lower @ centred
        inner.append(alphas[k] + ca.sum1(roots[: gmm.D, k]) - 0.5 * ca.sumsqr(scaled))
    return with_gradient(x, ca.logsumexp(ca.vertcat(*inner)), (point,))


def mixture_parts(x: Any) -> tuple[Any, Any, Any]:
    """The mixture's log weights; means and root precisions, a column for each Gaussian."""
    means_end = gmm.K + gmm.K * gmm.D
    return (
        x[: gmm.K],
        ca.reshape(x[gmm.K : means_end], gmm.D, gmm.K),
        ca.reshape(x[means_end:], gmm.D + gmm.TRIANGLE, gmm.K),
    )


def summed(function: ca.Function, count: int) -> ca.Function:
    """(x, data) -> the sums of the function's outputs over the data's columns, x kept."""
    outputs = list(range(function.n_out()))
    return function.map("summed", "serial", count, [0], outputs)


def mixture(options: Any, w: Workload) -> Any:
    """The density summed over the points, the weights' normalisation, and the prior."""
    x, points = ca.MX.sym("x", w.x.size), ca.MX.sym("points", gmm.D, gmm.N)
    likelihood, slope = summed(log_density(), gmm.N)(x, points)
    alphas, _, roots = mixture_parts(x)
    logs, lower = roots[: gmm.D, :], roots[gmm.D :, :]
    spread = 0.5 * gmm.GAMMA**2 * (ca.sumsqr(ca.exp(logs)) + ca.sumsqr(lower))
    weights = gmm.N * ca.log(ca.sum1(ca.exp(alphas)))
    prior = gmm.CONSTANT + spread - gmm.M * ca.sum1(ca.sum2(logs)) - weights
    outputs = [likelihood + prior, slope + ca.gradient(prior, x)]
    function = ca.Function("f", [x, points], outputs, options)
    return buffered(function, [w.x, w.data[0].T], [(), w.x.shape])


def bundle(options: Any, w: Workload) -> Any:
    """One observation's residuals and Jacobian, mapped."""
    x, features = ca.SX.sym("x", ba.INPUTS), ca.SX.sym("features", 2)
    value = residuals(x, features)
    outputs = [value, ca.densify(ca.jacobian(value, x))]
    function = ca.Function("f", [x, features], outputs).map(ba.OBSERVATIONS)
    shapes = [(2, ba.OBSERVATIONS), (2, ba.INPUTS, ba.OBSERVATIONS)]
    return buffered(function.wrap_as_needed(options), [w.x, *w.data], shapes)


def residuals(x: Any, features: Any) -> Any:
    """ADBench's reprojection error in CasADi's vectors."""
    turn, centre, focal, principal, distortion = ca.vertsplit(x[:11], [0, 3, 6, 7, 9, 11])
    theta = ca.norm_2(turn)
    axis, seen = turn / theta, x[11:14] - centre
    along = axis * ca.dot(axis, seen) * (1 - ca.cos(theta))
    camera = seen * ca.cos(theta) + ca.cross(axis, seen) * ca.sin(theta) + along
    image = camera[:2] / camera[2]
    square = ca.sumsqr(image)
    distorted = image * (1 + distortion[0] * square + distortion[1] * square**2)
    return x[14] * (distorted * focal + principal - features)


def book(options: Any, w: Workload) -> Any:
    """One option's price and derivatives, mapped; the total is taken by NumPy."""
    x = ca.SX.sym("x", 5)
    spot, strike, rate, volatility, time = ca.vertsplit(x)
    spread = volatility * ca.sqrt(time)
    d1 = (ca.log(spot / strike) + rate * time) / spread + 0.5 * spread
    below1 = 0.5 + 0.5 * ca.erf(d1 * bs.ROOT_HALF)
    below2 = 0.5 + 0.5 * ca.erf((d1 - spread) * bs.ROOT_HALF)
    price = spot * below1 - strike * ca.exp(-rate * time) * below2
    function = with_gradient(x, price).map(bs.OPTIONS)
    call = buffered(function.wrap_as_needed(options), [w.x], [(bs.OPTIONS,), w.x.shape])

    def total() -> tuple[Any, Any]:
        prices, gradient = call()
        return np.sum(prices), gradient

    return total


def asian(options: Any, w: Workload) -> Any:
    """One path's pay-off and derivatives, summed over the paths."""
    p, normals = ca.SX.sym("p", 5), ca.SX.sym("normals", mc.STEPS)
    spot, strike, rate, volatility, time = ca.vertsplit(p)
    dt = time / mc.STEPS
    steps = (rate - 0.5 * volatility**2) * dt + volatility * ca.sqrt(dt) * normals
    mean = spot * ca.sum1(ca.exp(ca.cumsum(steps))) / mc.STEPS
    gain = ca.exp(-rate * time) * ca.fmax(mean - strike, 0) / mc.PATHS
    paths = summed(with_gradient(p, gain, (normals,)), mc.PATHS)
    return buffered(paths.wrap_as_needed(options), [w.x, w.data[0].T], [(), w.x.shape])


FORMS: dict[str, Form] = {
    "rosen": partial(chain, {}),
    "ode": _scalar_loss(ode.scalar_form),
    "lj": _scalar_loss(lj.scalar_form),
    "gmm": partial(mixture, {}),
    "ba": partial(bundle, {}),
    "bs": partial(book, {}),
    "mc": partial(asian, {}),
}
