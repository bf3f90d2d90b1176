"""Labels that models contradict: which recordings, taken together, they say are of another class.

Belongs here: ranking recordings by what models that did not train on them say of their labels. Does not: labels that
contradict each other (corpus/contradictions.py), blind listening (donations), and the page.

To rank by the out-of-fold probability of the given label is the simplest of the ways that Northcutt et al. 2021 (doi
10.1613/jair.1.12125) tried to find wrong labels. It finds what is worth hearing again; who is right, it cannot say:
models are wrong about right labels, too, and alike where they learned from the same recordings.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.calibration import calibrated
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import HONEST, Evidence

COLUMNS = ["recording_id", "donor", "label", "says", "probability", "against"]


@dataclass(frozen=True)
class Contradicted:
    """The recordings of one cohort whose labels the models contradict.

    Attributes:
        cohort: its name.
        models: by whom they are contradicted: models above chance on donors that are not in training.
        recordings: that were asked about, by label.
        by_probability: recordings in equal bins of the models' mean probability of the label, [classes, bins].
        rows: COLUMNS, by rising probability of the label; ``says`` is what the models take it for, ``against`` how many
            of them do not take it for its label.
    """

    cohort: str
    models: tuple[str, ...]
    recordings: Mapping[str, int]
    by_probability: tuple[tuple[int, ...], ...]
    rows: pd.DataFrame


def asked(catalog: Catalog) -> list[str]:
    """Return the experiments that may be asked about labels: what is a cry, of models that listen, by donor."""
    return sorted(
        name
        for name, experiment in catalog.experiments.items()
        if catalog.cohorts[experiment.cohort].target == "cry"
        and catalog.protocols[experiment.protocol].kind in HONEST
        and catalog.models[experiment.model].inputs
    )


def contradicted(evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Contradicted]:
    """Return what the models contradict in each cohort, of those experiments that are above chance.

    A model that was trained several times, on other folds or features, is asked as one: by the mean of its answers.
    Runs of other recordings than most are left out.

    Args:
        evidence: of experiments that :func:`asked` names.
        runs: out-of-fold predictions, by experiment.
    """
    found = [result for result in evidence if result.verdict == "above chance" and result.provenance.experiment in runs]
    cohorts = dict.fromkeys(result.provenance.cohort for result in found)
    made = []
    for cohort in cohorts:
        own = [
            (result.provenance.model, runs[result.provenance.experiment])
            for result in found
            if result.provenance.cohort == cohort
        ]
        made.append(_of_cohort(cohort, own))
    return made


def _of_cohort(cohort: str, runs: Sequence[tuple[str, OutOfFold]], bins: int = 20) -> Contradicted:
    most, _ = Counter(tuple(rows.recording_ids) for _, rows in runs).most_common(1)[0]
    same = [(model, rows) for model, rows in runs if tuple(rows.recording_ids) == most]
    rows = same[0][1]
    answers: dict[str, list[Floats]] = {}
    for model, one in same:
        answers.setdefault(model, []).append(calibrated(one).probabilities.mean(axis=0))
    of_models = np.array([np.mean(each, axis=0) for each in answers.values()])  # [models, recordings, classes]
    mean, classes = of_models.mean(axis=0), np.array(rows.classes)
    own = mean[np.arange(len(mean)), rows.labels]
    table = pd.DataFrame(
        {
            "recording_id": rows.recording_ids,
            "donor": rows.donors,
            "label": classes[rows.labels],
            "says": classes[mean.argmax(axis=1)],
            "probability": own,
            "against": (of_models.argmax(axis=2) != rows.labels).sum(axis=0),
        }
    )[COLUMNS]
    against = table[table["label"] != table["says"]].sort_values(["probability", "recording_id"], ignore_index=True)
    return Contradicted(
        cohort=cohort,
        models=tuple(answers),
        recordings={name: int((rows.labels == code).sum()) for code, name in enumerate(rows.classes)},
        by_probability=tuple(
            tuple(int(count) for count in np.histogram(own[rows.labels == code], bins, (0, 1))[0])
            for code in range(len(classes))
        ),
        rows=against,
    )
