"""``python -m cry_pipeline_tests.benchmarks.compare BEFORE AFTER``: which ratios of two runs of `make bench` got worse.

Belongs here: comparing. Does not: measuring. Only ratios within a run are compared: times of two days are of two
machines, as far as anyone can tell.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from cry_pipeline_tests.benchmarks.measuring import Run

NOTICED = 0.15
"""Share by which a ratio has to be worse: two runs of the same code differ by up to a tenth on a busy machine."""


class Change(NamedTuple):
    """One ratio, before and after."""

    what: str
    before: float
    after: float
    gain: float
    """How many times as good it is now: below 1 it got worse, whichever way is better."""


def changes(before: Run, after: Run) -> list[Change]:
    """Return what became of each ratio that both runs have, worst first."""
    then = {figure.what: figure.ratio for figure in before.figures}
    found = []
    for figure in after.figures:
        was = then.get(figure.what)
        if was and figure.ratio:
            gain = figure.ratio / was if figure.higher_is_better else was / figure.ratio
            found.append(Change(figure.what, was, figure.ratio, gain))
    return sorted(found, key=lambda change: change.gain)


def main(arguments: list[str] | None = None) -> int:
    """Print each ratio before and after; 1 where one got worse by more than ``--noticed``."""
    parser = argparse.ArgumentParser(prog="python -m cry_pipeline_tests.benchmarks.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--noticed", type=float, default=NOTICED, help=f"share that counts (default: {NOTICED})")
    args = parser.parse_args(arguments)
    found = changes(Run.read(args.before), Run.read(args.after))
    if not found:
        sys.stderr.write("the two have no ratio in common\n")
        return 1
    worse = [change for change in found if change.gain < 1 - args.noticed]
    for change in found:
        mark = "worse" if change in worse else "better" if change.gain > 1 + args.noticed else ""
        sys.stdout.write(f"{change.before:8.2f} → {change.after:8.2f}  {mark:6}  {change.what}\n")
    return int(bool(worse))


if __name__ == "__main__":
    raise SystemExit(main())
