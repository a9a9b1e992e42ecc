"""Random programs for a number of seconds: `python tests/fuzz --seconds 30 --seed 1`.

A program that fails is printed with its seed, smaller where that still fails in the same way; the
exit status is then 1. Programs run in a process of their own, so that one that crashes it is
known: its seed is the last that was written down.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from fuzz.generator import program  # noqa: E402
from fuzz.oracles import Refused, Wrong, check  # noqa: E402
from fuzz.shrinking import shrunk  # noqa: E402


def main() -> int:
    """Run the workers until the time is over."""
    options = _options()
    if options.log:
        return _work(options, Path(options.log))
    end, seed, status = time.monotonic() + options.seconds, options.seed, 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "seed"
        while (left := end - time.monotonic()) > 0.0:
            arguments = [sys.executable, str(Path(__file__).parent), "--log", str(log),
                         "--seconds", str(left), "--seed", str(seed)]  # fmt: skip
            arguments += [word for text in options.without for word in ("--without", text)]
            arguments += ["--count", str(options.count)] if options.count else []
            done = subprocess.run(arguments)
            status = max(status, min(abs(done.returncode), 1))
            last = int(log.read_text()) if log.exists() else seed
            if done.returncode in (0, 1):
                break
            print(f"seed {last}: crash, status {done.returncode}\n{program(last).text}", flush=True)
            seed = last + 1
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--count", type=int, default=0, help="how many programs at most")
    parser.add_argument("--without", action="append", default=[], metavar="TEXT",
                        help="leave out programs whose text contains this")  # fmt: skip
    parser.add_argument("--log", help=argparse.SUPPRESS)
    return parser.parse_args()


def _work(options: argparse.Namespace, log: Path) -> int:
    faulthandler.enable()
    end, counts = time.monotonic() + options.seconds, collections.Counter[str]()
    first = seed = options.seed
    while time.monotonic() < end and not (options.count and seed - first >= options.count):
        log.write_text(str(seed))
        counts[_tried(seed, options.without)] += 1
        seed += 1
    print(f"seeds {first} to {seed - 1}")
    for what, count in counts.most_common():
        print(f"{count:6} {what}")
    return int(any(what.startswith("WRONG") for what in counts))


def _tried(seed: int, without: list[str]) -> str:
    """Run a program; return what became of it."""
    whole = program(seed)
    if any(text in whole.text for text in without):
        return "left out"
    try:
        check(whole, seed)
    except Refused as refusal:
        return f"refused: {str(refusal)[:90]}"
    except Wrong as wrong:
        small = shrunk(whole, seed, wrong.kind)
        print(f"seed {seed}: {wrong}\n{small.text}", flush=True)
        return f"WRONG: {wrong.kind}"
    return "right"


if __name__ == "__main__":
    sys.exit(main())
