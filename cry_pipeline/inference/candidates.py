"""Candidates: finished runs that a bundle can be made of, with what is known about them.

Belongs here: what belongs to a candidate, which of several is taken, and its digest. Does not: making a bundle of it
(building.py) and whether it becomes the champion (promotion.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog, CohortSpec, FeatureSetSpec
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.targets import Target
from cry_pipeline.training import calibration

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
    """

    experiment: str
    cohort: CohortSpec
    feature_set: FeatureSetSpec
    run: Path
    predictions: pd.DataFrame
    evidence: Evidence
    others: tuple[Evidence, ...] = ()

    @property
    def members(self) -> list[int]:
        """The folds of repeat 0, rising; one model of the bundle each."""
        predictions = self.predictions
        return sorted({int(fold) for fold in predictions.loc[predictions["repeat"] == 0, "fold"]})

    @property
    def temperatures(self) -> list[float]:
        """What each member's logits are divided by; 1 where the run fitted none."""
        rows = of_repeat(self.predictions, 0)
        return [float(rows.loc[rows["fold"] == fold, "temperature"].iloc[0]) for fold in self.members]

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
        target: {"run": candidate.evidence.provenance.run_digest, "evidence": candidate.evidence.digest}
        for target, candidate in candidates.items()
    }
    spec = {target: bundle_spec(candidate.cohort) for target, candidate in candidates.items()}
    return keys.key(STAGE, spec, inputs)


def bundle_spec(cohort: CohortSpec) -> dict[str, Any]:
    """Return what a bundle takes from the catalog itself, and not by a run: JSON types."""
    return {"target": cohort.target, "classes": cohort.classes, "min_duration_s": cohort.min_duration_s}


def bundle_code_version(catalog: Catalog, names: Mapping[Target, tuple[str, ...]]) -> str:
    """Return what changes where the catalog or code would make another bundle of the same runs.

    Args:
        catalog: the experiments and their cohorts.
        names: of the experiments that a bundle may be made of, by target.
    """

    def spec_of(name: str) -> dict[str, Any]:
        return {"experiment": name, **bundle_spec(catalog.cohorts[catalog.experiments[name].cohort])}

    spec = {target: [spec_of(name) for name in experiments] for target, experiments in names.items()}
    return keys.code_version(STAGE, spec)


def of_repeat(predictions: pd.DataFrame, repeat: int) -> pd.DataFrame:
    """Return one repeat's out-of-fold predictions, with a ``temperature`` (1 where the run fitted none)."""
    rows = predictions[predictions["repeat"] == repeat].sort_values("recording_id", ignore_index=True)
    return rows if "temperature" in rows else rows.assign(temperature=1.0)


def calibrated(predictions: pd.DataFrame, classes: Iterable[str]) -> np.ndarray:
    """Return softmax(log p / temperature) ``[recordings, classes]`` of predictions that have a ``temperature``."""
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(np.float64)
    return calibration.calibrated(probabilities, predictions["temperature"].to_numpy(np.float64))
