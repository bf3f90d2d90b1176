"""Models fitted anew in memory: the answers are those of a run's models on the same rows."""

from typing import Any

import numpy as np
import pytest

from cry_pipeline.catalog import MajoritySpec, RandomForestSpec, SvmSpec, load_catalog
from cry_pipeline.catalog.models import LogisticRegressionSpec
from cry_pipeline.evaluation.refitting import is_cheap, refit
from cry_pipeline.folds.words import TRAIN_ONLY
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.fold_training import fold_seed
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import implementation
from cry_pipeline_tests.training.made_up import CLASSES, make_features, make_folds_frame

SPECS = [
    LogisticRegressionSpec(kind="logistic_regression"),
    RandomForestSpec(kind="random_forest", trees=5),
    MajoritySpec(kind="majority"),
    SvmSpec(kind="svm"),
    SvmSpec(kind="svm", class_weight="none", penalty=0.5, width=1.0),
]


def rows(classes: tuple[str, ...]) -> Rows:
    folds = make_folds_frame(recordings=90, classes=classes)
    features = make_features(folds, classes)
    noise = np.random.default_rng(1).normal(0, 1, features.arrays["statistics"].shape)
    features.arrays["statistics"][:] = features.arrays["statistics"] / 4 + noise
    features.arrays["statistics"][:, 0] = 7.0  # says nothing, and has no spread to be divided by
    return rows_of(folds, classes, features)


@pytest.mark.parametrize("classes", [CLASSES, ("not_cry", "cry")], ids=["reasons", "cry"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_answers_are_those_of_a_run(spec: Any, classes: tuple[str, ...]) -> None:
    of = rows(classes)
    model: Any = implementation(spec.kind)
    folds = np.stack([np.arange(len(of)) % 3, np.arange(len(of)) // 2 % 4])
    found = refit(spec, model.values(spec, of), of.codes, folds, classes=len(classes), seed=4)
    ids = np.array(of.recording_ids)
    for repeat, fold in [(0, 2), (1, 3)]:
        test = folds[repeat] == fold
        settings = FitSettings(seed=fold_seed(4, repeat, fold))
        fitted = model.fit(spec, of.take(ids[~test].tolist()), settings)
        expected = fitted.predict_probabilities(of.take(ids[test].tolist()).without_labels())
        np.testing.assert_allclose(found[repeat, test], expected, atol=1e-3 if spec.kind == "svm" else 1e-12)
        assert np.ptp(expected, axis=0).max() > 0.05 or spec.kind == "majority"


def test_what_is_not_to_be_learned_from_is_not_and_what_no_fold_tests_has_no_answer() -> None:
    of = rows(CLASSES)
    spec = LogisticRegressionSpec(kind="logistic_regression")
    values = of.with_arrays(["statistics"]).arrays["statistics"].astype(np.float64)
    folds = np.where(np.arange(len(of)) < 10, TRAIN_ONLY, np.arange(len(of)) % 3)[None]
    learned = np.arange(len(of)) % 4 > 0
    found = refit(spec, values, of.codes, folds, classes=len(CLASSES), learned=learned)
    spoilt = np.where(learned, of.codes, (of.codes + 1) % len(CLASSES))
    np.testing.assert_array_equal(found, refit(spec, values, spoilt, folds, classes=len(CLASSES), learned=learned))
    assert not np.array_equal(found, refit(spec, values, of.codes, folds, classes=len(CLASSES)), equal_nan=True)
    np.testing.assert_array_equal(np.isnan(found[0]).all(axis=1), folds[0] == TRAIN_ONLY)


def test_cheap_are_the_models_that_listen_and_take_a_fraction_of_a_second() -> None:
    cheap = {name for name, spec in load_catalog().models.items() if is_cheap(spec)}
    assert {"logistic_regression", "svm", "svm_covariance"} <= cheap
    assert cheap.isdisjoint({"metadata_only", "random_forest", "hist_gradient_boosting", "lfeb_mel", "majority"})
