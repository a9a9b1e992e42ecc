"""The table's rows and partial derivatives as plain Python functions, for oracles in Python."""

from types import FunctionType

from tapegrad import rules
from tapegrad.expression import Folding
from tapegrad.record.active import evaluate
from tapegrad.rows import ROW

_names = dict(vars(rules._module))
_names.update(
    (name, FunctionType(thing.__code__, _names, name))
    for name, thing in vars(rules._module).items()
    if type(thing) is FunctionType
)
_names["in_special1"] = lambda code, x: evaluate.run(code, float(x), 0.0)
_names["in_special2"] = lambda code, x, y: evaluate.run(code, float(x), float(y))


def row(name):
    """Return a row's function of its operands."""
    return _names[name]


def partials(name):
    """Return a function of a row's operands and value that returns its partial derivatives."""

    def function(*numbers):
        *operands, z = numbers
        names = dict(zip("xy", operands, strict=False)) | {"z": z}
        made = Folding(names, float, lambda called, operands: row(called)(*operands))
        return tuple(float(made(partial)) for partial in ROW[name].partials)

    return function
