"""What was trained on withdrawn recordings, and all that is made of it: runs, nulls, evidence, bundles, scores, pages.

Belongs here: which these are, and removing them. Does not: tables and files that only name a recording (withdrawal.py).

A model is not cut out of: whatever saw a recording goes whole, with what rests on it, and the next run trains anew. A
run saw a recording if its folds hold it. That is told by the table of these folds; where it was made anew since, by the
run's own predictions, if they are of all its recordings; where neither tells, the run goes.
"""

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cry_pipeline.artefacts import DamagedFileError, read_table
from cry_pipeline.inference.champions import CHAMPIONS, strike
from cry_pipeline.settings import Settings
from cry_pipeline.training.fold_folders import PREDICTIONS, DamagedFoldError, read_provenance
from cry_pipeline.training.run_keys import ROWS, folds_digest

DIGITS = 16
"""Of a digest, in a folder's or a file's name."""


@dataclass
class Results:
    """Folders and files to be removed, and what each is; and the bundles and the digests of runs among them."""

    paths: dict[Path, str] = field(default_factory=dict)
    bundles: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)

    @property
    def trained(self) -> bool:
        """Whether a model saw the recordings: then every page may tell of it."""
        return "run" in self.paths.values()


def results_of(settings: Settings, ids: Collection[str]) -> Results:
    """Return what was trained on any of the recordings ``ids``, what is made of it, and what killed writers left.

    Under the lock of the data folder nobody writes: a hidden folder is left over, and may hold half a model.
    """
    found, known = Results(), _folds(settings.folds)
    for root in (settings.runs, settings.nulls, settings.evidence, settings.models):
        found.paths |= {path: "left over" for path in root.rglob(".*") if path.is_dir()}
    for run in _folders(settings.runs):
        digests, saw = _saw(run, set(ids), known)
        if saw:
            found.paths[run] = "run"
            found.runs |= digests or {run.name}
    for what, root in (("null", settings.nulls), ("evidence", settings.evidence)):
        for folder in _folders(root):
            if _mentions(folder.glob("*.json"), found.runs):
                found.paths[folder] = what
    for bundle in [
        path for path in (settings.models / CHAMPIONS).glob("*") if path.is_dir() and path not in found.paths
    ]:
        if _mentions([*bundle.rglob("*.json"), *bundle.glob("*.md")], found.runs):
            found.paths[bundle] = "bundle"
            found.bundles |= {bundle.name}
            scores = settings.donations.rglob(f"{bundle.name}*")
            found.paths |= dict.fromkeys(scores, "scores")
    if found.trained:
        found.paths |= {path: "page" for path in settings.reports.rglob("*") if path.is_file()}
    return found


def remove_results(settings: Settings, results: Results) -> None:
    """Remove ``results``: the champion is another, or none, before its bundle goes; pages go first."""
    strike(settings.models, results.bundles, results.runs)
    for path, what in sorted(results.paths.items(), key=lambda item: (item[1] != "page", str(item[0]))):
        if what != "left over" and path.is_dir() and not path.is_symlink():
            hidden = path.with_name(f".{path.name}.withdrawn")  # a killed removal leaves none that looks whole
            path.rename(hidden)
            path = hidden
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _folders(root: Path) -> list[Path]:
    """Return the folders ``<experiment>/<digest>`` below ``root``."""
    return sorted(path for path in root.glob("[!.]*/[!.]*") if path.is_dir())


def _folds(folder: Path) -> dict[str, frozenset[str]]:
    """Return the recordings of each table of folds, by its digest."""
    known = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = read_table(path)
        except DamagedFileError:
            continue  # so that it tells nothing of any run
        if set(ROWS) <= set(table.columns):
            known[folds_digest(table)] = frozenset(table["recording_id"])
    return known


def _saw(run: Path, ids: set[str], known: dict[str, frozenset[str]]) -> tuple[set[str], bool]:
    """Return the run's digest, if it tells, and whether it saw any of ``ids``, or may have."""
    digests, counts, tested = set(), set(), set()
    for folder in sorted(run.glob("fold-*")):
        try:
            told = read_provenance(folder)
            predictions = pd.read_parquet(folder / PREDICTIONS, columns=["recording_id"])
            digests.add(told["digest"])
            rows = known.get(told["made_from"]["inputs"]["folds"])
            if rows is not None:
                return digests, not ids.isdisjoint(rows)
            counts.add(told["train"]["recordings"] + told["test"]["recordings"])
        except (DamagedFoldError, OSError, ValueError, KeyError, TypeError):
            return digests, True
        tested |= set(predictions["recording_id"])
    whole = len(counts) == 1 and len(tested) >= max(counts)
    return digests, not whole or not ids.isdisjoint(tested)


def _mentions(files: Iterable[Path], digests: set[str]) -> bool:
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return any(digest in text for text in texts for digest in digests)
