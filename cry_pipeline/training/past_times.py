"""How long an experiment's folds took to train, as their run folders say.

Belongs here: reading these times, and what they let expect. Does not: training, nor deciding what is to be trained.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cry_pipeline.catalog import Catalog
from cry_pipeline.engine.local import WORTH_PROCESSES_S


class Expected(NamedTuple):
    """How many folds an experiment has, and how long all of them will take; None where nothing like it was trained."""

    folds: int
    seconds: float | None


def expected(name: str, catalog: Catalog, runs: Path, workers: int) -> Expected:
    """Return how long training all folds of experiment ``name`` will take, by earlier folds.

    The latest run of the experiment itself tells it best; else one with the same cohort and model, else one with the
    same model. Folds that are worth it are trained side by side by ``workers`` processes.
    """
    experiment = catalog.experiments[name]
    protocol = catalog.protocols[experiment.protocol]
    folds = protocol.folds * protocol.repeats
    kin = [other for other, spec in catalog.experiments.items() if spec.model == experiment.model]
    kin.sort(key=lambda other: (other != name, catalog.experiments[other].cohort != experiment.cohort))
    seconds = next((median(taken) for other in kin if (taken := latest_fold_seconds(runs / other))), None)
    if seconds is None:
        return Expected(folds, None)
    beside = workers if seconds * (folds - 1) > WORTH_PROCESSES_S else 1
    return Expected(folds, seconds * (1 + math.ceil((folds - 1) / beside)))


def latest_fold_seconds(experiment: Path) -> Sequence[float]:
    """Return how long each fold of the latest run in folder ``experiment`` took; none where there is no run."""
    notes = sorted(experiment.glob("*/fold-*/provenance.json"), key=lambda path: path.stat().st_mtime)
    return [seconds for path in notes if path.parent.parent == notes[-1].parent.parent if (seconds := _seconds(path))]


def _seconds(note: Path) -> float | None:
    """Return what a fold's provenance says; None for one that is damaged: whoever reads the fold says so."""
    try:
        return float(json.loads(note.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
