"""The benchmark table: value and derivative by every tool, as ratios to the function itself.

    python tests/bench/run.py [--only rosen,ode] [--peers tapegrad,jax] [--repeats 9] [--budget 60]

The unit is the function compiled by Numba on floats, timed in turn with each peer in the same
process, on one core and one thread. In brackets: seconds from the plain function to its first
derivative, recording and compilation included, imports not. A dash is a peer that isn't
installed, has no natural form of the workload, or exceeded the budget of a cell (seconds, imports
and checks included); the reasons stand below the table. Every derivative is checked against a
reference made without any of the tools; a wrong one is a reason for a dash.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from peers import PEERS
from timing import ONE_THREAD
from workloads import WORKLOADS, select

HERE = Path(__file__).resolve().parent
Cell = dict[str, Any]


def run_cell(peer: str, workload: str, repeats: int, budget: float) -> Cell:
    """One cell, measured by cell.py in a process and a folder of its own, ended at the budget."""
    command = [sys.executable, str(HERE / "cell.py"), peer, workload, str(repeats)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path(), **ONE_THREAD},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=budget)
        except subprocess.TimeoutExpired:
            # The whole group: a compiler that the peer started would live on.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return {"reason": f"over the budget of {budget:g} s"}
    if process.returncode != 0:
        return {"reason": (err.strip().splitlines() or [f"ended with {process.returncode}"])[-1]}
    cell: Cell = json.loads(out.splitlines()[-1])
    return cell


def python_path() -> str:
    """The search path, made absolute, since a cell runs elsewhere."""
    given = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(str(Path(entry).resolve()) for entry in given.split(os.pathsep) if entry)


def short(number: float) -> str:
    """Three digits at most, no exponent."""
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"


def digits(number: float) -> str:
    """Three digits, more where the number is longer."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def brief(seconds: float) -> str:
    """Seconds, or milliseconds below a tenth."""
    return f"{short(seconds)} s" if seconds >= 0.1 else f"{seconds * 1e3:.0f} ms"


def shown(cell: Cell) -> str:
    """What stands in the table."""
    if "reason" in cell:
        return "-"
    return f"{short(cell['seconds'] / cell['unit'])} [{brief(cell['first'])}]"


def unit_row(cells: dict[str, dict[str, Cell]], workloads: list[str]) -> list[str]:
    """Microseconds of the function itself, the median over the peers' processes."""
    row = []
    for workload in workloads:
        units = [row[workload]["unit"] for row in cells.values() if "unit" in row[workload]]
        row.append(f"{digits(median(units) * 1e6)} us" if units else "-")
    return row


def aligned(rows: list[list[str]]) -> str:
    """Text columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [entry.rjust(width) for entry, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def reasons(cells: dict[str, dict[str, Cell]]) -> list[str]:
    """Why there are dashes: a line for each peer and reason."""
    lines = []
    for peer, row in cells.items():
        found: dict[str, list[str]] = {}
        for workload, cell in row.items():
            if "reason" in cell:
                found.setdefault(cell["reason"], []).append(workload)
        for reason, where in found.items():
            place = "" if len(where) == len(row) else f" on {', '.join(where)}"
            lines.append(f"- {PEERS[peer].title}{place}: {reason}")
    return lines


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAMES", help=f"workloads: {', '.join(WORKLOADS)}")
    parser.add_argument("--peers", metavar="NAMES", help=f"tools: {', '.join(PEERS)}")
    parser.add_argument("--repeats", type=int, default=9, help="runs a median is taken of")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a cell may take")
    return parser.parse_args()


def main() -> None:
    """Measure the cells asked for and print the table."""
    asked = arguments()
    workloads = select(asked.only.split(",")) if asked.only else list(WORKLOADS)
    peers = asked.peers.split(",") if asked.peers else list(PEERS)
    if unknown := set(peers) - set(PEERS):
        raise SystemExit(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    cells: dict[str, dict[str, Cell]] = {}
    for peer in peers:
        cells[peer] = {}
        for workload in workloads:
            cell = run_cell(peer, workload, asked.repeats, asked.budget)
            cells[peer][workload] = cell
            print(f"{peer} {workload}: {cell.get('reason') or shown(cell)}", file=sys.stderr)
    rows = [
        ["ratio to the function [to the first derivative]", *workloads],
        ["the function itself, Numba", *unit_row(cells, workloads)],
        *([PEERS[peer].title, *(shown(cells[peer][name]) for name in workloads)] for peer in peers),
    ]
    print("\n".join([aligned(rows), *reasons(cells)]))


if __name__ == "__main__":
    main()
