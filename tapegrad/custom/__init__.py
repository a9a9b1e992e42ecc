"""Derivatives of the user's own: `custom_rule`, and JAX's `custom_jvp` and `custom_vjp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from tapegrad.custom.differentiated_calls import Keys, several
from tapegrad.custom.rule import FunctionWithRule, Options, P, R

__all__ = ["CustomJvp", "CustomRule", "CustomVjp", "custom_jvp", "custom_rule", "custom_vjp"]

Function = Callable[..., Any]


class CustomRule(FunctionWithRule[P, R]):
    """What `custom_rule` returns: the function, with a derivative of its own."""

    def defjvp(self, jvp: Function) -> Function:
        """Take `jvp(tangents, result, *args, **kwargs)`, which returns the result's tangent.

        Parameters
        ----------
        jvp : callable
            `tangents` is the tangent of the argument; a tuple if several are differentiated.

        Returns
        -------
        callable
            The same, so that this decorates.
        """
        self._give(jvp=jvp)
        return jvp

    def defvjp(self, vjp: Function) -> Function:
        """Take `vjp(cotangent, result, *args, **kwargs)`, which returns the argument's cotangent.

        Parameters
        ----------
        vjp : callable
            Returns a tuple if several arguments are differentiated; None stands for zero.

        Returns
        -------
        callable
            The same, so that this decorates.
        """
        self._give(vjp=vjp)
        return vjp

    def defjacobian(self, jacobian: Function) -> Function:
        """Take `jacobian(*args, **kwargs)`, which returns the Jacobian.

        Parameters
        ----------
        jacobian : callable
            Returns an array of the result's shape followed by the argument's, or for vectors a
            sparse matrix of SciPy's; a tuple if several arguments are differentiated. With
            `sparsity` it may return the entries of the pattern alone, a vector.

        Returns
        -------
        callable
            The same, so that this decorates.
        """
        self._give(jacobian=jacobian)
        return jacobian


@overload
def custom_rule(function: Callable[P, R], *, jvp: Function | None = None,
                vjp: Function | None = None, jacobian: Function | None = None, nondiff: Keys = (),
                sparsity: Any = None, check: bool = True) -> CustomRule[P, R]: ...  # fmt: skip


@overload
def custom_rule(function: None = None, *, jvp: Function | None = None,
                vjp: Function | None = None, jacobian: Function | None = None, nondiff: Keys = (),
                sparsity: Any = None, check: bool = True,
                ) -> Callable[[Callable[P, R]], CustomRule[P, R]]: ...  # fmt: skip


def custom_rule(function: Function | None = None, *, jvp: Function | None = None,
                vjp: Function | None = None, jacobian: Function | None = None,
                nondiff: Keys = (), sparsity: Any = None, check: bool = True) -> Any:  # fmt: skip
    """Return a function with a derivative of the user's own.

    What it does isn't recorded: it's called with floats and plain arrays, at every evaluation, and
    so may be anything, an external solver or a C library. Its derivatives are what the rules say.
    One of the rules is enough, the others are derived from it. From a `jvp`, a reverse sweep costs
    one of its calls for each number that is differentiated; from a `vjp`, a forward sweep one for
    each number of the result; a `sparsity` saves most of them.

    The function must depend on nothing but its arguments and what it closes over; it may return
    floats, arrays, and structures of them. A rule written with operations that can be recorded is
    itself differentiated, for second and higher derivatives.

    When they are first used, the rules are compared with a difference of the function's values,
    which takes four more of its evaluations.

    Parameters
    ----------
    function : callable, optional
        Without it, a decorator is returned.
    jvp : callable, optional
        `jvp(tangents, result, *args, **kwargs)` returns the tangent of the result. `tangents` is
        of the argument's structure; a tuple if several arguments are differentiated.
    vjp : callable, optional
        `vjp(cotangent, result, *args, **kwargs)` returns the cotangent of the argument, of its
        structure; a tuple if several are differentiated. None stands for zero.
    jacobian : callable, optional
        `jacobian(*args, **kwargs)` returns an array of the result's shape followed by the
        argument's; a tuple if several are differentiated.
    nondiff : int, str, or sequence of them, optional
        Arguments without derivative: any objects. `self` of a method is one.
    sparsity : optional
        Where the Jacobian may be other than zero: a matrix, dense or sparse, the rows and columns
        of its entries, or "diagonal". A row is a number of the result, a column one of the
        arguments that are differentiated.
    check : bool, optional
        Whether the rules are compared with a difference; False for those that are no derivatives
        on purpose.

    Returns
    -------
    CustomRule
        Called as the function is; `defjvp`, `defvjp` and `defjacobian` take rules later.

    Raises
    ------
    StructureError
        When a rule is used: if it returns another structure or other shapes than it must.
    LostDerivativeError
        When it's called with an active number for a `nondiff` argument, or closes over one.

    Warns
    -----
    WrongRuleWarning
        If a rule isn't the derivative, as a difference shows.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> @tg.custom_rule(vjp=lambda cotangent, result, x: cotangent * 2.0 * x)
    ... def square(x):
    ...     return np.frompyfunc(lambda v: v * v, 1, 1)(x).astype(float)
    >>> tg.grad(lambda x: np.sum(square(x)))(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    given = {"jvp": jvp, "vjp": vjp, "jacobian": jacobian}
    parts = {name: part for name, part in given.items() if part is not None}
    options = Options(nondiff, sparsity, check)
    if function is None:
        return lambda function: CustomRule(function, options, parts)
    return CustomRule(function, options, parts)


def _options(nondiff_argnums: Keys, nondiff_argnames: Keys, sparsity: Any,
             check: bool) -> Options:  # fmt: skip
    return Options((*several(nondiff_argnums), *several(nondiff_argnames)), sparsity, check)


class CustomJvp(FunctionWithRule[P, R]):
    """What `custom_jvp` returns: the function, with a jvp in JAX's convention."""

    _by_position = True

    def defjvp(self, jvp: Function) -> Function:
        """Take `jvp(*nondiff, primals, tangents)`, which returns the result and its tangent.

        Parameters
        ----------
        jvp : callable

        Returns
        -------
        callable
            The same, so that this decorates.
        """
        self._give(primals_jvp=jvp, jvps=None)
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Take a jvp for each argument, `jvp(tangent, result, *args)`; None where it's zero.

        Parameters
        ----------
        *jvps : callable or None
        """
        if self.nondiff:
            raise TypeError("defjvps can't be used with nondiff_argnums: use defjvp")
        self._give(primals_jvp=None, jvps=jvps)


class CustomVjp(FunctionWithRule[P, R]):
    """What `custom_vjp` returns: the function, with a vjp in JAX's convention."""

    _by_position = True

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Take the two halves of a reverse sweep.

        Parameters
        ----------
        fwd : callable
            `fwd(*args)` returns the function's result and what `bwd` is given.
        bwd : callable
            `bwd(*nondiff, kept, cotangent)` returns a tuple of the arguments' cotangents.
        """
        self._give(fwd=fwd, bwd=bwd)


def custom_jvp(fun: Callable[P, R], nondiff_argnums: Keys = (), nondiff_argnames: Keys = (), *,
               sparsity: Any = None, check: bool = True) -> CustomJvp[P, R]:  # fmt: skip
    """Return a function with a jvp of the user's own, in JAX's convention.

    A reverse sweep costs one call of the rule for each number that is differentiated; `sparsity`,
    as for `custom_rule`, saves most of them.

    Parameters
    ----------
    fun : callable
    nondiff_argnums, nondiff_argnames : int, str, or sequence of them, optional
        Arguments without derivative, which the rule is given first.
    sparsity, check : optional
        As for `custom_rule`.

    Returns
    -------
    CustomJvp
        Called as the function is; `defjvp` or `defjvps` takes the rule.

    Examples
    --------
    >>> import math, tapegrad as tg
    >>> @tg.custom_jvp
    ... def f(x, y):
    ...     return math.sin(x) * y
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x, y), (dx, dy) = primals, tangents
    ...     return f(x, y), math.cos(x) * dx * y + math.sin(x) * dy
    >>> tg.grad(f)(0.0, 3.0)
    3.0
    """
    return CustomJvp(fun, _options(nondiff_argnums, nondiff_argnames, sparsity, check))


def custom_vjp(fun: Callable[P, R], nondiff_argnums: Keys = (), nondiff_argnames: Keys = (), *,
               sparsity: Any = None, check: bool = True) -> CustomVjp[P, R]:  # fmt: skip
    """Return a function with a vjp of the user's own, in JAX's convention.

    What `fwd` returns for `bwd` is kept from the one to the other if it's floats and arrays of
    them, integers and texts; of other objects `fwd` is called again. A forward sweep costs one call
    of `bwd` for each number of the result.

    Parameters
    ----------
    fun : callable
    nondiff_argnums, nondiff_argnames : int, str, or sequence of them, optional
        Arguments without derivative, which `bwd` is given first.
    sparsity, check : optional
        As for `custom_rule`.

    Returns
    -------
    CustomVjp
        Called as the function is; `defvjp` takes the rule.

    Examples
    --------
    >>> import math, tapegrad as tg
    >>> @tg.custom_vjp
    ... def f(x, y):
    ...     return math.sin(x) * y
    >>> def f_fwd(x, y):
    ...     return f(x, y), (math.cos(x), math.sin(x), y)
    >>> def f_bwd(kept, cotangent):
    ...     cos_x, sin_x, y = kept
    ...     return cos_x * cotangent * y, sin_x * cotangent
    >>> f.defvjp(f_fwd, f_bwd)
    >>> tg.grad(f)(0.0, 3.0)
    3.0
    """
    return CustomVjp(fun, _options(nondiff_argnums, nondiff_argnames, sparsity, check))
