"""Evidence: what out-of-fold predictions show about a model, and how sure that is.

Belongs here: putting evidence together, and its files. Does not: the record itself (records.py), formulas
(metrics.py), resampling (resampling.py), nulls, probes, calibration (their modules), pictures or pages
(reports/).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from cry_pipeline import keys
from cry_pipeline.artefacts import DamagedFileError, MissingFileError, read_json, table_digest, write_json
from cry_pipeline.evaluation import retrained
from cry_pipeline.evaluation.calibration import calibration_of
from cry_pipeline.evaluation.conditional import case_mix_of, conditionals_of
from cry_pipeline.evaluation.decisions import decisions_of
from cry_pipeline.evaluation.findings import SHORTCUTS, Interval, Neighbours, Shortcut
from cry_pipeline.evaluation.measures import measure_all, measure_all_repeats, roc_curves, tested
from cry_pipeline.evaluation.metrics import Floats, highest
from cry_pipeline.evaluation.nulls import conditional_null, retrained_null
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold, out_of_fold
from cry_pipeline.evaluation.probes import donor_neighbours, probe_shortcuts
from cry_pipeline.evaluation.records import HEADLINES, ClassEvidence, Evidence, Provenance, verdict_of
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.subgroups import subgroups_of
from cry_pipeline.evaluation.trainings import with_trainings
from cry_pipeline.folds.splitting import leaking_donors
from cry_pipeline.targets import Target

LOG = logging.getLogger("cry_pipeline")
STAGE = "evidence"
FEWEST_RESAMPLES = 100
FILE = "evidence.json"


def evidence_digest(
    provenance: Provenance, classes: Sequence[str], target: Target, *, resamples: int = RESAMPLES, seed: int = 0
) -> str:
    """Return the digest of all that goes into evidence; run digests stand for the predictions."""
    spec = evidence_spec(classes, target, resamples=resamples, seed=seed)
    return keys.key(STAGE, spec, provenance.model_dump(mode="json", by_alias=True, exclude={"details"}))


def evidence_spec(
    classes: Sequence[str], target: Target, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, object]:
    """Return the parameters of evidence, as they enter its key."""
    return {"classes": list(classes), "target": target, "resamples": resamples, "seed": seed}


def evaluate(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    target: Target,
    *,
    folds: pd.DataFrame,
    provenance: Provenance,
    shortcuts: Mapping[Shortcut, pd.DataFrame] | None = None,
    statistics: pd.DataFrame | None = None,
    told: pd.DataFrame | None = None,
    dealt: Mapping[str, Floats] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evidence:
    """Turn a run's out-of-fold predictions into evidence.

    Args:
        predictions: columns recording_id, donor, label, repeat, fold, p_<class> for each class, and, where the model
            was calibrated, slope and intercept_<class>.
        classes: the cohort's classes, in its order.
        target: ``reason`` or ``cry``; decides the headline metric.
        folds: the folds of the run; the predictions must be exactly their test rows.
        provenance: what the run rests on.
        shortcuts: predictions, on the same folds, of the runs that ``provenance.shortcuts`` names.
        statistics: pooled statistics by recording_id, [recordings, values]; None where the run reads no features.
        told: what :func:`cry_pipeline.evaluation.told.told_of` returns of the folds; None where nothing is asked of
            groups of recordings.
        dealt: UAR and AUC of models trained on dealt labels, ``[deals]`` each, whose digest ``provenance.null`` is;
            None for a null that is conditional on the predictions.
        resamples: of the donors, for the intervals, and permutations of their labels, for the nulls.
        seed: of both.

    Raises:
        EvidenceError: see :func:`cry_pipeline.evaluation.predictions.out_of_fold`; or a protocol that keeps
            donors apart has donors on both sides; or no resample has all classes; or a shortcut is of other folds.
    """
    rows = out_of_fold(predictions, folds, classes, provenance.experiment)
    _refuse_shared_donors(folds, provenance)
    intervals, lost = _intervals(rows, resamples, seed)
    metrics = {name: interval for name, interval in intervals.items() if not name.startswith("recall of ")}
    headline = HEADLINES[target]
    if dealt is not None and np.isfinite(dealt[headline]).sum() >= retrained.FEWEST_DEALS:
        nulls = retrained_null(rows, dealt)
    else:
        nulls = conditional_null(rows, permutations=resamples, seed=seed)
    chance = 0.5 if target == "cry" else 1 / len(np.unique(rows.labels))
    others: dict[Shortcut, OutOfFold] = {
        name: out_of_fold(table, folds, classes, provenance.shortcuts[name][0])
        for name, table in (shortcuts or {}).items()
    }
    probes = probe_shortcuts(rows, others, folds, headline, resamples=resamples, seed=seed)
    conditionals = () if told is None else conditionals_of(rows, told, resamples=resamples, seed=seed)
    return Evidence(
        digest=evidence_digest(provenance, classes, target, resamples=resamples, seed=seed),
        provenance=provenance,
        target=target,
        **tested(rows),
        metrics=metrics,
        chance=chance,
        per_class=_per_class(rows, intervals),
        roc=roc_curves(rows),
        folds_digest=_folds_digest(folds),
        nulls=nulls,
        probes=probes,
        probes_not_run=tuple(name for name in SHORTCUTS if name not in {probe.name for probe in probes}),
        conditionals=conditionals,
        case_mix=None if told is None else case_mix_of(rows, told, resamples=resamples, seed=seed),
        neighbours=_neighbours(rows, statistics),
        calibration=calibration_of(rows, resamples=resamples, seed=seed),
        **_asked_of_listeners(rows, told, headline, provenance, resamples, seed),
        resamples=resamples,
        resamples_lost=lost,
        resampling_seed=seed,
        verdict=verdict_of(metrics[headline], chance, nulls[headline].p_value, probes, conditionals),
    )


def evidence_of_run(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    target: Target,
    *,
    folds: pd.DataFrame,
    provenance: Provenance,
    root: Path,
    shortcuts: Mapping[Shortcut, pd.DataFrame] | None = None,
    statistics: pd.DataFrame | None = None,
    told: pd.DataFrame | None = None,
    dealt: Callable[[], Mapping[str, Floats]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Evidence, bool]:
    """Return (evidence, whether it was reused), kept under ``root/<experiment>/<first 16 digits of its digest>``.

    What is damaged is made again, and that is said. ``dealt`` is asked only if there is evidence to be made.
    """
    key = evidence_digest(provenance, classes, target, resamples=resamples, seed=seed)
    if (kept := kept_evidence(root, provenance.experiment, key)) is not None:
        return kept, True
    evidence = evaluate(
        predictions,
        classes,
        target,
        folds=folds,
        provenance=provenance,
        shortcuts=shortcuts,
        statistics=statistics,
        told=told,
        dealt=dealt() if dealt else None,
        resamples=resamples,
        seed=seed,
    )
    write_evidence(evidence, evidence_folder(root, provenance.experiment, key))
    return evidence, False


def kept_evidence(root: Path, experiment: str, digest: str) -> Evidence | None:
    """Return the evidence of ``digest`` that is kept; None where there is none, or a damaged one, which is said."""
    try:
        return read_evidence(evidence_folder(root, experiment, digest), digest)
    except MissingFileError:
        return None
    except EvidenceError as error:
        LOG.warning("%s", error)
        return None


def evidence_folder(root: Path, experiment: str, digest: str) -> Path:
    """Return where the evidence of ``digest`` is kept: ``<root>/<experiment>/<first 16 digits of the digest>``."""
    return root / experiment / digest[:16]


def write_evidence(evidence: Evidence, folder: Path) -> Path:
    """Write ``folder/evidence.json`` atomically, with its checksum, and return its path."""
    path = folder / FILE
    write_json(path, evidence.among(None).model_dump(mode="json", by_alias=True, exclude={"family"}))
    return path


def read_evidence(folder: Path, digest: str | None = None) -> Evidence:
    """Read ``folder/evidence.json``.

    Args:
        folder: where :func:`write_evidence` wrote it.
        digest: that it must have; None for any.

    Raises:
        MissingFileError: there is none.
        EvidenceError: it is not, byte for byte, what was written; is no evidence, or of another digest; or
            contradicts itself.
    """
    path, way_out = folder / FILE, "it is made again when its evidence is materialized"
    try:
        evidence = Evidence.model_validate(read_json(path, way_out))
    except MissingFileError:
        raise
    except DamagedFileError as error:
        raise EvidenceError(str(error)) from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "whole"
        raise EvidenceError(f"{path}: not evidence ({where}: {fault['msg']}); {way_out}") from None
    if digest not in (None, evidence.digest):
        raise EvidenceError(f"{path} is the evidence of {evidence.digest[:16]}, not of {digest[:16]}; {way_out}")
    return evidence


def _refuse_shared_donors(folds: pd.DataFrame, provenance: Provenance) -> None:
    """Refuse folds with donors on both sides of a split of a protocol that keeps them apart."""
    leaking = leaking_donors(folds) if provenance.keeps_donors_apart else []
    if leaking:
        raise EvidenceError(
            f"{len(leaking)} donors are on both sides of a split though protocol {provenance.protocol} keeps donors "
            "together; the folds are not its own. Make them again."
        )


def _asked_of_listeners(
    rows: OutOfFold, told: pd.DataFrame | None, headline: str, provenance: Provenance, resamples: int, seed: int
) -> dict[str, Any]:
    """Return what is asked only of models that hear something: for decisions, and by subgroup."""
    if not provenance.listens:
        return {}
    groups = () if told is None else subgroups_of(rows, told, headline, resamples=resamples, seed=seed)
    return {"decisions": decisions_of(rows, resamples=resamples, seed=seed), "subgroups": groups}


def _intervals(rows: OutOfFold, resamples: int, seed: int) -> tuple[dict[str, Interval], int]:
    if resamples < FEWEST_RESAMPLES:
        raise EvidenceError(f"{resamples} resamples give no 95 % interval; draw at least {FEWEST_RESAMPLES}.")
    donors = len(np.unique(rows.donors))
    samples, lost = donor_bootstrap(
        lambda weights: measure_all(rows, weights), rows.donors, resamples=resamples, seed=seed
    )
    if lost == resamples or donors < 2:
        raise EvidenceError(
            f"{donors} donors give no interval: there is but one, or no resample has every class beside another in "
            "some fold; use a cohort with more donors per class."
        )
    trained = measure_all_repeats(rows, None)
    found = {}
    for name, values in trained.items():
        drawn = with_trainings(samples[name], values, seed)
        low, high = percentile_interval(drawn, lowest=0, highest=highest(name))
        found[name] = Interval(value=float(values.mean()), low=low, high=high)
    return found, lost


def _per_class(rows: OutOfFold, intervals: dict[str, Interval]) -> dict[str, ClassEvidence]:
    return {
        name: ClassEvidence(
            recordings=int((rows.labels == code).sum()),
            donors=len(np.unique(rows.donors[rows.labels == code])),
            recall=intervals.get(f"recall of {name}"),
        )
        for code, name in enumerate(rows.classes)
    }


def _folds_digest(folds: pd.DataFrame) -> str:
    columns = ["repeat", "fold", "recording_id", "donor", "label"]
    return table_digest(folds[columns].sort_values(columns, ignore_index=True))


def _neighbours(rows: OutOfFold, statistics: pd.DataFrame | None) -> Neighbours | None:
    if statistics is None:
        return None
    kept = np.isin(rows.recording_ids, statistics.index.to_numpy(str))
    values = statistics.loc[list(rows.recording_ids[kept])].to_numpy(np.float64)
    return donor_neighbours(values, rows.donors[kept])
