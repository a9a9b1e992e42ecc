"""The bits of machine code, of this checkout and of another: is what it computes the same?

    python tests/bench/bits.py OTHER [--only TEXT ...] [--strict-only] [--save FOLDER]

OTHER is the checkout that is right, or the file `other.bits` that an earlier run has saved. Machine
code of every program of the tests, examples and benchmarks is made in a process of either, and run
where it was recorded and at two points beside: reverse with random seeds, tangent and Hessian
product with random directions, and value and gradient as a user calls them. In strict mode
every bit must be the same, with one NaN for all; else numbers may differ by 1e-12 of the largest.
Also reported: which programs have no machine code and why, and tapes that differ. The exit status
is 1 if numbers differ, or one of the two has machine code where the other has none.
"""

import argparse
import faulthandler
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from timing import ONE_THREAD

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = ("reverse", "tangent", "product")
CALL = "call"
FORMS = (*KINDS, CALL)
STEPS = (0.0, 1e-4, 1e-2)
"""How far from the recording's point the points are, of a number's size and one."""
TOLERANCE = 1e-12
"""Of an array's largest number; without strict mode."""
MOST_SHOWN = 3
"""Of the numbers that differ in an array."""

Found = dict[str, Any]
"""What became of a case: `error`, `tape`, `records`; and by mode and form a text or the runs."""


# --- the package's doors -----------------------------------------------------------------------


def tiers_of(tape: Any, strict: bool) -> Any:
    """Return what compiles a tape."""
    from tapegrad.function.tiers import Options, Tiers

    return Tiers(tape, Options("now", strict))


def machine_code(tiers: Any, kind: str) -> Callable[[Any, Any], Any]:
    """Return a function of inputs and seeds, or directions, that runs a tape's machine code.

    It returns whether all went well, the outputs and the products. Raises NotCompilableError.
    """
    code = tiers.compile(kind)

    def run(inputs: Any, seeds: Any) -> Any:
        products = np.empty(code.n_products)
        ok, outputs = code.run(inputs, seeds, products)
        return ok, outputs, products

    return run


def recorded(function: Any, args: Any, strict: bool) -> tuple[Any, Any]:
    """Return a compiled derivative that was called once, and its recording."""
    import tapegrad as tg

    derivative = tg.value_and_grad(function, compile="now", strict=strict)
    derivative(*args)
    return derivative, derivative.recorded.recordings[0]


def digest(tape: Any) -> int:
    """Return a number that stands for all that is computed on a tape."""
    columns = (tape.op, tape.a, tape.b, tape.constants, tape.guard_slot, tape.guard_value,
               tape.inputs, tape.outputs)  # fmt: skip
    return zlib.crc32(b"".join(np.ascontiguousarray(column).tobytes() for column in columns))


# --- collecting --------------------------------------------------------------------------------


def collect(file: Path, options: argparse.Namespace) -> None:
    """Write each case's name, and then what became of it."""
    from cases import FURTHER, cases

    faulthandler.enable()
    with file.open("wb") as out, np.errstate(all="ignore"):
        chosen = [case for case in cases() if not options.only
                  or any(text in case[0] for text in options.only)]  # fmt: skip
        for name, make in chosen[options.part :: options.parts]:
            # Time is short: what further points and edges show isn't of the mode.
            is_strict_only = options.strict_only or FURTHER in name or name.startswith("edges")
            pickle.dump(name, out)
            out.flush()
            pickle.dump(_result(name, make, (True,) if is_strict_only else (True, False)), out)


def _result(name: str, make: Any, modes: tuple[bool, ...]) -> Found:
    found: Found = {}
    for strict in modes:
        try:
            case = make()
            if case.tape is None:
                derivative, recording = recorded(case.function, case.args, strict)
                tape, tiers, point = recording.tape, recording.tiers, recording.point()
            else:
                derivative, tape, tiers, point = (
                    None,
                    case.tape,
                    tiers_of(case.tape, strict),
                    case.point,
                )
        except Exception as error:  # of a random program that divides by zero, for one
            return {"error": f"{type(error).__name__}: {str(error).splitlines()[:1]}"}
        found["records"], found["tape"] = len(tape), digest(tape)
        obstacle = tiers.reason
        if (
            derivative is not None
        ):  # before other forms are compiled, which `tier` doesn't tell apart
            found[strict, CALL] = _call(derivative, case.args)
        for kind in KINDS:
            if obstacle:
                found[strict, kind] = obstacle
            elif kind != "product" or len(tape.outputs) == 1:
                found[strict, kind] = _runs(name, tape, tiers, kind, point)
    return found


def _runs(name: str, tape: Any, tiers: Any, kind: str, point: Any) -> Any:
    """Return what machine code computes at the points, or why there is none."""
    from tapegrad.errors import NotCompilableError

    try:
        run = machine_code(tiers, kind)
    except NotCompilableError as error:
        return str(error)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    runs = []
    for step in STEPS:
        inputs = point + step * rng.uniform(-1.0, 1.0, len(point)) * (1.0 + abs(point))
        seeds = rng.uniform(-1.5, 1.5, len(tape.outputs if kind == "reverse" else point))
        ok, outputs, products = run(inputs, seeds)
        # Where a guard fails nobody reads what it has written; where there is a NaN, we do.
        is_read = ok or not len(tape.guard_slot)
        runs.append((ok, {"outputs": outputs, "products": products} if is_read else {}))
    return runs


def _call(derivative: Any, args: Any) -> Any:
    """Return what a user gets at the recording's point, or what it runs as if that's no code."""
    value, gradient = derivative(*args)
    if derivative.tier != "compiled":
        return derivative.tier
    return [(True, {"value": np.array([value]), "gradient": np.ravel(gradient)})]


def read(file: Path) -> tuple[dict[str, Found], str]:
    """Return what was found, by name; and the name of the case that was begun and not finished."""
    found: dict[str, Found] = {}
    name = ""
    with file.open("rb") as source:
        while True:
            try:
                name = pickle.load(source)
                found[name], name = pickle.load(source), ""
            except (EOFError, pickle.UnpicklingError):  # the process has ended, or was ended
                return found, name


# --- comparing ---------------------------------------------------------------------------------


def bits(numbers: Any) -> Any:
    """Return numbers as integers, with one NaN for all."""
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)


def error_of(ours: Any, theirs: Any) -> Any:
    """Return by how much numbers differ, each relative to the largest."""
    scale = np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs)) or 1.0
    with np.errstate(invalid="ignore"):
        differences = np.abs(ours - theirs) / scale
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))


class Comparison:
    """A mode's forms of all cases compared.

    Attributes
    ----------
    cells : dict
        By name and form, what the table says.
    differences : list of str
    reasons : dict
        By text, the forms that have no machine code for that reason.
    n_numbers : int
        How many were compared.
    """

    def __init__(self, strict: bool) -> None:
        self.strict, self.n_numbers = strict, 0
        self.cells: dict[tuple[str, str], str] = {}
        self.differences: list[str] = []
        self.reasons: dict[str, list[str]] = {}

    def compare(self, name: str, form: str, ours: Any, theirs: Any) -> None:
        """Compare what machine code computes at each point, or why there is none."""
        here = f"{name} {form}"
        if isinstance(ours, str) or isinstance(theirs, str):
            if isinstance(ours, str) and isinstance(theirs, str):
                cell = "none"
                self.reasons.setdefault(ours, []).append(here)
            else:
                which, reason = ("other", ours) if isinstance(ours, str) else ("this", theirs)
                cell = f"{which.upper()} ONLY"
                self.differences.append(f"{here}: only {which} has machine code ({reason})")
        else:
            before, n_valid, largest = len(self.differences), 0, 0.0
            for point, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
                n_valid += mine[0]
                if mine[0] != other[0]:
                    which = "other" if mine[0] else "this"
                    self.differences.append(f"{here}, point {point}: {which} isn't valid")
                for what in mine[1].keys() & other[1].keys():
                    place, numbers = (
                        f"{here}, point {point}, {what}",
                        (mine[1][what], other[1][what]),
                    )
                    if not mine[0]:  # a NaN of either is for the sweeps
                        is_nan = np.isnan(numbers[0]) | np.isnan(numbers[1])
                        numbers = tuple(np.where(is_nan, np.nan, x) for x in numbers)
                    largest = max(largest, self._compare_arrays(place, *numbers))
            cell = "DIFFERS" if len(self.differences) > before else "same"
            if cell == "same" and largest > 0.0:
                cell = f"{largest:.0e}"
            if n_valid < len(ours):
                cell += f" {n_valid}/{len(ours)}"
        self.cells[name, form] = cell

    def _compare_arrays(self, place: str, ours: Any, theirs: Any) -> float:
        """Compare two arrays; return by how much they differ at most."""
        if ours.shape != theirs.shape:
            self.differences.append(f"{place}: shape {ours.shape}, other {theirs.shape}")
            return 0.0
        self.n_numbers += ours.size
        errors = error_of(ours, theirs)
        wrong = bits(ours) != bits(theirs) if self.strict else errors > TOLERANCE
        for k in np.flatnonzero(wrong)[:MOST_SHOWN]:
            self.differences.append(
                f"{place}[{k}]: {ours[k].hex()}, other {theirs[k].hex()} "
                f"({ours[k]:.17g}, {theirs[k]:.17g})"
            )
        if (count := np.count_nonzero(wrong)) > MOST_SHOWN:
            self.differences.append(f"{place}: {count:,} of {ours.size:,} differ")
        return float(np.max(errors, initial=0.0))


def report(ours: dict[str, Found], theirs: dict[str, Found]) -> bool:
    """Print tables and differences; return whether there are none."""
    lines: list[str] = []
    tables = [Comparison(True), Comparison(False)]
    for name in {**theirs, **ours}:
        mine, other = ours.get(name), theirs.get(name)
        if mine is None or other is None:
            lines.append(f"{name}: only {'other' if mine is None else 'this'} has come to it")
            continue
        if "error" in mine or "error" in other:
            texts = [found.get("error", "recorded") for found in (mine, other)]
            if texts[0] != texts[1]:
                lines.append(f"{name}: {texts[0]}; other {texts[1]}")
            continue
        for table in tables:
            for form in FORMS:
                key = table.strict, form
                if key in mine and key in other:
                    table.compare(name, form, mine[key], other[key])
    _print_tables(ours, theirs, tables)
    for table in tables:
        lines += [f"{'strict' if table.strict else 'not strict'}: {d}" for d in table.differences]
    print("\n".join(lines))
    strict, loose = tables
    print(
        f"{len(ours)} cases here, {len(theirs)} of the other; {strict.n_numbers:,} numbers "
        f"compared in strict mode and {loose.n_numbers:,} otherwise; {len(lines)} differences"
    )
    return not lines


def _print_tables(ours: dict[str, Found], theirs: dict[str, Found], tables: Any) -> None:
    heads = "".join(f"{form:>13}" for form in FORMS)
    print(f"{'':<44}{'records':>10} |{heads} |{heads}")
    print(f"{'':<54} |{'strict':>{13 * len(FORMS)}} |{'not strict':>{13 * len(FORMS)}}")
    for name, found in ours.items():
        if "error" in found:
            print(f"{name:<44}{'':>10} | {found['error']}")
            continue
        cells = (
            "".join(f"{table.cells.get((name, form), ''):>13}" for form in FORMS)
            for table in tables
        )
        other = theirs.get(name, {})
        note = "  (recorded otherwise)" if other.get("tape", found["tape"]) != found["tape"] else ""
        print(f"{name:<44}{found['records']:>10,} |{' |'.join(cells)}{note}")
    reasons = {text: names for table in tables for text, names in table.reasons.items()}
    for text, names in reasons.items():
        print(f"no machine code for {len(names)}, as {', '.join(names[:4])}: {text}")


# --- processes ---------------------------------------------------------------------------------


def started(checkout: Path, files: list[Path], options: argparse.Namespace) -> list[Any]:
    """Start the collection of a checkout's bits, each part in a process and a file of its own."""
    words = [word for text in options.only for word in ("--only", text)]
    words += ["--strict-only"] if options.strict_only else []
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(checkout), "TAPEGRAD_QUIET": "1"}
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(checkout), "--collect", str(file), *words,
             "--part", str(part), "--parts", str(len(files))], env=environment,
        )
        for part, file in enumerate(files)
    ]  # fmt: skip


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Collect the bits of this checkout and of the other, and compare them."""
    begin = time.perf_counter()
    checkouts = {"this": ROOT}
    if options.other.is_dir():
        checkouts["other"] = options.other.resolve()
    names = [f"{part}.part" for part in range(2 // len(checkouts))]  # two processes in all
    files = {side: [folder / f"{side}.{name}" for name in names] for side in checkouts}
    processes = {side: started(path, files[side], options) for side, path in checkouts.items()}
    is_same = True
    for side, running in processes.items():
        statuses = [process.wait() for process in running]
        is_same &= not any(statuses)
        print(f"{side}: {checkouts[side]}, exit status {', '.join(map(str, statuses))}")
    found: dict[str, dict[str, Found]] = {"other": {}, "this": {}}
    for side in found:
        for file in files.get(side, [options.other]):
            results, unfinished = read(file)
            found[side].update(results)
            if unfinished:
                print(f"{side} ended in {unfinished}")
    is_same &= report(found["this"], found["other"])
    for side, parts in files.items():
        (folder / f"{side}.bits").write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()
    print(f"{time.perf_counter() - begin:.0f} s")
    return is_same


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout, or what --save has kept of one")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="only cases whose names contain this; may be given again")  # fmt: skip
    parser.add_argument("--strict-only", action="store_true")
    parser.add_argument("--save", type=Path, help="a folder to keep this.bits and other.bits in")
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect:
        collect(options.collect, options)
        return 0
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        return 0 if run(options, options.save) else 1
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(options, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
