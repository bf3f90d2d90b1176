"""What every kind of model of the registry keeps to, as scikit-learn's estimator checks do for theirs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cry_pipeline.catalog import Catalog
from cry_pipeline.catalog.models import ModelSpec
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.models import FitSettings, FittedModel
from cry_pipeline.training.registry import MODELS, implementation, load_model
from cry_pipeline_tests.guards.test_training_guards import CLASSES, rows, small
from cry_pipeline_tests.training.made_up import make_features, make_folds_frame

__all__ = ["rows"]
SETTINGS = FitSettings(seed=3)
LEARNS = ("hist_gradient_boosting", "logistic_regression", "random_forest", "svm")
"""Small as they are, these tell the made-up classes apart."""
pytestmark = pytest.mark.parametrize("kind", sorted(MODELS))


@pytest.fixture(scope="module")
def models(catalog: Catalog, rows: Rows) -> dict[str, tuple[ModelSpec, FittedModel]]:
    """Each kind's small spec, and what it is once fitted."""
    specs = {kind: small(kind, catalog) for kind in MODELS}
    return {kind: (spec, implementation(kind).fit(spec, rows, SETTINGS)) for kind, spec in specs.items()}


def test_answers_are_probabilities_of_each_recording_by_itself(kind: str, models: Any, rows: Rows) -> None:
    _, fitted = models[kind]
    unknown = rows.without_labels()
    together = fitted.predict_probabilities(unknown)
    assert together.shape == (len(rows), len(CLASSES))
    assert together.dtype == np.float64
    assert np.isfinite(together).all()
    assert (together >= 0).all()
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-9)
    backwards = fitted.predict_probabilities(unknown.take(rows.recording_ids[::-1]))
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-5)
    alone = fitted.predict_probabilities(unknown.take(rows.recording_ids[7:8]))
    np.testing.assert_allclose(alone[0], together[7], atol=1e-5)


def test_what_is_saved_answers_the_same_bits(kind: str, models: Any, rows: Rows, tmp_path: Path) -> None:
    _, fitted = models[kind]
    fitted.save(tmp_path / "model.safetensors")
    restored, classes = load_model(tmp_path / "model.safetensors")
    assert classes == CLASSES
    assert restored.recalibration == fitted.recalibration
    np.testing.assert_array_equal(restored.predict_probabilities(rows), fitted.predict_probabilities(rows))


def test_the_same_seed_gives_the_same_bits_and_any_other_is_allowed(kind: str, models: Any, rows: Rows) -> None:
    spec, fitted = models[kind]
    again = implementation(kind).fit(spec, rows, SETTINGS)
    np.testing.assert_array_equal(again.predict_probabilities(rows), fitted.predict_probabilities(rows))
    other = implementation(kind).fit(spec, rows, replace(SETTINGS, seed=2**32 - 1))
    assert np.isfinite(other.predict_probabilities(rows)).all()


def test_a_class_that_only_others_have_and_a_constant_feature_are_no_error(kind: str, models: Any, rows: Rows) -> None:
    spec, fitted = models[kind]
    one_class = rows.take([name for name, code in zip(rows.recording_ids, rows.codes, strict=True) if code == 1])
    assert fitted.predict_probabilities(one_class).shape == (len(one_class), len(CLASSES))
    assert rows.features is not None
    arrays = {name: values.copy() for name, values in rows.features.arrays.items()}
    for values in arrays.values():
        values[:, 0] = 1
    flat = replace(rows, features=replace(rows.features, arrays=arrays))
    answers = implementation(kind).fit(spec, flat, SETTINGS).predict_probabilities(flat)
    assert np.isfinite(answers).all()


def test_few_recordings_suffice(kind: str, models: Any, rows: Rows) -> None:
    few = rows.take(rows.recording_ids[:12])
    assert np.isfinite(implementation(kind).fit(models[kind][0], few, SETTINGS).predict_probabilities(rows)).all()


def test_columns_are_in_the_order_of_the_classes(kind: str, models: Any, rows: Rows) -> None:
    spec, _ = models[kind]
    features = make_features(rows.table, CLASSES)
    turned = rows_of(make_folds_frame(classes=CLASSES), CLASSES[::-1], features, rows.metadata)
    answers = implementation(kind).fit(spec, turned, SETTINGS).predict_probabilities(turned)
    right = float((answers.argmax(axis=1) == turned.codes).mean())
    assert right > 0.8 if kind in LEARNS else answers.shape == (len(rows), len(CLASSES))
