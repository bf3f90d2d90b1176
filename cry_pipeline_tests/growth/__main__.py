"""``python -m cry_pipeline_tests.growth``: what each stage costs a row at 10,000, 100,000 and 1,000,000 rows.

Belongs here: which sizes, and what is printed. Does not: stages (stages.py), measuring, the cost model (costs.py).
"""

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

MODULE = "cry_pipeline_tests.growth"
FIRST, STEP = 10_000, 10
LIMIT_S = 3600.0


def main() -> int:
    """Print each figure as it comes, then the curve; 1 where a stage was not finished."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="the largest size (default: 1,000,000)")
    parser.add_argument("--folder", type=Path, help="where tables are made; 3 GB for a million")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for a stage (default: 3600)")
    parser.add_argument("--json", type=Path, help="where the figures are written, too")
    parser.add_argument("--keep", action="store_true", help="put the figures into measured.json and docs/growth.md")
    parser.add_argument("--page", action="store_true", help="only write docs/growth.md anew, from measured.json")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("cry_pipeline").setLevel(logging.ERROR)
    if args.stage:
        return one(args.stage, args.rows, args.folder)
    from cry_pipeline_tests.growth import page

    if args.page:
        page.write(page.measured_of())
        return 0

    from cry_pipeline_tests.growth.measuring import Cost, in_a_process
    from cry_pipeline_tests.growth.stages import STAGES
    from cry_pipeline_tests.growth.tables import curve

    found: list[Cost] = []
    missed: list[str] = []
    for rows in sizes(args.rows):
        folder = Path(tempfile.mkdtemp(prefix="growth-", dir=args.folder))
        try:
            for stage in [LAY, *STAGES]:
                cost = in_a_process(MODULE, stage, rows, folder / "installation", args.limit)
                if isinstance(cost, str):
                    missed.append(f"{stage}, {rows:,} rows: {cost}")
                elif stage != LAY:
                    found.append(cost)
                sys.stderr.write(f"{cost}\n" if isinstance(cost, Cost) else f"{missed[-1]}\n")
                if args.json:
                    args.json.write_text(json.dumps([asdict(each) for each in found], indent=1))
        finally:
            shutil.rmtree(folder)
    sys.stdout.write("\n".join([curve(found), *missed] if found else missed) + "\n")
    if args.keep:
        page.keep(found)
    return int(bool(missed))


LAY = "lay"


def sizes(most: int) -> list[int]:
    """Return 10,000, 100,000 … up to ``most``, which is the last."""
    found, size = [], FIRST
    while size < most:
        found.append(size)
        size *= STEP
    return [*found, most]


def one(stage: str, rows: int, folder: Path) -> int:
    """Measure one stage in this process, and print what it took as JSON."""
    from cry_pipeline_tests.growth.measuring import measured, said
    from cry_pipeline_tests.growth.stages import STAGES, Place, warm_up

    place = Place(folder, rows)
    if stage == LAY:
        act, names = place.lay, set[str]()
    else:
        make, files = STAGES[stage]
        act, names = make(place), set(files.split())

    def written() -> int:
        files = (path for name in names for path in folder.rglob(name))
        return sum(path.stat().st_size for path in files)

    warm_up()
    cost = measured(stage, rows, act, written)
    sys.stdout.write(f"{said(cost)}\n")
    return 0


if __name__ == "__main__":
    # Before NumPy is loaded: one thread is measured as one thread.
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    raise SystemExit(main())
