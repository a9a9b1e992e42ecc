"""Places of numbers in functions: closures, defaults, partials and decorators."""

from __future__ import annotations

import functools
import operator

from places import place, place_that_rebinds
from ticks import new_ticks

import tapegrad as tg


@place
def closure_variable(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        ticks.release()
        return lam * x * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_variable_of_an_inner_function(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        ticks.release()

        def inner(y):
            return lam * y

        return inner(x) * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_variable_read_in_a_comprehension(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        ticks.release()
        return sum([lam * x * y for y in (x,)])

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def default(make_module):
    ticks = new_ticks()

    def f(x, lam=0.1):
        ticks.release()
        return lam * x * x

    return f, lambda value: setattr(f, "__defaults__", (value,)), ticks


@place
def keyword_default(make_module):
    ticks = new_ticks()

    def f(x, *, lam=0.1):
        ticks.release()
        return lam * x * x

    return f, lambda value: f.__kwdefaults__.update(lam=value), ticks


@place
def default_of_a_helper(make_module):
    ticks = new_ticks()

    def helper(x, lam=0.1):
        return lam * x

    def f(x):
        ticks.release()
        return helper(x) * x

    return f, lambda value: setattr(helper, "__defaults__", (value,)), ticks


@place
def mutable_default(make_module):
    ticks, options = new_ticks(), {"lam": 0.1}

    def f(x, options=options):
        ticks.release()
        return options["lam"] * x * x

    return f, lambda value: options.update(lam=value), ticks


@place
def list_in_a_partials_arguments(make_module):
    ticks, lam = new_ticks(), [0.1]

    def scaled(lam, x):
        ticks.release()
        return lam[0] * x * x

    return functools.partial(scaled, lam), functools.partial(operator.setitem, lam, 0), ticks


@place
def partials_keyword(make_module):
    ticks = new_ticks()

    def f(x, lam):
        ticks.release()
        return lam * x * x

    partial = functools.partial(f, lam=0.1)
    return partial, lambda value: partial.keywords.update(lam=value), ticks


@place
def keyword_of_a_partial_of_a_partial_that_is_a_helper(make_module):
    ticks = new_ticks()

    def scale(x, y, lam):
        return lam * x * y

    inner = functools.partial(scale, lam=[0.1])
    helper = functools.partial(lambda g, x: g(x, 1.0)[0] * x, lambda x, y: [inner(x, y)])
    inner.keywords["lam"] = 0.1

    def f(x):
        ticks.release()
        return helper(x)

    return f, lambda value: inner.keywords.update(lam=value), ticks


@place
def attribute_of_a_function(make_module):
    def helper(x):
        return helper.lam * x

    ticks = new_ticks()
    helper.lam = 0.1

    def f(x):
        ticks.release()
        return helper(x) * x

    return f, functools.partial(setattr, helper, "lam"), ticks


@place
def closure_of_a_helper_under_functools_wraps(make_module):
    lam, ticks = 0.1, new_ticks()

    def quiet(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    @quiet
    @quiet
    def helper(x):
        return lam * x

    def f(x):
        ticks.release()
        return helper(x) * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_of_a_decorator(make_module):
    lam, ticks = 0.1, new_ticks()

    def times(function):
        @functools.wraps(function)
        def wrapper(x):
            return lam * function(x)

        return wrapper

    def change(value):
        nonlocal lam
        lam = value

    @times
    def f(x):
        ticks.release()
        return x * x

    return f, change, ticks


@place
def closure_of_a_function_under_a_derivative(make_module):
    lam, ticks = 0.1, new_ticks()
    slope = tg.grad(lambda x: lam * x * x * x / 3.0)

    def f(x):
        ticks.release()
        return slope(x)

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_of_a_function_under_a_derivative_made_inside(make_module):
    lam, ticks = 0.1, new_ticks()

    def cube(x):
        return lam * x * x * x / 3.0

    def f(x):
        ticks.release()
        return tg.grad(cube)(x)

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place_that_rebinds
def helper_bound_again(make_module):
    ticks = new_ticks()

    def helper_for(lam):
        return lambda x: lam * x

    helper = helper_for(0.1)

    def f(x):
        ticks.release()
        return helper(x) * x

    def change(value):
        nonlocal helper
        helper = helper_for(value)

    return f, change, ticks


@place_that_rebinds
def helper_in_a_list_bound_again(make_module):
    ticks = new_ticks()

    def helper_for(lam):
        return lambda x: lam * x

    helpers = [helper_for(0.1)]

    def f(x):
        ticks.release()
        return helpers[0](x) * x

    return f, lambda value: operator.setitem(helpers, 0, helper_for(value)), ticks
