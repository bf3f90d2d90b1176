"""Golden guards of folds and models: code that gives other values needs another key.

Each line was written down under the revision beside it. Where one differs, either the change was meant: raise that
revision and write the new line down; or it was not: mend the code. Where a library's new minor version gives other
values, the key has it: write the new line down. Probabilities are compared to 0.002, which no CPU's rounding reaches.
"""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cry_pipeline import keys
from cry_pipeline.catalog import AugmentationSpec, Catalog, ProtocolSpec, load_catalog
from cry_pipeline.catalog.models import EnsembleSpec, ModelSpec
from cry_pipeline.folds.splitting import inner_split, make_folds
from cry_pipeline.training.copies import with_copies
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.fold_training import fold_seed
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import COPIES_REVISION, MODELS, implementation, revision_of
from cry_pipeline_tests.training.made_up import make_features, make_folds_frame

CLASSES = ("not_cry", "cry")
SAID = "values changed: raise the revision and write the new values down, or mend the code"
SMALL: dict[str, dict[str, Any]] = {
    "lfeb_attention_lstm": {
        "bins": 16, "channels": (4, 4, 4, 4), "heads": 2, "lstm_units": 4, "epochs": 2, "batch_size": 16, "patience": 2,
        "augmentation": AugmentationSpec(roll=1, gain_db=1, noise=0.1, row_masks=1, column_masks=1, mixup=0.2),
    },
    "resnet50_attention": {"bins": 16, "units": 8, "heads": 2, "epochs": 1, "batch_size": 16, "weights": "random"},
    "random_forest": {"trees": 10},
    "hist_gradient_boosting": {"iterations": 5, "min_samples_leaf": 5},
}  # fmt: skip
NAMES = {"metadata": "metadata_only", "ensemble": "lfeb_and_svm_covariance"}
"""What a kind's guarded entry of the catalog is called, where not as the kind."""

MODELS_SAID: dict[str, tuple[str, list[float]]] = {
    "ensemble": (
        "ensemble-2 trainer-3-network-3 values-2-SupportVectorMachine-1",
        [0.56593, 0.55199, 0.53325, 0.5544, 0.56138, 0.95405, -0.23306],
    ),
    "hist_gradient_boosting": (
        "values-2-GradientBoosting-1",
        [0.48924, 0.49026, 0.55984, 0.53292, 0.41073, 20.0, 0.03053],
    ),
    "lfeb_attention_lstm": (
        "trainer-3-network-3",
        [0.39716, 0.39694, 0.39692, 0.39679, 0.39702, 0.97987, 0.38623, 0.71842, 0.71531, 0.71375, 0.71498],
    ),
    "logistic_regression": (
        "values-2-LogisticRegressionOnStatistics-1",
        [0.43971, 0.4758, 0.60014, 0.53104, 0.37748, 20.0, 0.30719],
    ),
    "majority": ("values-2-Majority-1", [0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 0.0]),
    "metadata": (
        "values-2-LogisticRegressionOnMetadata-2",
        [0.09434, 0.09434, 0.90566, 0.90566, 0.09434, 2.82775, 0.0],
    ),
    "random_forest": ("values-2-RandomForest-1", [0.03333, 0.03333, 1.0, 0.63333, 0.05, 3.25183, -1.19726]),
    "resnet50_attention": (
        "trainer-3-network-1",
        [0.21726, 0.22183, 0.21787, 0.22088, 0.22335, 0.92547, 1.08443, 0.84442, 0.86468],
    ),
    "svm": ("values-2-SupportVectorMachine-1", [0.22897, 0.38855, 0.75568, 0.64205, 0.18763, 6.5733, -0.48438]),
}
"""Revision, five probabilities, slope and intercept, and of networks each epoch's losses."""
FOLDS_SAID = {
    "donor_grouped": (1, "c54fb7a5fb95aaf3"),
    "donor_hashed": (1, "a6c9ca89e5463595"),
    "clip_stratified": (1, "166b989f1abdab5b"),
    "augment_then_split": (1, "73a57452aa65f3bb"),
    "temporal": (1, "08ce75de865c18c2"),
}
"""The stage's revision, and the start of the sha256 of the folds."""
RUN_SAID = (3, "275f541f62c4578a")
COPY_SAID = [-50.0119, 11.9758, -65.5, -51.0938, -65.625]


def small(kind: str, catalog: Catalog) -> ModelSpec:
    """Return a model of ``kind`` that is fitted in a moment."""
    spec = catalog.models[NAMES.get(kind, kind)]
    if isinstance(spec, EnsembleSpec):
        members = tuple(own.model_copy(update=SMALL.get(own.kind_name, {})) for own in spec.specs[1:3])
        covariance = members[0].model_copy(update={"covariance_bands": 0})
        return spec.model_copy(update={"members": ("a", "b"), "specs": (covariance, members[1])})
    return spec.model_copy(update=SMALL.get(kind, {}))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def rows() -> Rows:
    """60 recordings of 30 donors, with features and metadata."""
    folds = make_folds_frame(classes=CLASSES)
    number = np.arange(len(folds))
    metadata = pd.DataFrame(
        {
            "recording_id": folds["recording_id"],
            "gender": np.where(number % 3 == 0, "male", "female"),
            "age_band": np.where(number % 4 < 2, "0-4 weeks", "4-8 weeks"),
        }
    )
    return rows_of(folds, CLASSES, make_features(folds, CLASSES), metadata)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_model_answers_as_its_revision_did(kind: str, rows: Rows, catalog: Catalog) -> None:
    spec = small(kind, catalog)
    train, test = rows.take(rows.recording_ids[:48]), rows.take(rows.recording_ids[48:]).without_labels()
    fitted = implementation(kind).fit(spec, train, FitSettings(seed=3))
    revision, expected = MODELS_SAID[kind]
    assert revision_of(spec) == revision, f"{kind}: write its values down under this revision"
    losses = [loss for epoch in fitted.history for loss in (epoch.train_loss, epoch.validation_loss)]
    found = [
        *fitted.predict_probabilities(test)[:5, 1],
        fitted.recalibration.slope,
        *fitted.recalibration.intercepts[1:],
        *losses,
    ]
    np.testing.assert_allclose(found, expected, rtol=0.002, atol=0.002, err_msg=f"{kind}: {SAID}")


@pytest.mark.parametrize("kind", FOLDS_SAID)
def test_folds_are_those_of_their_revision(kind: str) -> None:
    frame = make_folds_frame(120)[["recording_id", "donor", "label"]]
    frame["recorded_at"] = pd.date_range("2015-05-01", periods=len(frame), freq="h", tz="UTC")
    more: dict[str, Any] = {
        "augment_then_split": {"copies": 1},
        "temporal": {"folds": 1, "quantile": 0.6},
    }.get(kind, {})
    folds = make_folds(frame, ProtocolSpec(kind=kind, **{"folds": 4, "seed": 1} | more))  # pyright: ignore[reportArgumentType]
    text = folds.to_csv(index=False, lineterminator="\n")
    assert (keys.STAGES["folds"].revision, _start(text.encode())) == FOLDS_SAID[kind], f"{kind}: {SAID}"


def test_copies_are_those_of_their_revision() -> None:
    folds = make_folds_frame(10, classes=CLASSES)
    spec = load_catalog().feature_sets["mel64_8k"].model_copy(update={"n_fft": 64, "window_samples": 64, "mels": 8})
    copied = with_copies(make_features(folds, CLASSES), [f"{folds['recording_id'][3]}+2"], spec, ["spectrogram"])
    found = copied.arrays["spectrogram"].astype(np.float64)
    assert COPIES_REVISION == 1, "write the values down under this revision"
    np.testing.assert_allclose([found.mean(), found.std(), *found[5, :3]], COPY_SAID, atol=0.05, err_msg=SAID)


def test_what_a_fold_is_seeded_with_and_which_rows_it_fits_are_those_of_the_revision() -> None:
    frame = make_folds_frame()
    fit, _ = inner_split(frame, fold_seed(0, 1, 2))
    said = f"{[fold_seed(7, repeat, fold) for repeat in range(2) for fold in range(2)]} {fit}"
    assert (keys.RUN_REVISION, _start(said.encode())) == RUN_SAID, SAID


def test_every_kind_of_model_and_every_stage_here_has_a_guard() -> None:
    assert set(MODELS_SAID) == set(MODELS)
    assert {keys.STAGES[stage].revision for stage in ("run_values", "run_network", "run_ensemble")} == {RUN_SAID[0]}


def _start(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
