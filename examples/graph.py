"""Draw a function's operations, with values and adjoints, and a loop of a thousand iterations.

Writes graph.png and graph_loop.png beside this script, through Graphviz (`pip install
tapegrad[draw]`, and the program dot); without it, the first one by matplotlib, more plainly.
"""

from pathlib import Path

import numpy as np

import tapegrad as tg
from tapegrad.errors import GraphvizError
from tapegrad.listing import operand_name
from tapegrad.ops import OPS

STEPS, DT = 1000, 0.001


def energy(x, v):
    return 0.5 * v * v + (1 - np.cos(x))


def decay(rate, dt):
    y = 2.0
    for _ in range(STEPS):
        y = y - dt * rate * y
    return y


def places(operands):
    """Return where each record is drawn: a layer below its operands, about in their middle."""
    depth, middle = {}, {}
    for slot, sources in operands.items():
        depth[slot] = max((depth[source] + 1 for source in sources), default=0)
        middle[slot] = np.mean([middle[source] for source in sources]) if sources else slot
    found = {}
    for layer in set(depth.values()):
        row = sorted((slot for slot in depth if depth[slot] == layer), key=middle.get)
        for k, slot in enumerate(row):
            found[slot] = (k - (len(row) - 1) / 2, -layer)
    return found


def sketch(tape, path):
    """Draw a short tape with matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ops = [OPS[code] for code in tape.op]
    operands = {
        slot: [int(o) for o in (tape.a[slot], tape.b[slot])[: ops[slot].arity] if o > 0]
        for slot in range(1, len(tape))
    }
    figure, axes = plt.subplots(figsize=(5, 6), layout="constrained")
    found = places(operands)
    for slot, (x, y) in found.items():
        names = [operand_name(tape, o) for o in (tape.a[slot], tape.b[slot])[: ops[slot].arity]]
        text = f"{ops[slot].name}({', '.join(names)})" if names else "input"
        label = f"{operand_name(tape, slot)} = {text}\n{tape.value[slot]:.4g}"
        box = {"boxstyle": "round", "facecolor": "w"}
        axes.text(x, y, label, ha="center", va="center", bbox=box)
        for source in operands[slot]:
            above = found[source]
            bend = 0.75 if above == (x, y + 2) else 0  # around the record between them
            arrow = {"arrowstyle": "->", "connectionstyle": f"arc3,rad={bend}"}
            axes.annotate("", (x, y + 0.15), (above[0], above[1] - 0.15), arrowprops=arrow)
    axes.set(xlim=(-1.2, 1.2), ylim=(min(y for _, y in found.values()) - 0.3, 0.3))
    axes.axis("off")
    figure.savefig(path, dpi=120)


def main():
    x, v = 0.6, 1.5
    drawing = tg.draw(energy, x, v)
    print(drawing)
    value, gradient = tg.value_and_grad(energy, argnums=(0, 1))(x, v)
    assert np.isclose(value, 0.5 * v**2 + 1 - np.cos(x), rtol=1e-14)
    assert np.allclose(gradient, (np.sin(x), v), rtol=1e-14)  # what the inputs' nodes show
    for shown in (value, *gradient):
        assert f"{shown:.4g}" in drawing.to_dot()

    rate = 0.7
    loop = tg.draw(decay, rate, DT)
    slope = -STEPS * DT * 2.0 * (1 - DT * rate) ** (STEPS - 1)
    assert np.isclose(tg.grad(decay)(rate, DT), slope, rtol=1e-12)
    assert f"∂ −{-slope:.4g}" in loop.to_dot()
    assert f"×{STEPS - 2}" in loop.to_dot()  # the iterations between the first and the last

    path = Path(__file__).with_suffix(".png")
    try:
        drawing.save(path)
        loop.save(path.with_stem("graph_loop"))
        print(f"wrote {path.name} and graph_loop.png")
    except GraphvizError as error:
        print(error)
        function = tg.value_and_grad(energy)
        function(x, v)
        try:
            sketch(function.recorded.recordings[0].tape, path)
        except ImportError:
            print("no picture: matplotlib is not installed either")
        else:
            print(f"wrote {path.name}, by matplotlib")


if __name__ == "__main__":
    main()
