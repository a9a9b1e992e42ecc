"""What a function closes over: a change is never missed, and only a change records again."""

from __future__ import annotations

# Imported for the places that they add to the registry.
import places_of_code  # noqa: F401
import places_of_containers  # noqa: F401
import places_of_functions  # noqa: F401
import places_of_library_objects  # noqa: F401
import places_of_modules  # noqa: F401
import places_of_objects  # noqa: F401
import pytest
from places import PLACES, REBINDS
from ticks import ran

import tapegrad as tg


def fresh(number):
    """A float equal to `number` that is another object."""
    return float(repr(number))


def slope(lam, x):
    return pytest.approx(2 * lam * x, rel=1e-14, abs=0)


@pytest.mark.parametrize("name", PLACES)
def test_a_change_of_what_is_closed_over_never_gives_the_old_gradient(name, make_module):
    f, change, _ = PLACES[name](make_module)
    derivative = tg.grad(f)
    assert derivative(3.0) == slope(0.1, 3.0)
    change(0.2)
    assert derivative(3.0) == slope(0.2, 3.0)
    change(-7.5)
    assert derivative(2.0) == slope(-7.5, 2.0)
    change(0.1)
    assert derivative(3.0) == slope(0.1, 3.0)


@pytest.mark.parametrize("name", PLACES)
def test_only_a_change_of_what_is_closed_over_records_again(name, make_module):
    f, change, ticks = PLACES[name](make_module)
    derivative = tg.grad(f)
    lazily = 1 if "lazy" in name else 0  # the first call itself changes something
    for x in (3.0, 4.0, -1.0):
        assert derivative(x) == slope(0.1, x)
    assert ran(ticks) <= 1 + lazily
    change(fresh(0.1))
    assert derivative(5.0) == slope(0.1, 5.0)
    if name not in REBINDS:
        is_new = "or_default" in name or "shadows" in name  # the change adds a name
        assert ran(ticks) <= 1 + lazily + is_new
    before = ran(ticks)
    change(0.2)
    for x in (3.0, 4.0, -1.0):
        assert derivative(x) == slope(0.2, x)
    assert ran(ticks) == before + 1


@pytest.mark.parametrize("name", ["closure_variable", "module_global", "list_mutated",
                                  "bound_method_loss_lam"])  # fmt: skip
@pytest.mark.parametrize(
    "make", [tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp], ids=lambda m: m.__name__
)
def test_every_derivative_sees_a_change(make, name, make_module):
    f, change, ticks = PLACES[name](make_module)
    derivative = make(f)
    extra = (1.0,) if make is tg.hvp else ()
    for lam in (0.1, 0.2, 0.3):
        change(lam)
        derivative(1.0, *extra)
        found = derivative(3.0, *extra)
        found = found[1] if make is tg.value_and_grad else found
        expected = 2 * lam if make in (tg.hessian, tg.hvp) else 6 * lam
        assert found == pytest.approx(expected, rel=1e-14)
    assert ran(ticks) == 3
