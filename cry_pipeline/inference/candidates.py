"""Candidates: finished runs that a bundle can be made of, with what is known about them.

Belongs here: what belongs to a candidate, which of several is taken, and its digest. Does not: making a bundle of it
(building.py) and whether it becomes the champion (promotion.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog, CohortSpec, FeatureSetSpec
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.inference.confusers import asked_spec
from cry_pipeline.targets import Target
from cry_pipeline.training import calibration
from cry_pipeline.training.calibration import Recalibration, of_columns

STAGE = "bundle"
"""Its revision, in keys.py, is raised when a change of code changes what is in a bundle."""


class CandidateError(ValueError):
    """No bundle can be made of what is there; the message says what is missing."""


@dataclass(frozen=True)
class Candidate:
    """A run with its evidence.

    Args:
        experiment: its name in the catalog.
        cohort: what it was trained to tell apart, and on which recordings.
        feature_set: parameters of the features that it was trained on.
        run: folder of its folds.
        predictions: its out-of-fold predictions, as ``read_run`` returns them.
        evidence: what these show.
        others: evidence of other models on the same cohort, known when a bundle is made; for its card.
        confusers: sounds of each kind that may be taken for a cry that a bundle is asked about (confusers.py).
    """

    experiment: str
    cohort: CohortSpec
    feature_set: FeatureSetSpec
    run: Path
    predictions: pd.DataFrame
    evidence: Evidence
    others: tuple[Evidence, ...] = ()
    confusers: int = 0

    @property
    def members(self) -> list[int]:
        """The folds of repeat 0, rising; one model of the bundle each."""
        predictions = self.predictions
        return sorted({int(fold) for fold in predictions.loc[predictions["repeat"] == 0, "fold"]})

    @property
    def recalibrations(self) -> list[Recalibration]:
        """What calibrates each member; none where the evidence is at chance: there is nothing to be sure of."""
        if self.evidence.calibrated is None:
            return [Recalibration.none(len(self.cohort.classes)) for _ in self.members]
        rows = of_repeat(self.predictions, 0)
        slopes, intercepts = of_columns(rows, self.cohort.classes)
        first = [int(np.flatnonzero(rows["fold"] == fold)[0]) for fold in self.members]
        return [Recalibration(float(slopes[row]), tuple(intercepts[row].tolist())) for row in first]

    @property
    def probabilities(self) -> np.ndarray:
        """Those of repeat 0 ``[recordings, classes]``, calibrated as the bundle's members are."""
        return calibrated(of_repeat(self.predictions, 0), self.cohort.classes, self.recalibrations)

    def fold(self, number: int) -> Path:
        """Return the folder of a fold of repeat 0."""
        return self.run / f"fold-0-{number}"


def best(candidates: Iterable[Candidate]) -> Candidate:
    """Return the candidate with the best headline.

    Raises:
        CandidateError: there is none.
    """
    known = list(candidates)
    if not known:
        raise CandidateError("no candidate's experiment has been run: materialize its run and evidence first")
    return max(known, key=lambda candidate: candidate.evidence.headline.value)


def bundle_digest(candidates: Mapping[Target, Candidate]) -> str:
    """Return the digest of the bundle that ``candidates`` by target would make."""
    inputs = {
        target: {
            "run": candidate.evidence.provenance.run_digest,
            "evidence": candidate.evidence.digest,
            # It decides what is answered, and hangs on what else was tried.
            "verdict": candidate.evidence.verdict,
        }
        for target, candidate in candidates.items()
    }
    spec = {target: bundle_spec(candidate.cohort, candidate.confusers) for target, candidate in candidates.items()}
    return keys.key(STAGE, spec, inputs)


def bundle_spec(cohort: CohortSpec, confusers: int = 0) -> dict[str, Any]:
    """Return what a bundle takes from the catalog itself, and not by a run: JSON types.

    ``confusers`` are the sounds of each kind that the bundle is asked about.
    """
    asked = {"confusers": asked_spec(confusers)} if confusers and cohort.target == "cry" else {}
    return {"target": cohort.target, "classes": cohort.classes, "min_duration_s": cohort.min_duration_s, **asked}


def bundle_code_version(catalog: Catalog, names: Mapping[Target, tuple[str, ...]]) -> str:
    """Return what changes where the catalog or code would make another bundle of the same runs.

    Args:
        catalog: the experiments and their cohorts.
        names: of the experiments that a bundle may be made of, by target.
    """

    def spec_of(name: str) -> dict[str, Any]:
        cohort = catalog.cohorts[catalog.experiments[name].cohort]
        return {"experiment": name, **bundle_spec(cohort, catalog.champion.confusers)}

    spec = {target: [spec_of(name) for name in experiments] for target, experiments in names.items()}
    return keys.code_version(STAGE, spec)


def of_repeat(predictions: pd.DataFrame, repeat: int) -> pd.DataFrame:
    """Return one repeat's out-of-fold predictions."""
    return predictions[predictions["repeat"] == repeat].sort_values("recording_id", ignore_index=True)


def calibrated(
    predictions: pd.DataFrame, classes: Sequence[str], recalibrations: Sequence[Recalibration]
) -> np.ndarray:
    """Return the probabilities ``[recordings, classes]`` of a repeat's predictions, calibrated.

    Args:
        predictions: of a whole repeat.
        classes: in the order of their columns.
        recalibrations: what calibrates each of its folds, in their order.
    """
    _, member = np.unique(predictions["fold"], return_inverse=True)
    slopes, intercepts = (np.array(parts)[member] for parts in zip(*recalibrations, strict=True))
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(np.float64)
    return calibration.calibrated(probabilities, slopes, intercepts)
