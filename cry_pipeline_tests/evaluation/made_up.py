"""Fixtures of evaluation, reports and figures: made-up out-of-fold predictions with known effects."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_json
from cry_pipeline.evaluation.evidence import evaluate, evidence_folder, write_evidence
from cry_pipeline.evaluation.kept_runs import KeptRun, kept_runs
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import Evidence, Provenance
from cry_pipeline.training.current_runs import RunReference, run_folder
from cry_pipeline.training.fold_folders import write_fold

Predict = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
CRY = ("not_cry", "cry")


@pytest.fixture(scope="session")
def predict() -> Predict:
    """Makes (predictions, folds) of a model that knows the label with strength ``effect``."""

    def make(
        classes: tuple[str, ...] = CRY,
        *,
        effect: float = 0.0,
        donors: int = 60,
        clips: int = 3,
        repeats: int = 1,
        seed: int = 0,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        rng = np.random.default_rng(seed)
        truth = np.repeat(np.arange(donors) % len(classes), clips)
        donor = np.repeat([f"donor{number:03}" for number in range(donors)], clips)
        frames = []
        for repeat in range(repeats):
            rounds = rng.permutation(donors // len(classes)).repeat(len(classes))
            logits = rng.normal(size=(len(truth), len(classes))) + effect * np.eye(len(classes))[truth]
            odds = np.exp(logits)
            frame = pd.DataFrame(odds / odds.sum(axis=1, keepdims=True), columns=[f"p_{name}" for name in classes])
            frame.insert(0, "recording_id", [f"r{number:04}" for number in range(len(truth))])
            frame.insert(1, "donor", donor)
            frame.insert(2, "label", np.array(classes)[truth])
            frame.insert(3, "repeat", repeat)
            frame.insert(4, "fold", np.repeat(rounds % 5, clips))
            frames.append(frame)
        predictions = pd.concat(frames, ignore_index=True)
        return predictions, predictions.iloc[:, :5].copy()

    return make


@pytest.fixture(scope="session")
def run_of(predict: Predict) -> Callable[..., OutOfFold]:
    """Makes the out-of-fold arrays of what ``predict`` makes; equal seeds have equal folds, whatever the effect."""

    def make(classes: tuple[str, ...] = CRY, *, name: str = "", **given: float) -> OutOfFold:
        predictions, folds = predict(classes, **given)
        return out_of_fold(predictions, folds, classes, name)

    return make


@pytest.fixture(scope="session")
def provenance() -> Callable[..., Provenance]:
    """Makes a provenance of a donor-grouped experiment, with changes."""

    def make(experiment: str = "curation_lr_grouped", **changes: object) -> Provenance:
        fields = {
            "experiment": experiment,
            "cohort": "curation",
            "feature_set": "mel64_8k",
            "model": "logistic_regression",
            "protocol": "donor_grouped",
            "keeps_donors_apart": True,
            "seed": 0,
            "run_digest": "a" * 64,
            "feature_digest": "b" * 64,
            "sources": ("donateacry_android",),
        }
        kind = "donor_grouped" if changes.get("keeps_donors_apart", True) else "clip_stratified"
        return Provenance.model_validate(fields | {"protocol_kind": kind} | changes)

    return make


@pytest.fixture(scope="session")
def evidence(predict: Predict, provenance: Callable[..., Provenance]) -> Callable[..., Evidence]:
    """Makes the evidence of an experiment; clip-level ones have folds that ignore donors."""

    def make(experiment: str, *, effect: float = 1.0, classes: tuple[str, ...] = CRY, **changes: object) -> Evidence:
        predictions, folds = predict(
            classes, effect=effect, repeats=1 if changes.get("keeps_donors_apart", True) else 2
        )
        if not changes.get("keeps_donors_apart", True):
            for table in (predictions, folds):
                table["fold"] = np.arange(len(table)) % 5
        target = "cry" if classes == CRY else "reason"
        return evaluate(
            predictions, classes, target, folds=folds, provenance=provenance(experiment, **changes), resamples=200
        )

    return make


@pytest.fixture(scope="session")
def many(evidence: Callable[..., Evidence]) -> list[Evidence]:
    """Evidence of two cohorts: two models with twins of both protocols, a baseline, a clip-level one alone."""
    reasons = ("hungry", "tired", "burping")
    clips = {"protocol": "clip_stratified", "keeps_donors_apart": False}
    cleaned = {"cohort": "cleaned", "classes": reasons}
    return [
        evidence("alone_clips", **cleaned, **clips, model="svm", effect=3.0),
        evidence("lr_clips", **cleaned, **clips, effect=2.0),
        evidence("weak_grouped", **cleaned, model="lfeb", effect=0.0),
        evidence("cry_lr", effect=1.5),
        evidence("lr_grouped", **cleaned, effect=0.8),
        evidence("weak_clips", **cleaned, **clips, model="lfeb", effect=2.5),
        evidence("lr_other_features", **cleaned, effect=0.4, feature_set="mel128_8k"),
    ]


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Where evidence and runs are kept."""
    return tmp_path / "evidence", tmp_path / "runs"


@pytest.fixture(scope="session")
def evaluated(predict: Predict, provenance: Callable[..., Provenance]) -> Callable[..., Evidence]:
    """Makes the evidence of what ``predict`` makes, once of each."""

    @cache
    def make(**given: Any) -> Evidence:
        predictions, folds = predict(**given)
        return evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), resamples=100)

    return make


@pytest.fixture(scope="session")
def kept_in(
    predict: Predict, provenance: Callable[..., Provenance], evaluated: Callable[..., Evidence]
) -> Callable[[Path], Callable[..., KeptRun]]:
    """Makes what makes runs with evidence under a folder; ``given`` is for ``predict``: equal ones, equal folds."""

    def within(folder: Path) -> Callable[..., KeptRun]:
        evidence_root, runs = folder / "evidence", folder / "runs"

        def make(
            experiment: str,
            digest: str,
            *,
            started_at: str = "2026-01-01T00:00:00+00:00",
            current: bool = False,
            parts: dict[str, Any] | None = None,
            hears: bool = True,
            names: dict[str, Any] | None = None,
            **given: Any,
        ) -> KeptRun:
            predictions, _ = predict(**given)
            of = provenance(experiment, run_digest=digest, **(names or {}))
            spec = {"model": {"kind": "logistic_regression"} | (parts or {}), "implementation": "values-1"}
            inputs = {"folds": "0" * 64, "features": of.feature_digest if hears else None}
            made_from = {"spec": spec, "revision": 3, "libraries": {}, "inputs": inputs}
            write_folds(run_folder(experiment, digest, runs), digest, predictions, made_from, started_at)
            said = {"provenance": of, "digest": f"{digest[:32]}{of.feature_digest[:32]}"}
            found = evaluated(**given).model_copy(update=said)
            write_evidence(found, evidence_folder(evidence_root, experiment, found.digest))
            if current:
                write_json(runs / experiment / "current.json", _reference(of).model_dump(mode="json"))
            return next(run for run in kept_runs(experiment, evidence_root, runs) if run.digest == digest)

        return make

    return within


@pytest.fixture
def kept(kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path: Path) -> Callable[..., KeptRun]:
    """Makes a run with evidence under ``roots``."""
    return kept_in(tmp_path)


def _reference(of: Provenance) -> RunReference:
    return RunReference(
        experiment=of.experiment,
        digest=of.run_digest,
        code_version="",
        folds="0" * 64,
        features=of.feature_digest,
        left_out={},
        machine={},
    )


class _Nothing:
    """What a fold's folder is given for a fitted model."""

    history = ()

    def save(self, path: Path) -> None:
        path.write_bytes(b"nothing")


def write_folds(
    folder: Path, digest: str, predictions: pd.DataFrame, made_from: dict[str, Any], started_at: str
) -> list[Path]:
    """Write each fold of ``predictions`` as a run of ``digest`` does; return their folders."""
    folder.mkdir(parents=True)
    written = []
    for (repeat, fold), rows in predictions.groupby(["repeat", "fold"]):
        written.append(folder / f"fold-{repeat}-{fold}")
        said = {"digest": digest, "made_from": made_from, "started_at": started_at}
        write_fold(written[-1], _Nothing(), rows, said)  # type: ignore[arg-type]
    return written
