"""What a run left behind that its page shows: learning curves, lineage, and its surest mistakes.

Belongs here: reading a run's folds and predictions for people. Does not: judging them (evidence.py), drawing them
(figures/experiments.py) or the page (experiment_page.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.folds.copies import parse_copy
from cry_pipeline.training.fold_folders import HISTORY, read_fold, read_provenance

if TYPE_CHECKING:
    from cry_pipeline.features.store.rows import FeatureRows
    from cry_pipeline.features.store.store import FeatureStore

MOST_MISTAKES = 6
"""Behind a recording's id, before the number of a copy of it: protocols that multiply recordings test copies, too."""


@dataclass(frozen=True)
class Mistake:
    """A recording that a run is sure of and wrong about.

    ``file`` is its name where it lay when the page was made, ``probability`` that of the answer and
    ``true_probability`` that of the true class, means over repeats; ``mel`` is [frames, mels] in dB.
    """

    recording_id: str
    copy: str
    label: str
    answer: str
    probability: float
    true_probability: float
    source: str
    file: str
    donor: str
    duration_s: float
    mel: np.ndarray


@dataclass(frozen=True)
class RunDetails:
    """What a run's page shows beside its evidence.

    Attributes:
        lineage: ``provenance.json`` of the run's first fold.
        histories: of each fold that was trained in epochs, by ``<repeat>-<fold>``: columns as of training's ``Epoch``.
        best_epochs: the epoch whose weights were kept, by fold, where it is noted.
        mistakes: the surest first; empty for a model that reads no features.
        seconds: training time of all folds.
        fault: what of the run is damaged, so that all else is missing; empty where it is whole.
    """

    lineage: dict[str, Any]
    histories: dict[str, pd.DataFrame] = field(default_factory=dict)
    best_epochs: dict[str, int] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    seconds: float = 0.0
    fault: str = ""


def read_details(folder: Path, mistakes: Sequence[Mistake]) -> RunDetails:
    """Return the details of the run whose folds lie in ``folder``.

    Raises:
        DamagedFoldError: a fold's files are not what was written.
        OSError: there is no fold, or a history cannot be read.
    """
    folds = sorted(folder.glob("fold-*"), key=lambda path: [int(number) for number in path.name.split("-")[1:]])
    if not folds:
        raise FileNotFoundError(f"{folder} holds no fold of the run; train it again with `cry-pipeline run`.")
    lineages = {path.name.removeprefix("fold-"): read_provenance(path) for path in folds}
    for path, lineage in zip(folds, lineages.values(), strict=True):
        read_fold(path, str(lineage.get("digest")))  # a curve that was changed is not shown
    histories = {path.name.removeprefix("fold-"): pd.read_csv(path / HISTORY) for path in folds}
    return RunDetails(
        lineage=next(iter(lineages.values())),
        histories={name: history for name, history in histories.items() if len(history)},
        best_epochs={
            name: int(lineage["fitted"]["best_epoch"])
            for name, lineage in lineages.items()
            if lineage.get("fitted", {}).get("best_epoch") is not None
        },
        mistakes=tuple(mistakes),
        seconds=sum(float(lineage.get("seconds", 0)) for lineage in lineages.values()),
    )


def surest_mistakes(rows: OutOfFold, most: int = MOST_MISTAKES) -> pd.DataFrame:
    """Return the wrong answers of the highest probability as predicted, the surest first, ties by id.

    The answer is the class of the highest mean probability over repeats. Of the copies of a recording the surest
    stands for all.

    Returns:
        Columns test_id, recording_id, copy (its number, empty for the recording itself), donor, label, answer,
        probability, true_probability.
    """
    mean = rows.probabilities.mean(axis=0)
    answers, names = mean.argmax(axis=1), np.array(rows.classes)
    ids = [parse_copy(str(name)) for name in rows.recording_ids]
    table = pd.DataFrame(
        {
            "test_id": rows.recording_ids,
            "recording_id": [original for original, _ in ids],
            "copy": [str(number or "") for _, number in ids],
            "donor": rows.donors,
            "label": names[rows.labels],
            "answer": names[answers],
            "probability": mean[np.arange(len(mean)), answers],
            "true_probability": mean[np.arange(len(mean)), rows.labels],
        }
    )
    wrong = table[table["label"] != table["answer"]]
    ranked = wrong.sort_values(["probability", "test_id"], ascending=[False, True])
    return ranked.drop_duplicates("recording_id").head(most).reset_index(drop=True)


def show_mistakes(table: pd.DataFrame, recordings: pd.DataFrame, store: "FeatureStore") -> list[Mistake]:
    """Return the mistakes of :func:`surest_mistakes` with what the manifest says of them, and their mel images.

    Raises:
        FeatureStoreError: features of a recording are not stored.
        KeyError: a recording is not in the manifest.
    """
    if table.empty:
        return []
    ids = table["recording_id"].tolist()
    known = recordings.set_index("recording_id")[["source", "path", "duration_s"]].loc[ids]
    features: FeatureRows = store.read(ids, ("mel",))
    columns = table.drop(columns="test_id").to_dict("records")
    return [
        Mistake(
            **{str(name): value for name, value in row.items()},
            source=str(known["source"].iloc[place]),
            file=PurePosixPath(known["path"].iloc[place]).name,
            duration_s=float(known["duration_s"].iloc[place]),
            mel=features.of("mel", place),
        )
        for place, row in enumerate(columns)
    ]
