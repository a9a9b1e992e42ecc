"""PyTorch, eager: tensor operations, and a loop over scalar tensors for the ode."""

from collections.abc import Callable
from typing import Any

import torch
from workloads import ba, gmm, lj, mc, ode
from workloads.workload import Workload

from peers import Form, reimported

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def _scalar_loss(loss: Callable[..., Any]) -> Form:
    def form(w: Workload) -> Any:
        x = torch.tensor(w.x, requires_grad=True)
        data = [torch.tensor(array) for array in w.data]

        def call() -> tuple[Any, Any]:
            value = loss(x, *data)
            (gradient,) = torch.autograd.grad(value, x)
            return value.detach(), gradient

        return call

    return form


def _rosenbrock(x: Any) -> Any:
    return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def _orbit(p: Any) -> Any:
    return ode.scalar_form(p.unbind())


FIRST, SECOND = torch.tensor(lj.FIRST), torch.tensor(lj.SECOND)


def _energy(x: Any) -> Any:
    atoms = x.reshape(lj.ATOMS, 3)
    apart = atoms[FIRST] - atoms[SECOND]
    sixth = (1.0 / torch.sum(apart**2, dim=1)) ** 3
    return 4.0 * torch.sum(sixth**2 - sixth)


LOWER = torch.tensor(gmm.PLACE)


def _mixture(x: Any, points: Any) -> Any:
    alphas, means, roots = x.split([gmm.K, gmm.K * gmm.D, gmm.K * (gmm.D + gmm.TRIANGLE)])
    means = means.reshape(gmm.K, gmm.D)
    roots = roots.reshape(gmm.K, gmm.D + gmm.TRIANGLE)
    sums = roots[:, : gmm.D].sum(1)
    diagonals = roots[:, : gmm.D].exp()
    lower = torch.cat([torch.zeros(gmm.K, 1), roots[:, gmm.D :]], dim=1)[:, LOWER]
    centred = points[None] - means[:, None]
    scaled = diagonals[:, None] * centred + centred @ lower.mT
    inner = alphas[:, None] + sums[:, None] - 0.5 * (scaled**2).sum(2)
    likelihood = torch.logsumexp(inner, 0).sum() - gmm.N * torch.logsumexp(alphas, 0)
    spread = 0.5 * gmm.GAMMA**2 * ((diagonals**2).sum() + (roots[:, gmm.D :] ** 2).sum())
    return gmm.CONSTANT + likelihood + spread - gmm.M * sums.sum()


def _bundle(w: Workload) -> Any:
    """One forward pass, a reverse pass for each residual component."""
    residuals = reimported(ba.residuals, np=torch)
    x = torch.tensor(w.x, requires_grad=True)
    features = torch.tensor(w.data[0])

    def call() -> tuple[Any, Any]:
        value = residuals(x, features)
        rows = [
            torch.autograd.grad(component.sum(), x, retain_graph=True)[0] for component in value
        ]
        return value.detach(), torch.stack(rows)

    return call


def _options(x: Any) -> Any:
    spot, strike, rate, volatility, time = x
    spread = volatility * torch.sqrt(time)
    d1 = (torch.log(spot / strike) + rate * time) / spread + 0.5 * spread
    discounted = strike * torch.exp(-rate * time)
    below1, below2 = torch.special.ndtr(d1), torch.special.ndtr(d1 - spread)
    return torch.sum(spot * below1 - discounted * below2)


def _asian(p: Any, normals: Any) -> Any:
    spot, strike, rate, volatility, time = p
    dt = time / mc.STEPS
    drift = (rate - 0.5 * volatility**2) * dt
    prices = spot * torch.exp(torch.cumsum(drift + volatility * torch.sqrt(dt) * normals, dim=1))
    gains = torch.relu(prices.mean(1) - strike)
    return torch.exp(-rate * time) * gains.mean()


FORMS: dict[str, Form] = {
    "rosen": _scalar_loss(_rosenbrock),
    "ode": _scalar_loss(_orbit),
    "lj": _scalar_loss(_energy),
    "gmm": _scalar_loss(_mixture),
    "ba": _bundle,
    "bs": _scalar_loss(_options),
    "mc": _scalar_loss(_asian),
}
