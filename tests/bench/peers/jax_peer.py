"""JAX: `jit` of `value_and_grad`, in the idiom that runs best on a CPU.

The NumPy forms with jax.numpy imported instead, where that is best; Rosenbrock without slices and
Lennard-Jones without gathers by index, whose derivatives are slow scatters; the ode through
`lax.scan`; the bundle adjustment as `vmap` of one residual's Jacobian.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
from workloads import ba, bs, gmm, lj, mc, ode
from workloads.workload import Workload

from peers import Form, reimported

jax.config.update("jax_enable_x64", True)


def _compiled(function: Any, w: Workload) -> Any:
    """A call of the jitted function on arrays that are JAX's already."""
    arguments = jax.device_put((w.x, *w.data))
    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(*arguments))


def _scalar_loss(form: Callable[..., Any]) -> Form:
    form = reimported(form, np=jnp, erf=jax.scipy.special.erf)
    return partial(_compiled, jax.value_and_grad(form))


def _rosenbrock(x: Any) -> Any:
    """The chain rolled onto itself, its last term dropped: slices would cost their scatters."""
    terms = 100 * (jnp.roll(x, -1) - x**2) ** 2 + (1 - x) ** 2
    return jnp.sum(terms.at[-1].set(0))


def _orbit(p: Any) -> Any:
    """The Lotka-Volterra loss: a step as the body of a scan."""

    def rates(state: Any) -> Any:
        x, y = state
        return jnp.stack([p[0] * x - p[1] * x * y, p[2] * x * y - p[3] * y])

    def step(state: Any, _: None) -> tuple[Any, Any]:
        k1 = rates(state)
        k2 = rates(state + ode.STEP / 2 * k1)
        k3 = rates(state + ode.STEP / 2 * k2)
        k4 = rates(state + ode.STEP * k3)
        state = state + ode.STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return state, jnp.sum((state - 1) ** 2)

    _, losses = jax.lax.scan(step, p[4:], length=ode.STEPS)
    return jnp.sum(losses)


def _energy(x: Any) -> Any:
    """Lennard-Jones over the full matrix, the upper triangle kept; ones put on the diagonal."""
    atoms = x.reshape(lj.ATOMS, 3).T
    apart = atoms[:, :, None] - atoms[:, None, :]
    inverse = 1.0 / (jnp.sum(apart**2, axis=0) + jnp.eye(lj.ATOMS))
    sixth = inverse * inverse * inverse
    return 4.0 * jnp.sum(jnp.triu(sixth * sixth - sixth, 1))


def _bundle(x: Any, features: Any) -> Any:
    def both(column: Any, feature: Any) -> tuple[Any, Any]:
        value = residuals(column, feature)
        return value, value

    residuals = reimported(ba.residuals, np=jnp)
    jacobian, value = jax.vmap(jax.jacrev(both, has_aux=True), in_axes=1, out_axes=-1)(x, features)
    return value, jacobian


FORMS: dict[str, Form] = {
    "rosen": partial(_compiled, jax.value_and_grad(_rosenbrock)),
    "ode": partial(_compiled, jax.value_and_grad(_orbit)),
    "lj": partial(_compiled, jax.value_and_grad(_energy)),
    "gmm": _scalar_loss(gmm.array_form),
    "ba": partial(_compiled, _bundle),
    "bs": _scalar_loss(bs.array_form),
    "mc": _scalar_loss(mc.array_form),
}
