"""Baselines against formulas and scikit-learn, before and after a round trip through their files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cry_pipeline.catalog import LogisticRegressionSpec, MajoritySpec, MetadataSpec
from cry_pipeline.training.baselines import (
    LogisticRegressionOnMetadata,
    LogisticRegressionOnStatistics,
    Majority,
)
from cry_pipeline.training.checkpoints import CheckpointError
from cry_pipeline.training.datasets import Rows, TrainingDataError, rows_of
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import load_model
from cry_pipeline_tests.training.made_up import CLASSES, make_features, make_folds_frame

SPEC = LogisticRegressionSpec.model_validate({"kind": "logistic_regression", "inverse_regularisation": 0.1})


def rows(classes: tuple[str, ...] = CLASSES) -> Rows:
    folds = make_folds_frame(classes=classes)
    return rows_of(folds, classes, make_features(folds, classes))


def test_majority_answers_with_the_class_frequencies_of_training_in_class_order(tmp_path: Path) -> None:
    train = rows()
    rare = train.take(
        [i for i, label in zip(train.recording_ids, train.table["label"], strict=True) if label != "tired"]
    )
    fitted = Majority().fit(MajoritySpec(kind="majority"), rare, FitSettings())
    expected = [[0.25, 0.25, 0, 0.25, 0.25]] * 2
    np.testing.assert_allclose(fitted.predict_probabilities(train.take(train.recording_ids[:2])), expected)
    fitted.save(tmp_path / "checkpoint.safetensors")
    restored, classes = load_model(tmp_path / "checkpoint.safetensors")
    np.testing.assert_allclose(restored.predict_probabilities(train.take(train.recording_ids[:2])), expected)
    assert classes == CLASSES


@pytest.mark.parametrize("classes", [CLASSES, ("not_cry", "cry")])
def test_logistic_regression_from_its_file_equals_scikit_learn(tmp_path: Path, classes: tuple[str, ...]) -> None:
    train = rows(classes)
    LogisticRegressionOnStatistics().fit(SPEC, train, FitSettings()).save(tmp_path / "checkpoint.safetensors")
    restored, order = load_model(tmp_path / "checkpoint.safetensors")
    values = train.with_arrays(["statistics"]).arrays["statistics"].astype(np.float64)
    golden = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    expected = golden.fit(values, train.codes).predict_proba(values)
    np.testing.assert_allclose(restored.predict_probabilities(train.without_labels()), expected, rtol=1e-9)
    assert order == classes
    assert (expected.argmax(axis=1) == train.codes).mean() > 0.9


def test_unbalanced_regression_is_asked_for_by_its_spec() -> None:
    train = rows().take(rows().recording_ids[:34])
    balanced = LogisticRegressionOnStatistics().fit(SPEC, train, FitSettings())
    plain = LogisticRegressionOnStatistics().fit(SPEC.model_copy(update={"class_weight": "none"}), train, FitSettings())
    assert not np.allclose(balanced.predict_probabilities(train), plain.predict_probabilities(train))


def told(rows: Rows) -> Rows:
    """Rows with metadata: the platform tells two classes from the others, a fifth of the ages is unknown."""
    metadata = pd.DataFrame(
        {
            "recording_id": rows.recording_ids,
            "platform": np.where(rows.codes < 2, "ios", "android"),
            "age_band": pd.array([None if index % 5 == 0 else "0-4 weeks" for index in range(len(rows))], "string"),
            "sample_rate_hz": np.where(rows.codes < 2, 16_000, 8_000),
        }
    )
    return replace(rows, metadata=metadata)


@pytest.mark.parametrize("classes", [CLASSES, ("not_cry", "cry")])
def test_metadata_only_is_scikit_learns_regression_on_one_column_per_category(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    train = told(rows(classes))
    spec = MetadataSpec(kind="metadata", columns=("platform", "age_band", "sample_rate_hz"))
    LogisticRegressionOnMetadata().fit(spec, train, FitSettings()).save(tmp_path / "checkpoint.safetensors")
    restored, _ = load_model(tmp_path / "checkpoint.safetensors")
    columns = train.with_columns(spec.columns).astype("object").fillna("?").astype(str)
    golden = make_pipeline(OneHotEncoder(), LogisticRegression(class_weight="balanced", max_iter=1000))
    expected = golden.fit(columns, train.codes).predict_proba(columns)
    np.testing.assert_allclose(restored.predict_probabilities(train.without_labels()), expected, atol=2e-4)


def lasting(rows: Rows, *, missing: int = 0) -> Rows:
    """Rows whose duration tells two classes from the others, no two alike; of the first ``missing`` it is not known."""
    durations = 4.0 + 3.0 * (rows.codes < 2) + np.random.default_rng(0).normal(0, 0.5, len(rows))
    durations[:missing] = np.nan
    metadata = told(rows).metadata
    assert metadata is not None
    return replace(rows, metadata=metadata.assign(duration_s=durations))


@pytest.mark.parametrize("missing", [0, 7])
def test_a_duration_is_a_number_to_the_metadata_model_and_its_absence_is_told(tmp_path: Path, missing: int) -> None:
    train = lasting(rows(), missing=missing)
    spec = MetadataSpec(kind="metadata", columns=("platform", "duration_s"))
    LogisticRegressionOnMetadata().fit(spec, train, FitSettings()).save(tmp_path / "checkpoint.safetensors")
    restored, _ = load_model(tmp_path / "checkpoint.safetensors")
    columns = train.with_columns(spec.columns)
    numbers = StandardScaler().fit_transform(columns[["duration_s"]])  # leaves out what is missing
    seen = [np.nan_to_num(numbers), OneHotEncoder(sparse_output=False).fit_transform(columns[["platform"]])]
    if missing:
        seen.append(columns[["duration_s"]].isna().to_numpy(float))
    golden = LogisticRegression(class_weight="balanced", max_iter=1000)
    expected = golden.fit(np.column_stack(seen), train.codes).predict_proba(np.column_stack(seen))
    np.testing.assert_allclose(restored.predict_probabilities(train.without_labels()), expected, atol=2e-4)


def test_a_duration_never_heard_before_tells_what_its_neighbours_tell() -> None:
    train = lasting(rows())
    spec = MetadataSpec(kind="metadata", columns=("duration_s",))
    fitted = LogisticRegressionOnMetadata().fit(spec, train, FitSettings())
    assert train.metadata is not None
    shorter, longer = (
        fitted.predict_probabilities(replace(train, metadata=train.metadata.assign(duration_s=duration)))[0]
        for duration in (3.21, 7.89)
    )
    assert longer[:2].sum() > 0.9 > 0.1 > shorter[:2].sum()


def test_in_bins_a_number_tells_by_being_neither_large_nor_small(tmp_path: Path) -> None:
    train = told(rows(("not_cry", "cry")))
    rng = np.random.default_rng(0)
    level = np.where(train.codes == 1, rng.uniform(-35, -25, len(train)), rng.choice([-50.0, -10.0], len(train)))
    level[:3] = np.nan
    assert train.metadata is not None
    train = replace(train, metadata=train.metadata.assign(rms_dbfs=level))
    straight = MetadataSpec(kind="metadata", columns=("platform", "rms_dbfs"))
    binned = straight.model_copy(update={"bins": 4})
    LogisticRegressionOnMetadata().fit(binned, train, FitSettings()).save(tmp_path / "checkpoint.safetensors")
    restored, _ = load_model(tmp_path / "checkpoint.safetensors")
    known = np.isfinite(level)
    edges = np.unique(np.quantile(level[known], [0.25, 0.5, 0.75]))
    inside = [known & (np.digitize(level, edges, right=True) == number) for number in range(len(edges) + 1)]
    number = np.nan_to_num((level - level[known].mean()) / level[known].std())
    seen = np.column_stack([train.codes < 2, ~known, number, *inside]).astype(float)
    golden = LogisticRegression(class_weight="balanced", max_iter=1000).fit(seen, train.codes)
    found = restored.predict_probabilities(train.without_labels())
    np.testing.assert_allclose(found, golden.predict_proba(seen), atol=2e-4)
    right = (found.argmax(axis=1) == train.codes)[known]
    assert right.mean() > 0.95
    plain = LogisticRegressionOnMetadata().fit(straight, train, FitSettings()).predict_probabilities(train)
    assert (plain.argmax(axis=1) == train.codes)[known].mean() < 0.9


@pytest.mark.parametrize("durations", [np.nan, 5.0])
def test_a_duration_that_tells_nothing_is_no_error(durations: float) -> None:
    train = lasting(rows())
    assert train.metadata is not None
    train = replace(train, metadata=train.metadata.assign(duration_s=durations))
    fitted = LogisticRegressionOnMetadata().fit(
        MetadataSpec(kind="metadata", columns=("duration_s",)), train, FitSettings()
    )
    probabilities = fitted.predict_probabilities(train)
    assert np.isfinite(probabilities).all()
    assert np.ptp(probabilities, axis=0).max() < 1e-6


def test_a_category_that_training_did_not_know_is_answered_as_if_nothing_were_told() -> None:
    train = told(rows())
    assert train.metadata is not None
    fitted = LogisticRegressionOnMetadata().fit(
        MetadataSpec(kind="metadata", columns=("platform",)), train, FitSettings()
    )
    odd = replace(train, metadata=train.metadata.assign(platform="windows"))
    intercepts = fitted.checkpoint.tensors["intercepts"]
    np.testing.assert_allclose(fitted.predict_probabilities(odd)[0], softmax(intercepts))


def test_metadata_that_were_not_read_are_named() -> None:
    with pytest.raises(TrainingDataError, match="needs codec of the manifest"):
        told(rows()).with_columns(["platform", "codec"])


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        LogisticRegressionOnStatistics().fit(SPEC, rows(), FitSettings()).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_or_foreign_files_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    Majority().fit(MajoritySpec(kind="majority"), rows(), FitSettings()).save(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_model(path)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_model(tmp_path / "absent.safetensors")


def test_statistics_that_are_not_finite_are_refused_not_learned_from() -> None:
    train = rows()
    features = train.features
    assert features is not None
    features.arrays["statistics"][3, 2] = np.nan
    with pytest.raises(TrainingDataError, match="statistics values are not finite"):
        LogisticRegressionOnStatistics().fit(SPEC, replace(train, features=features), FitSettings())
