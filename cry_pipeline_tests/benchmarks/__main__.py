"""``python -m cry_pipeline_tests.benchmarks``: measure, and print the table of README.md.

Belongs here: which recordings are taken, and what is printed. Does not: any measure (computing.py, caging.py,
storing.py, training.py, arriving.py, answering.py).
"""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

RECORDINGS = 457
SECONDS = 7.0


def recordings(folder: Path, corpus: Path | None) -> list[Path]:
    """Return the cleaned recordings of ``corpus``, or without one as many made-up WAVs of 7 s at 8 kHz."""
    if corpus:
        found = sorted(corpus.glob("donateacry_corpus_cleaned_and_updated_data/*/*.wav"))
        if not found:
            raise SystemExit(f"{corpus} holds no cleaned recordings; unset CRY_PIPELINE_CORPUS to measure made-up ones")
        return found
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    folder.mkdir()
    for index in range(RECORDINGS):
        soundfile.write(folder / f"{index}.wav", rng.normal(0, 0.1, int(SECONDS * 8000)), 8000, "PCM_16")
    return sorted(folder.iterdir())


def main() -> int:
    """Print each figure as it comes, then the table, and write them as JSON; 1 where an aim was missed."""
    parser = argparse.ArgumentParser(prog="python -m cry_pipeline_tests.benchmarks", description=__doc__)
    rooms = ("computing", "caging", "storing", "training", "donations", "answering")
    parser.add_argument("--only", choices=rooms, help="one of the groups")
    parser.add_argument("--rows", type=int, default=100_000, help="rows that the store grows to (default: 100,000)")
    parser.add_argument("--folder", type=Path, help="where stores are made, on the disk to be measured")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="what was found, for compare.py")
    args = parser.parse_args()
    corpus = os.environ.get("CRY_PIPELINE_CORPUS")

    from cry_pipeline.allocation import keep_freed_memory
    from cry_pipeline_tests.benchmarks import answering, arriving, caging, computing, storing, training
    from cry_pipeline_tests.benchmarks.measuring import Run, machine

    keep_freed_memory()
    logging.getLogger("cry_pipeline").setLevel(logging.WARNING)
    figures = []
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        folder = Path(scratch)
        paths = recordings(folder / "corpus", Path(corpus) if corpus else None)
        groups = {
            "computing": lambda: computing.measures(paths, folder),
            "caging": lambda: caging.measures(Path(corpus) if corpus else None, folder),
            "storing": lambda: storing.measures(paths, folder, args.rows),
            "training": training.measures,
            "donations": lambda: arriving.measures(folder / "donations"),
            "answering": lambda: answering.measures(folder / "answering"),
        }
        for name, measures in groups.items():
            for figure in measures() if args.only in (None, name) else ():
                figures.append(figure)
                sys.stderr.write(f"{figure.what}: {figure.found} {figure.aim}\n")
    whence = "the corpus' cleaned recordings" if corpus else f"made-up recordings of {SECONDS:g} s"
    found = Run(f"{machine()} {len(paths)} of {whence}.", figures)
    found.write(args.json)
    sys.stdout.write(f"{found.page()}\n")
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    # Before NumPy and numba are loaded: one thread is measured as one thread.
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    raise SystemExit(main())
