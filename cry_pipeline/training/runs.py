"""Runs: an experiment's folds, trained or taken from before.

Belongs here: what a run is made from and its digest, which folds it has, resuming. Does not: who trains them
(fold_work.py), what a fold's model is shown (fold_training.py), and what predictions are worth (evaluation).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cry_pipeline.catalog import Catalog, digest
from cry_pipeline.engine import Engine, Local
from cry_pipeline.folds.copies import recordings_of
from cry_pipeline.folds.words import tested
from cry_pipeline.progress import track
from cry_pipeline.storage.root import DataRoot
from cry_pipeline.training.current_runs import RunReference, note_run, run_folder, without
from cry_pipeline.training.fold_folders import read_fold, reusable
from cry_pipeline.training.fold_training import FoldTraining, Key, RunError, fold_folder
from cry_pipeline.training.fold_work import FoldWork
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.resolved import ON_A_CPU, Resolved, resolve
from cry_pipeline.training.run_images import networks_of
from cry_pipeline.training.run_inputs import RunFeatures
from cry_pipeline.training.run_keys import run_parts

LOG = logging.getLogger("cry_pipeline")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How much of the machine a run may use.

    ``accelerator`` (auto, cpu, gpu or mps) says where networks are trained; what becomes of it here is in the run's
    digest. Predictions do not depend on the rest, but for the last bits on a GPU. ``device`` is a GPU's number, and
    ``deterministic`` says whether it must give the same bits every time. ``engine`` trains folds side by side. Images
    of more than ``memory_mib``, over all processes of a machine, are mapped from a file instead of held in memory.
    ``tensorboard`` asks for learning curves in ``tensorboard/`` beside the folds, for those trained on this machine.
    ``root`` is the data root in a bucket through which folds come here from other machines; None for a shared folder.
    """

    accelerator: str = "auto"
    device: int = 0
    deterministic: bool = False
    engine: Engine = Local()  # noqa: RUF009 - frozen
    memory_mib: int = 2048
    tensorboard: bool = False
    root: DataRoot | None = None

    def fit_settings(self, run: Path, resolved: Resolved) -> FitSettings:
        """Return what each model of the run in this folder is fitted with."""
        return FitSettings(
            resolved=resolved,
            device=self.device,
            deterministic=self.deterministic,
            curves=run / "tensorboard" if self.tensorboard else None,
        )


_DEFAULTS = TrainingSettings()


@dataclass(frozen=True)
class RunResult:
    """A finished run: out-of-fold ``predictions`` of all folds, and how many folds were trained or reused.

    ``predictions`` has the columns recording_id, donor, label, repeat, fold, then ``p_<class>`` (float64, rows sum to
    1, not calibrated) for each class in the cohort's order, and, of the fold's model, ``slope`` and
    ``intercept_<class>`` (calibrated are softmax(slope · log p + intercept)); sorted by repeat, fold and recording_id.
    """

    digest: str
    folder: Path
    computed: int
    reused: int
    predictions: pd.DataFrame
    reference: RunReference


def train_run(
    name: str,
    catalog: Catalog,
    folds: pd.DataFrame,
    features: RunFeatures,
    *,
    runs: Path,
    metadata: pd.DataFrame | None = None,
    settings: TrainingSettings = _DEFAULTS,
) -> RunResult:
    """Train the folds of experiment ``name`` that have not been trained before; return all folds' predictions.

    A fold is fitted to the recordings of its repeat that it does not test, and is kept in
    ``<runs>/<name>/<first 16 of the digest>/fold-<repeat>-<fold>/``. It appears there when it is done, so an
    interrupted run goes on with the fold it was in. A fold whose files are damaged is said and trained again.

    Args:
        name: experiment in ``catalog``.
        folds: recording_id, donor, label, repeat, fold of the experiment's cohort and protocol.
        features: of these recordings.
        runs: root folder of all runs.
        metadata: recording_id and the columns named in the model's ``metadata``; may be None where it has none.
        settings: how much of the machine may be used.

    Raises:
        RunError: the experiment is unknown, or a class has no recording to learn from in some fold.
        ResolutionError: the machine has not what the settings ask for.
        TrainingDataError: labels and classes, or rows, features and metadata, do not fit together.
        EngineError: folds cannot be spread, or a process that trained one was killed.
    """
    training = _prepared(name, catalog, folds, features, runs, metadata, settings)
    training.run.mkdir(parents=True, exist_ok=True)
    keys = _keys(training.folds)
    done = {key: reusable(training.folder(key), training.digest) for key in keys}
    missing = [key for key in keys if done[key] is None]
    if missing:
        work = FoldWork.of(training, catalog, features, metadata, settings.memory_mib, settings.root)
        done |= dict(track(work.done_by(settings.engine, missing), name, total=len(missing), unit="folds"))
    reused = len(keys) - len(missing)
    LOG.info("%s: computed=%s reused=%s folds", name, len(missing), reused)
    reference = note_run(name, catalog, training.digest, training.parts["inputs"], training.left_out, runs)
    predictions = pd.concat([done[key] for key in keys], ignore_index=True)
    return RunResult(training.digest, training.run, len(missing), reused, predictions, reference)


def _prepared(
    name: str,
    catalog: Catalog,
    folds: pd.DataFrame,
    features: RunFeatures,
    runs: Path,
    metadata: pd.DataFrame | None,
    settings: TrainingSettings,
) -> FoldTraining:
    """Return what the folds of a run have in common; nothing is read or written yet."""
    if name not in catalog.experiments:
        raise RunError(f"There is no experiment {name!r}; the catalog has {', '.join(sorted(catalog.experiments))}.")
    experiment = catalog.experiments[name]
    model, left_out = catalog.models[experiment.model], _left_out(name, folds, features.left_out)
    folds = without(folds, left_out)
    _check_classes(folds, catalog.cohorts[experiment.cohort].classes)
    resolved = resolve(networks_of(model), settings.accelerator, settings.device)
    parts = run_parts(
        experiment, catalog, folds, features.digest, metadata, feature_rows=features.rows, resolved=resolved
    )
    whole = digest(**parts)
    folder = run_folder(name, whole, runs)
    return FoldTraining(
        name=name,
        digest=whole,
        parts=parts,
        experiment=experiment,
        model=model,
        settings=settings.fit_settings(folder, resolved or ON_A_CPU),
        folds=folds,
        run=folder,
        feature_parts=list(features.parts),
        left_out=left_out,
    )


def read_run(name: str, digest: str, folds: pd.DataFrame, runs: Path) -> pd.DataFrame:
    """Return the predictions of all folds of a finished run, as in :class:`RunResult`, having checked every file.

    Raises:
        DamagedFoldError: a fold has not been trained, or its files are not what was written.
    """
    folder = run_folder(name, digest, runs)
    return pd.concat([read_fold(fold_folder(folder, key), digest) for key in _keys(folds)], ignore_index=True)


def _left_out(name: str, folds: pd.DataFrame, without_features: Mapping[str, str]) -> dict[str, str]:
    """Return those recordings of ``folds`` that have no features, with why, and say so."""
    recordings = recordings_of(folds["recording_id"])
    left_out = {recording: without_features[recording] for recording in recordings if recording in without_features}
    if left_out:
        first, why = next(iter(left_out.items()))
        LOG.warning(
            "%s: %s recordings have no features and are left out, first %s: %s", name, len(left_out), first, why
        )
    return left_out


def _keys(folds: pd.DataFrame) -> list[Key]:
    pairs = tested(folds)[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    return [(int(repeat), int(fold)) for repeat, fold in zip(pairs["repeat"], pairs["fold"], strict=True)]


def _check_classes(folds: pd.DataFrame, classes: Sequence[str]) -> None:
    """Say, before any fold is trained, which class some fold could never learn."""
    for repeat, fold, absent in _unseen(folds, classes):
        raise RunError(
            f"Fold {repeat}-{fold} has no training recording of {', '.join(absent)}: the model could never learn it. "
            "Use fewer folds, or merge or drop the class in the cohort's labels."
        )


def _unseen(folds: pd.DataFrame, classes: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
    for repeat, fold in _keys(folds):
        seen = set(folds.loc[(folds["repeat"] == repeat) & (folds["fold"] != fold), "label"])
        absent = [label for label in classes if label not in seen]
        if absent:
            yield repeat, fold, absent
