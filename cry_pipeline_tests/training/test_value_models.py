"""Trees and kernels as plain arrays against scikit-learn, and what all models on one row of values share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import logm
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cry_pipeline.catalog import GradientBoostingSpec, MajoritySpec, RandomForestSpec, SvmSpec
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.keys import minor_version
from cry_pipeline.training.baselines import Majority
from cry_pipeline.training.calibration import Recalibration, fit_recalibration
from cry_pipeline.training.covariances import log_covariances
from cry_pipeline.training.datasets import Rows, TrainingDataError, rows_of
from cry_pipeline.training.forests import TRIED, GradientBoosting, RandomForest
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import load_model
from cry_pipeline.training.svm import SupportVectorMachine
from cry_pipeline.training.value_models import ValueModel, inner_folds
from cry_pipeline_tests.training.made_up import CLASSES, make_features, make_folds_frame

TWO = ("not_cry", "cry")
SETTINGS = FitSettings(seed=5)
FOREST = RandomForestSpec(kind="random_forest", trees=12)
BOOSTING = GradientBoostingSpec(kind="hist_gradient_boosting", iterations=8, min_samples_leaf=3)
MACHINE = SvmSpec(kind="svm")


def rows(classes: tuple[str, ...] = CLASSES) -> Rows:
    folds = make_folds_frame(recordings=90, classes=classes)
    features = make_features(folds, classes)
    # Weaker than what is planted, so that answers are not all sure.
    features.arrays["statistics"][:] = features.arrays["statistics"] / 4 + np.random.default_rng(1).normal(
        0, 1, features.arrays["statistics"].shape
    )
    return rows_of(folds, classes, features)


def after_a_round_trip(model: ValueModel[Any], spec: Any, train: Rows, folder: Path) -> np.ndarray:
    model.fit(spec, train, SETTINGS).save(folder / "checkpoint.safetensors")
    restored, classes = load_model(folder / "checkpoint.safetensors")
    assert classes == train.classes
    return restored.predict_probabilities(train.without_labels())


def values_of(train: Rows) -> np.ndarray:
    return train.with_arrays(["statistics"]).arrays["statistics"].astype(np.float64)


@pytest.mark.parametrize("classes", [CLASSES, TWO])
@pytest.mark.parametrize(("splits", "grower"), [("best", RandomForestClassifier), ("random", ExtraTreesClassifier)])
def test_forests_from_their_file_equal_scikit_learn(
    tmp_path: Path, classes: tuple[str, ...], splits: str, grower: Any
) -> None:
    train = rows(classes)
    golden = grower(12, min_samples_leaf=2, max_features="sqrt", class_weight="balanced", random_state=5)
    expected = golden.fit(values_of(train), train.codes).predict_proba(values_of(train))
    spec = FOREST.model_copy(update={"splits": splits})
    np.testing.assert_allclose(after_a_round_trip(RandomForest(), spec, train, tmp_path), expected, atol=1e-12)
    assert (expected.max(axis=1) < 1).any()


@pytest.mark.parametrize("classes", [CLASSES, TWO])
def test_gradient_boosting_from_its_file_equals_scikit_learn(tmp_path: Path, classes: tuple[str, ...]) -> None:
    train = rows(classes)
    golden = HistGradientBoostingClassifier(
        max_iter=8,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=3,
        l2_regularization=1.0,
        max_features=0.2,
        class_weight="balanced",
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=5,
    ).fit(values_of(train), train.codes)
    expected = golden.predict_proba(values_of(train))
    np.testing.assert_allclose(after_a_round_trip(GradientBoosting(), BOOSTING, train, tmp_path), expected, atol=1e-12)


def test_a_scikit_learn_that_keeps_its_trees_elsewhere_is_named_with_those_that_were_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = HistGradientBoostingClassifier.fit

    def fit_and_hide(self: HistGradientBoostingClassifier, *arguments: Any) -> HistGradientBoostingClassifier:
        fit(self, *arguments)
        del self._predictors
        return self

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", fit_and_hide)
    with pytest.raises(TrainingDataError, match=r"_predictors.*install one of 1\.8, 1\.9"):
        GradientBoosting().fit(BOOSTING, rows(), SETTINGS)


def test_private_attributes_are_read_of_versions_that_were_tried() -> None:
    """Whoever takes a newer scikit-learn looks whether the two tests above hold, and adds it."""
    assert minor_version("scikit-learn") in TRIED


@pytest.mark.parametrize("classes", [CLASSES, TWO])
def test_support_vector_machines_from_their_file_decide_as_scikit_learns(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    train = rows(classes)
    values = StandardScaler().fit_transform(values_of(train))
    decisions = []
    for code in range(len(classes)) if len(classes) > 2 else [1]:
        machine = SVC(C=3, gamma=1 / (3 * values.shape[1]), class_weight="balanced")  # pyright: ignore
        decisions.append(machine.fit(values, train.codes == code).decision_function(values))
    if len(decisions) == 1:
        decisions.insert(0, np.zeros(len(values)))
    found = after_a_round_trip(SupportVectorMachine(), MACHINE, train, tmp_path)
    np.testing.assert_allclose(found, softmax(np.stack(decisions, axis=1), axis=1), atol=2e-3)


def test_log_covariances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    mel = (rng.normal(0, 6, (70, 16)) @ rng.normal(0, 0.4, (16, 16))).astype(np.float16)
    two = FeatureRows(("a", "b"), np.array([0, 40, 70]), {"mel": mel})
    found = log_covariances(two, bands=4, change_frames=3, ridge=2.0)
    levels = mel[40:].astype(float).reshape(30, 4, 4).mean(axis=2)
    change = np.vstack([np.zeros((3, 4)), levels[6:] - levels[:-6], np.zeros((3, 4))])
    matrix = np.asarray(logm(np.cov(np.hstack([levels, change]).T, bias=True) + 2 * np.eye(8)))
    upper = np.triu_indices(8)
    np.testing.assert_allclose(found[1], np.where(upper[0] == upper[1], 1, 2**0.5) * matrix[upper], atol=1e-8)
    assert log_covariances(two, 4, 0, 2.0).shape == (2, 10)


def test_louder_recordings_have_the_same_covariance() -> None:
    mel = np.random.default_rng(0).normal(-50, 6, (40, 16))
    both = FeatureRows(("a", "b"), np.array([0, 40, 80]), {"mel": np.concatenate([mel, mel + 10])})
    quiet, loud = log_covariances(both, 8, 2, 4.0)
    np.testing.assert_allclose(quiet, loud, atol=1e-9)


def test_what_was_held_out_was_answered_by_a_fit_without_its_donor() -> None:
    train = rows()
    fitted = RandomForest().fit(FOREST, train, SETTINGS)
    held = fitted.held_out
    assert held is not None
    assert sorted(held.recording_ids) == train.recording_ids
    donors = train.table["donor"].to_numpy(str)
    folds = list(inner_folds(train.codes, donors, len(CLASSES), SETTINGS.seed))
    for fit, kept in folds:
        assert not set(donors[fit]) & set(donors[kept])
    fit, kept = folds[0]
    alone = RandomForest().fit(FOREST, train.take([train.recording_ids[row] for row in fit]), SETTINGS)
    kept_ids = [train.recording_ids[row] for row in kept]
    expected = alone.predict_probabilities(train.take(kept_ids))
    where = [held.recording_ids.index(name) for name in kept_ids]
    np.testing.assert_allclose(held.probabilities[where], expected)
    assert fitted.recalibration == fit_recalibration(held.probabilities, held.codes)


def test_constant_answers_need_no_calibration() -> None:
    fitted = Majority().fit(MajoritySpec(kind="majority"), rows(), SETTINGS)
    assert (fitted.recalibration, fitted.held_out) == (Recalibration.none(len(CLASSES)), None)


def test_a_class_of_one_donor_costs_an_inner_fold_and_not_the_fit() -> None:
    train = rows()
    rare = train.table["donor"].where(train.table["label"] == "burping").dropna().iloc[0]
    keep = train.table[(train.table["label"] != "burping") | (train.table["donor"] == rare)]
    train = train.take(keep["recording_id"].tolist())
    held = RandomForest().fit(FOREST, train, SETTINGS).held_out
    assert held is not None
    assert 0 < len(held.recording_ids) < len(train)


def test_one_donor_leaves_nothing_to_hold_out() -> None:
    train = rows(TWO)
    train = replace(train, table=train.table.assign(donor="one"))
    fitted = RandomForest().fit(FOREST, train, SETTINGS)
    assert (fitted.held_out, fitted.recalibration) == (None, Recalibration.none(2))
