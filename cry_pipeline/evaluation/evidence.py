"""Evidence: what out-of-fold predictions show about a model, and how sure that is.

Belongs here: putting evidence together, and its files. Does not: the record itself (records.py), formulas
(metrics.py), resampling (statistics.py), pictures (plots.py) or pages (report.py).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from cry_pipeline.catalog.digests import digest
from cry_pipeline.evaluation.metrics import Floats, all_metrics, confusion_matrix, majority_rate, recalls, roc
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import HEADLINES, ClassEvidence, Evidence, Interval, Provenance, Target, verdict_of
from cry_pipeline.evaluation.statistics import donor_bootstrap, percentile_interval

REVISION = 1
"""Raise when a change of code changes evidence."""
RESAMPLES = 1000
FEWEST_RESAMPLES = 100
FILE = "evidence.json"


def evidence_digest(
    provenance: Provenance, classes: Sequence[str], target: Target, *, resamples: int = RESAMPLES, seed: int = 0
) -> str:
    """Return the digest of all that goes into evidence; the run digest stands for the predictions."""
    spec = {"classes": list(classes), "target": target, "resamples": resamples, "seed": seed}
    return digest(spec=spec, inputs=provenance.model_dump(mode="json", exclude={"details"}), revision=REVISION)


def evaluate(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    target: Target,
    *,
    folds: pd.DataFrame,
    provenance: Provenance,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evidence:
    """Turn a run's out-of-fold predictions into evidence.

    Args:
        predictions: columns recording_id, donor, label, repeat, fold, and p_<class> for each class.
        classes: the cohort's classes, in its order.
        target: ``reason`` or ``cry``; decides the headline metric.
        folds: the folds of the run; the predictions must be exactly their test rows.
        provenance: what the run rests on.
        resamples: of the donors, for the intervals.
        seed: of the resampling.

    Raises:
        EvidenceError: see :func:`cry_pipeline.evaluation.predictions.out_of_fold`; or a grouped protocol has
            donors on both sides; or no resample has all classes.
    """
    rows = out_of_fold(predictions, folds, classes)
    if provenance.grouped and rows.shared_donors:
        raise EvidenceError(
            f"{rows.shared_donors} donors are in several test folds though protocol {provenance.protocol} keeps donors "
            "together; the folds are not its own. Make them again."
        )
    intervals, lost = _intervals(rows, resamples, seed)
    confusion = np.array([_confusion(rows, repeat) for repeat in range(len(rows.folds))])
    metrics = {name: interval for name, interval in intervals.items() if not name.startswith("recall of ")}
    chance = 0.5 if target == "cry" else 1 / len(np.unique(rows.labels))
    return Evidence(
        digest=evidence_digest(provenance, classes, target, resamples=resamples, seed=seed),
        provenance=provenance,
        target=target,
        classes=tuple(classes),
        recordings=len(rows.labels),
        donors=len(np.unique(rows.donors)),
        shared_donors=rows.shared_donors,
        repeats=len(rows.folds),
        folds=len(np.unique(rows.folds)),
        metrics=metrics,
        majority_rate=float(majority_rate(confusion[0])),
        chance=chance,
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion.sum(axis=0)),
        per_class=_per_class(rows, intervals),
        roc=_roc(rows),
        resamples=resamples,
        resamples_lost=lost,
        resampling_seed=seed,
        verdict=verdict_of(metrics[HEADLINES[target]], chance),
    )


def evidence_of_run(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    target: Target,
    *,
    folds: pd.DataFrame,
    provenance: Provenance,
    root: Path,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Evidence, bool]:
    """Return (evidence, whether it was reused), kept under ``root/<experiment>/<first 16 digits of its digest>``."""
    key = evidence_digest(provenance, classes, target, resamples=resamples, seed=seed)
    folder = evidence_folder(root, provenance.experiment, key)
    if (folder / FILE).exists():
        return read_evidence(folder), True
    evidence = evaluate(
        predictions, classes, target, folds=folds, provenance=provenance, resamples=resamples, seed=seed
    )
    write_evidence(evidence, folder)
    return evidence, False


def evidence_folder(root: Path, experiment: str, digest: str) -> Path:
    """Return where the evidence of ``digest`` is kept: ``<root>/<experiment>/<first 16 digits of the digest>``."""
    return root / experiment / digest[:16]


def write_evidence(evidence: Evidence, folder: Path) -> Path:
    """Write ``folder/evidence.json`` atomically and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    temporary = path.with_name(f".{FILE}.tmp")
    temporary.write_text(evidence.model_dump_json(indent=1), encoding="utf-8")
    temporary.replace(path)
    return path


def read_evidence(folder: Path) -> Evidence:
    """Read ``folder/evidence.json``; what is no evidence, or contradicts itself, raises EvidenceError."""
    path = folder / FILE
    try:
        return Evidence.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "whole"
        raise EvidenceError(f"{path}: not evidence ({where}: {fault['msg']}); delete it, and evaluate again.") from None


def _confusion(rows: OutOfFold, repeat: int, weights: Floats | None = None) -> Floats:
    predicted = rows.probabilities[repeat].argmax(axis=1)
    return confusion_matrix(rows.labels, predicted, len(rows.classes), weights)


def _measure(rows: OutOfFold, weights: Floats | None) -> dict[str, Floats]:
    """Return each metric and each present class' recall, averaged over repeats that share their weights."""
    repeats = []
    for repeat, (fold, probabilities) in enumerate(zip(rows.folds, rows.probabilities, strict=True)):
        found = recalls(_confusion(rows, repeat, weights))
        values = all_metrics(rows.labels, probabilities, fold, weights)
        values |= {f"recall of {rows.classes[code]}": found[..., code] for code in np.unique(rows.labels)}
        repeats.append(values)
    return {name: np.mean([values[name] for values in repeats], axis=0) for name in repeats[0]}


def _intervals(rows: OutOfFold, resamples: int, seed: int) -> tuple[dict[str, Interval], int]:
    if resamples < FEWEST_RESAMPLES:
        raise EvidenceError(f"{resamples} resamples give no 95 % interval; draw at least {FEWEST_RESAMPLES}.")
    donors = len(np.unique(rows.donors))
    samples, lost = donor_bootstrap(
        lambda weights: _measure(rows, weights), rows.donors, resamples=resamples, seed=seed
    )
    if lost == resamples or donors < 2:
        raise EvidenceError(
            f"{donors} donors give no interval: there is but one, or no resample has every class beside another in "
            "some fold; use a cohort with more donors per class."
        )
    ends = {name: percentile_interval(values) for name, values in samples.items()}
    return {
        name: Interval(value=float(value), low=ends[name][0], high=ends[name][1])
        for name, value in _measure(rows, None).items()
    }, lost


def _per_class(rows: OutOfFold, intervals: dict[str, Interval]) -> dict[str, ClassEvidence]:
    return {
        name: ClassEvidence(
            recordings=int((rows.labels == code).sum()),
            donors=len(np.unique(rows.donors[rows.labels == code])),
            recall=intervals.get(f"recall of {name}"),
        )
        for code, name in enumerate(rows.classes)
    }


def _roc(rows: OutOfFold) -> tuple[tuple[float, ...], ...]:
    """Return the curve of each fold that has both classes, rounded: it is for looking at."""
    if len(rows.classes) != 2:
        return ()
    curves = []
    for folds, probabilities in zip(rows.folds, rows.probabilities, strict=True):
        for fold in np.unique(folds):
            positive, scores = rows.labels[folds == fold] == 1, probabilities[folds == fold, 1]
            if positive.any() and not positive.all():
                curves.append(tuple(round(float(rate), 4) for rate in roc(positive, scores)))
    return tuple(curves)
