"""Runs: resuming, folds side by side, what is said and left out."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import Catalog, MajoritySpec
from cry_pipeline.engine import Local, local
from cry_pipeline.features.hybrid import hybrid_images
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training import fold_work
from cry_pipeline.training.baselines import LogisticRegressionOnStatistics
from cry_pipeline.training.checkpoints import Checkpoint
from cry_pipeline.training.datasets import Rows, TrainingDataError, rows_of, select
from cry_pipeline.training.fold_folders import DamagedFoldError, read_provenance
from cry_pipeline.training.fold_training import fold_seed
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import MODELS, Registered, implementation
from cry_pipeline.training.resolved import StartingWeights
from cry_pipeline.training.runs import RunError, RunResult, read_run
from cry_pipeline_tests.training.made_up import CLASSES, MAJORITY, NETWORK, REGRESSION, make_folds_frame

PROBABILITIES = [f"p_{label}" for label in CLASSES]
INTERCEPTS = [f"intercept_{label}" for label in CLASSES]
PREDICTIONS = ["recording_id", "donor", "label", "repeat", "fold", *PROBABILITIES, "slope", *INTERCEPTS]


@pytest.mark.parametrize("name", [MAJORITY, REGRESSION, NETWORK])
def test_each_recording_is_predicted_once_by_the_fold_that_tests_it(
    name: str, train: Callable[..., RunResult], folds: pd.DataFrame
) -> None:
    result = train(name)
    predictions = result.predictions
    assert list(predictions.columns) == PREDICTIONS
    assert (result.computed, result.reused) == (3, 0)
    keys = ["recording_id", "donor", "label", "repeat", "fold"]
    pd.testing.assert_frame_equal(
        predictions[keys].sort_values("recording_id", ignore_index=True), folds[keys], check_dtype=False
    )
    probabilities = predictions[PROBABILITIES].to_numpy()
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)


def test_a_class_that_can_be_told_apart_is_under_its_own_name(train: Callable[..., RunResult]) -> None:
    predictions = train(REGRESSION).predictions
    best = predictions[PROBABILITIES].to_numpy().argmax(axis=1)
    assert (np.array(CLASSES)[best] == predictions["label"]).mean() > 0.9


@pytest.mark.parametrize("memory_mib", [2048, 0])
def test_folds_trained_side_by_side_give_the_same_bits(
    memory_mib: int, train: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = train(NETWORK)
    monkeypatch.setattr(local, "WORTH_PROCESSES_S", -1.0)
    together = train(NETWORK, engine=Local(2), memory_mib=memory_mib, runs=tmp_path / "together")
    pd.testing.assert_frame_equal(together.predictions, alone.predictions, check_exact=True)
    assert (together.digest, together.computed) == (alone.digest, 3)
    for fold in range(3):
        assert _checkpoint(together, fold) == _checkpoint(alone, fold)


def test_a_run_done_before_is_reused_without_features(train: Callable[..., RunResult]) -> None:
    first = train()
    second = train(features=None)
    assert (second.computed, second.reused) == (0, 3)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    assert first.folder == second.folder


def test_a_run_is_read_back_as_it_was_returned_and_not_read_when_incomplete(
    train: Callable[..., RunResult], folds: pd.DataFrame, tmp_path: Path
) -> None:
    result = train()
    read = read_run(REGRESSION, result.digest, folds, tmp_path / "runs")
    pd.testing.assert_frame_equal(read, result.predictions)
    (result.folder / "fold-0-1" / "history.csv").unlink()
    with pytest.raises(DamagedFoldError, match=r"fold-0-1.*history\.csv"):
        read_run(REGRESSION, result.digest, folds, tmp_path / "runs")
    with pytest.raises(DamagedFoldError, match="fold-0-0"):
        read_run(REGRESSION, "0" * 64, folds, tmp_path / "runs")


def test_an_interrupted_run_goes_on_with_the_fold_it_was_in(
    train: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, calls = LogisticRegressionOnStatistics.fit, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(LogisticRegressionOnStatistics, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train()
    result = train()
    assert (result.computed, result.reused, len(calls)) == (1, 2, 4)


def test_a_damaged_fold_is_said_and_trained_again_to_the_same_predictions(
    train: Callable[..., RunResult], caplog: pytest.LogCaptureFixture
) -> None:
    first = train()
    path = first.folder / "fold-0-1" / "predictions.parquet"
    path.write_bytes((first.folder / "fold-0-2" / "predictions.parquet").read_bytes())
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        second = train()
    assert (second.computed, second.reused) == (1, 2)
    assert "fold-0-1" in caplog.text
    pd.testing.assert_frame_equal(first.predictions, second.predictions)


def _checkpoint(result: RunResult, fold: int) -> bytes:
    return (result.folder / f"fold-0-{fold}" / "checkpoint.safetensors").read_bytes()


def test_repeats_are_separate_and_seeded_differently(train: Callable[..., RunResult], folds: pd.DataFrame) -> None:
    again = folds.assign(repeat=1, fold=(folds["fold"] + 1) % 3)
    result = train(folds=pd.concat([folds, again]))
    assert result.computed == 6
    assert result.predictions.groupby("repeat")["recording_id"].nunique().tolist() == [60, 60]
    assert len({fold_seed(0, repeat, fold) for repeat in range(5) for fold in range(5)}) == 25


def test_a_class_that_a_fold_cannot_learn_is_said_before_anything_is_trained(
    train: Callable[..., RunResult], folds: pd.DataFrame, tmp_path: Path
) -> None:
    folds.loc[folds["label"] == "burping", "fold"] = 1
    with pytest.raises(RunError, match="Fold 0-1 has no training recording of burping"):
        train(folds=folds)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_experiment_is_an_error_that_lists_the_known(train: Callable[..., RunResult]) -> None:
    with pytest.raises(RunError, match="no experiment 'cleaned_typo'; the catalog has cleaned_"):
        train("cleaned_typo")


def test_images_mapped_from_a_file_give_the_same_predictions_and_leave_nothing(
    train: Callable[..., RunResult], tmp_path: Path, features: FeatureRows
) -> None:
    held = train(NETWORK)
    mapped = train(NETWORK, memory_mib=0, runs=tmp_path / "mapped")
    pd.testing.assert_frame_equal(held.predictions, mapped.predictions)
    assert {path.name for path in mapped.folder.iterdir()} == {"fold-0-0", "fold-0-1", "fold-0-2"}
    read = train(NETWORK, features=lambda ids, kinds: select(features, ids, kinds), runs=tmp_path / "read")
    pd.testing.assert_frame_equal(held.predictions, read.predictions)


def test_images_are_made_once_for_all_folds(train: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def spy(*arguments: Any, **options: Any) -> Any:
        made.append(None)
        return hybrid_images(*arguments, **options)

    monkeypatch.setattr("cry_pipeline.features.hybrid.hybrid_images", spy)
    train(NETWORK)
    assert len(made) == 1


def test_a_model_of_metadata_trains_without_features(
    train: Callable[..., RunResult], told: tuple[Catalog, pd.DataFrame]
) -> None:
    catalog, manifest = told
    result = train("told", catalog=catalog, features=None, metadata=manifest)
    assert len(result.predictions) == 60
    with pytest.raises(TrainingDataError, match="reads gender, age_band of the manifest"):
        train("told", catalog=catalog, features=None)


def test_recordings_without_features_are_left_out_and_said(
    train: Callable[..., RunResult], folds: pd.DataFrame, features: FeatureRows, caplog: pytest.LogCaptureFixture
) -> None:
    gone, *held = features.recording_ids
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        result = train(features=select(features, held, tuple(features.arrays)), left_out={gone: "no frame", "x": "y"})
    assert f"1 recordings have no features and are left out, first {gone}: no frame" in caplog.text
    assert sorted(result.predictions["recording_id"]) == held
    assert result.reference.left_out == {gone: "no frame"}
    provenance = read_provenance(result.folder / "fold-0-0")
    assert provenance["left_out"] == {gone: "no frame"}
    assert result.digest == train(folds=folds[folds["recording_id"] != gone]).digest
    assert result.digest != train().digest


def test_a_recording_that_lacks_features_for_no_known_reason_is_named(
    train: Callable[..., RunResult], features: FeatureRows
) -> None:
    gone, *held = features.recording_ids
    with pytest.raises(TrainingDataError, match=f"1 of 60 recordings have no features, first {gone}"):
        train(features=select(features, held, tuple(features.arrays)))


class _Starts:
    """A model that notes what its network would start from."""

    def __init__(self) -> None:
        self.weights: list[StartingWeights | None] = []

    def fit(self, spec: Any, train: Rows, settings: FitSettings) -> Any:
        self.weights.append(settings.resolved.weights)
        return implementation("majority").fit(MajoritySpec(kind="majority"), train, settings)

    def restore(self, checkpoint: Checkpoint) -> Any:
        raise NotImplementedError


def test_weights_are_resolved_once_for_all_folds_and_are_in_the_digest(
    train: Callable[..., RunResult], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, model = [StartingWeights("a", Path("weights")), StartingWeights()], _Starts()
    monkeypatch.setattr("cry_pipeline.training.resolved.imagenet", lambda: found.pop(0))
    monkeypatch.setitem(MODELS, "resnet50_attention", Registered("1", lambda: model))
    monkeypatch.setattr(fold_work, "run_rows", lambda *_: nullcontext(rows_of(make_folds_frame(), CLASSES, None)))
    name = "cleaned_resnet50_attention_donor_grouped"
    experiment = catalog.experiments[REGRESSION].model_copy(update={"model": "resnet50_attention"})
    wanted = catalog.model_copy(update={"experiments": {name: experiment}})
    given, random = [train(name, catalog=wanted) for _ in range(2)]
    assert model.weights == [StartingWeights("a", Path("weights"))] * 3 + [StartingWeights()] * 3
    assert given.digest != random.digest
    assert [run.reference.machine["weights"] for run in (given, random)] == ["a", "random"]
    made_from = read_provenance(random.folder / "fold-0-0")["made_from"]
    assert made_from["inputs"]["machine"] == {"accelerator": "cpu", "precision": "32-true", "weights": "random"}
