"""One fold: it never sees its test rows, and what is kept of it is what it was."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.fold_training import fold_seed
from cry_pipeline.training.registry import load_model
from cry_pipeline.training.runs import RunError, RunResult
from cry_pipeline.training.value_models import FittedValues
from cry_pipeline_tests.training.made_up import CLASSES, MAJORITY, NETWORK, REGRESSION

INTERCEPTS = [f"intercept_{label}" for label in CLASSES]


@pytest.mark.parametrize("name", [REGRESSION, NETWORK])
def test_features_and_labels_of_test_rows_do_not_reach_the_fold_that_tests_them(
    name: str,
    train: Callable[..., RunResult],
    folds: pd.DataFrame,
    changed: Callable[[list[str]], FeatureRows],
    tmp_path: Path,
) -> None:
    tested = folds["fold"] == 0
    other = folds.copy()
    other.loc[tested, "label"] = folds.loc[tested, "label"].to_numpy()[::-1]
    assert (other["label"] != folds["label"]).any()
    usual = train(name)
    odd = train(name, folds=other, features=changed(folds["recording_id"][tested].tolist()), runs=tmp_path / "odd")
    models = [
        [(r.folder / f / "checkpoint.safetensors").read_bytes() for r in (usual, odd)] for f in ("fold-0-0", "fold-0-1")
    ]
    assert models[0][0] == models[0][1]
    # The other folds train on these rows: the change was not too small to matter.
    assert models[1][0] != models[1][1]
    histories = [pd.read_csv(result.folder / "fold-0-0" / "history.csv") for result in (usual, odd)]
    pd.testing.assert_frame_equal(*(history.drop(columns="seconds") for history in histories))  # pyright: ignore


def test_a_model_is_not_shown_the_labels_it_is_tested_on(
    train: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, shown = FittedValues.predict_probabilities, set()

    def spy(self: FittedValues, rows: Rows) -> np.ndarray:
        shown.update(rows.table.columns)
        return answer(self, rows)

    monkeypatch.setattr(FittedValues, "predict_probabilities", spy)
    train(MAJORITY)
    assert shown == {"recording_id", "donor"}


@pytest.mark.parametrize("name", [MAJORITY, REGRESSION, NETWORK])
def test_predictions_can_be_computed_again_from_the_checkpoint_alone(
    name: str, train: Callable[..., RunResult], folds: pd.DataFrame, features: FeatureRows
) -> None:
    result = train(name)
    model, classes = load_model(result.folder / "fold-0-2" / "checkpoint.safetensors")
    kept = result.predictions[result.predictions["fold"] == 2]
    rows = rows_of(folds, CLASSES, features).take(kept["recording_id"].tolist()).without_labels()
    found = model.predict_probabilities(rows)
    np.testing.assert_allclose(found, kept[[f"p_{label}" for label in classes]].to_numpy(), atol=1e-7)


def test_provenance_says_what_the_fold_was_made_from(train: Callable[..., RunResult]) -> None:
    result = train(NETWORK, feature_parts=["part-a", "part-b"])
    provenance = json.loads((result.folder / "fold-0-1" / "provenance.json").read_text())
    assert provenance["digest"] == result.digest
    assert provenance["made_from"]["inputs"]["features"] == "f"
    assert provenance["made_from"]["spec"]["model"]["kind"] == "lfeb_attention_lstm"
    assert provenance["feature_parts"] == ["part-a", "part-b"]
    assert provenance["seed"] == fold_seed(0, 0, 1)
    assert provenance["train"] == {"recordings": 40, "donors": 20}
    assert provenance["test"] == {"recordings": 20, "donors": 10}
    assert provenance["fitted"]["device"] == "cpu"
    assert "torch" in provenance["environment"]["libraries"]


@pytest.mark.parametrize("answer", [np.full((20, 5), 0.3), np.full((20, 5), np.nan), np.full((19, 5), 0.2)])
def test_answers_that_are_no_probabilities_are_not_kept(
    answer: np.ndarray, train: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cry_pipeline.training.value_models.FittedValues.predict_probabilities", lambda *_: answer)
    with pytest.raises(RunError, match="the fold is not kept"):
        train()
    assert not list(tmp_path.rglob("fold-*"))


def test_each_fold_is_calibrated_by_its_own_training_rows(
    train: Callable[..., RunResult], folds: pd.DataFrame, features: FeatureRows
) -> None:
    # Less sure than what was made up.
    features.arrays["statistics"] += np.random.default_rng(1).normal(0, 3, features.arrays["statistics"].shape)
    for name in (REGRESSION, NETWORK):
        result = train(name)
        told = result.predictions[["fold", "slope", *INTERCEPTS]].drop_duplicates()
        assert sorted(told["fold"]) == [0, 1, 2]
        assert told["slope"].is_unique
        for fold, *calibration in told.itertuples(index=False):
            folder = result.folder / f"fold-0-{fold}"
            provenance = json.loads((folder / "provenance.json").read_text())
            assert [provenance["fitted"][name] for name in ("slope", *INTERCEPTS)] == calibration
            slope, intercepts = load_model(folder / "checkpoint.safetensors")[0].recalibration
            assert [slope, *intercepts] == calibration
    assert (train(MAJORITY).predictions[["slope", *INTERCEPTS]].drop_duplicates().to_numpy() == [1, *[0] * 5]).all()


def test_learning_curves_are_written_when_asked_for(train: Callable[..., RunResult]) -> None:
    result = train(NETWORK, tensorboard=True)
    curves = sorted((result.folder / "tensorboard").iterdir())
    assert [folder.name for folder in curves] == ["fold-0-0", "fold-0-1", "fold-0-2"]
    accumulator = EventAccumulator(str(curves[1]))
    accumulator.Reload()
    written = [event.value for event in accumulator.Scalars("validation_loss")]
    history = pd.read_csv(result.folder / "fold-0-1" / "history.csv")
    np.testing.assert_allclose(written, history["validation_loss"], rtol=1e-6)
