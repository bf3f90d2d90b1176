"""Copies' features: from the recording's own, consistent with each other, always the same, and recognisable."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cry_pipeline.catalog import Catalog, FeatureSetSpec
from cry_pipeline.evaluation.predictions import out_of_fold
from cry_pipeline.features.computing import FeatureTransform
from cry_pipeline.features.pooling import StatisticsPool
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.transforms import dct_matrix, mel_filters
from cry_pipeline.training.copies import GAIN_DB, with_copies
from cry_pipeline.training.run_inputs import RunFeatures
from cry_pipeline.training.runs import RunResult, TrainingSettings, train_run
from cry_pipeline_tests.training.made_up import CLASSES, run_digest
from cry_pipeline_tests.training.made_up import REGRESSION as GROUPED

KINDS = ("spectrogram", "mel", "mfcc", "statistics")
REGRESSION = "cleaned_logistic_regression_augment_then_split"


@pytest.fixture(scope="module")
def spec(catalog: Catalog) -> FeatureSetSpec:
    return catalog.feature_sets["mel64_8k"]


@pytest.fixture(scope="module")
def stored(spec: FeatureSetSpec) -> FeatureRows:
    """Features of two recordings, "a" a tone that stops, "b" noise, as the pipeline computes them."""
    time = np.arange(8000) / 8000
    tone, noise = 0.3 * np.sin(2 * np.pi * 440 * time) * (time < 0.6), np.random.default_rng(0).normal(0, 0.1, 8000)
    sounds = {"a": tone, "b": noise}
    transform, pool, rows = FeatureTransform(spec), StatisticsPool(spec), {}
    for name, samples in sounds.items():
        found = transform(torch.from_numpy(samples).float()[None], torch.tensor([8000]))
        values = {kind: array[0].numpy() for kind, array in found._asdict().items()}
        rows[name] = values | {"statistics": pool(**values)}
        rows[name] |= {kind: rows[name][kind].astype(np.float16) for kind in ("spectrogram", "mel")}
    return stack_rows(rows)


def test_recordings_stay_as_they_are_and_copies_differ_from_them_and_each_other(
    stored: FeatureRows, spec: FeatureSetSpec
) -> None:
    made = with_copies(stored, ["a", "a+1", "a+2", "b"], spec, KINDS)
    assert made.recording_ids == ("a", "a+1", "a+2", "b")
    for kind in KINDS:
        np.testing.assert_array_equal(made.of(kind, 0), stored.of(kind, 0))
        np.testing.assert_array_equal(made.of(kind, 3), stored.of(kind, 1))
        assert made.arrays[kind].dtype == stored.arrays[kind].dtype
        assert np.isfinite(made.arrays[kind]).all()
        assert (made.of(kind, 1) != made.of(kind, 0)).any()
        assert (made.of(kind, 1) != made.of(kind, 2)).any()


def test_a_copy_is_the_same_whatever_else_is_copied(stored: FeatureRows, spec: FeatureSetSpec) -> None:
    alone = with_copies(stored, ["a+2"], spec, KINDS)
    among = with_copies(stored, ["b+1", "a+2", "a+1", "b"], spec, KINDS)
    assert among.recording_ids == ("b+1", "a+2", "a+1", "b")
    for kind in KINDS:
        np.testing.assert_array_equal(alone.of(kind, 0), among.of(kind, 1))


def test_mel_mfcc_and_statistics_of_a_copy_follow_from_its_spectrogram(
    stored: FeatureRows, spec: FeatureSetSpec
) -> None:
    import librosa

    made = with_copies(stored, ["b+1"], spec, KINDS)
    power = librosa.db_to_power(made.of("spectrogram", 0).astype(np.float64))
    filters = librosa.filters.mel(sr=8000, n_fft=256, n_mels=spec.mels, fmin=spec.fmin_hz, fmax=spec.fmax_hz)
    mel = librosa.power_to_db(power @ filters.T, amin=1e-10, top_db=None)
    np.testing.assert_allclose(made.of("mel", 0), mel, atol=0.1)  # both are rounded to float16
    mfcc = librosa.feature.mfcc(S=mel.T, n_mfcc=spec.mfcc).T
    np.testing.assert_allclose(made.of("mfcc", 0), mfcc, atol=0.3)
    pooled = StatisticsPool(spec)(*(made.of(kind, 0).astype(np.float32) for kind in ("spectrogram", "mel", "mfcc")))
    np.testing.assert_allclose(made.of("statistics", 0), pooled, rtol=0.02, atol=0.5)


def test_a_copy_is_its_recording_at_another_level_begun_elsewhere(stored: FeatureRows, spec: FeatureSetSpec) -> None:
    made = with_copies(stored, [f"b+{number}" for number in range(1, 9)], spec, ("spectrogram",))
    own, gains = stored.of("spectrogram", 1).astype(np.float32), []
    for index in range(len(made)):
        copy = made.of("spectrogram", index).astype(np.float32)
        fits = [np.corrcoef(np.roll(own, shift, axis=0).ravel(), copy.ravel())[0, 1] for shift in range(len(own))]
        assert max(fits) > 0.95
        assert np.sort(fits)[-2] < 0.5
        gains.append(np.median(copy - np.roll(own, int(np.argmax(fits)), axis=0)))
    assert max(np.abs(gains)) < GAIN_DB + 0.5
    assert np.ptp(gains) > GAIN_DB / 2


@pytest.fixture
def augmented(folds: pd.DataFrame) -> pd.DataFrame:
    """The folds with one copy of each recording, which the next fold tests."""
    copies = folds.assign(recording_id=folds["recording_id"] + "+1", fold=(folds["fold"] + 1) % 3)
    return pd.concat([folds, copies], ignore_index=True)


@pytest.fixture
def train(catalog: Catalog, folds: pd.DataFrame, tmp_path: Path) -> Callable[..., RunResult]:
    """Return a function that trains on folds of made-up spectrograms without any class to be told apart."""
    rng, values = np.random.default_rng(0), {}
    spec = catalog.feature_sets["mel64_8k"]
    pool, filters, cosines = StatisticsPool(spec), mel_filters(spec).numpy(), dct_matrix(spec.mels, spec.mfcc).numpy()
    for name in sorted(folds["recording_id"]):
        power = rng.exponential(1e-6, (50, 129)) * 10 ** rng.normal(0, 1, 129)
        spectrogram = (10 * np.log10(power)).astype(np.float32)
        mel = 10 * np.log10(np.maximum(10 ** (spectrogram / 10) @ filters, 1e-10))
        statistics = pool(spectrogram, mel, mel @ cosines)
        values[name] = {"spectrogram": spectrogram.astype(np.float16), "statistics": statistics}
    features = stack_rows(values)
    # Weakly regularised: a model that can learn by heart.
    regression = catalog.models["logistic_regression"].model_copy(update={"inverse_regularisation": 10.0})
    network = catalog.models["lfeb_attention_lstm"].model_copy(update={"planes": ("spectrogram",)})
    models = {**catalog.models, "logistic_regression": regression, "lfeb_attention_lstm": network}
    catalog = catalog.model_copy(update={"models": models})

    def run(rows: pd.DataFrame, name: str = REGRESSION) -> RunResult:
        settings = TrainingSettings(accelerator="cpu")
        runs = tmp_path / "runs"
        return train_run(name, catalog, rows, RunFeatures("f", features), runs=runs, settings=settings)

    return run


def test_a_run_trains_on_copies_of_what_it_tests_and_recognises_them(
    train: Callable[[pd.DataFrame], RunResult], folds: pd.DataFrame, augmented: pd.DataFrame
) -> None:
    def accuracy(rows: pd.DataFrame) -> float:
        found = out_of_fold(train(rows).predictions, rows, CLASSES)
        return float((found.probabilities[0].argmax(axis=1) == found.labels).mean())

    assert accuracy(folds) < 0.45
    assert accuracy(augmented) > 0.8


def test_the_recipe_of_copies_is_in_the_digest(
    catalog: Catalog, folds: pd.DataFrame, augmented: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = [catalog.experiments[name] for name in (GROUPED, REGRESSION)]
    given = list(zip(experiments, (folds, augmented), strict=True))
    before = [run_digest(experiment, catalog, rows, "f") for experiment, rows in given]
    monkeypatch.setattr("cry_pipeline.training.run_keys.COPIES_REVISION", 99)
    after = [run_digest(experiment, catalog, rows, "f") for experiment, rows in given]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_rows_that_no_fold_tests_are_trained_on_and_have_no_prediction(
    train: Callable[[pd.DataFrame], RunResult], folds: pd.DataFrame
) -> None:
    rows = folds.assign(fold=np.where(folds["fold"] == 2, 0, -1))
    result = train(rows)
    assert result.computed == 1
    assert sorted(result.predictions["recording_id"]) == sorted(rows.loc[rows["fold"] == 0, "recording_id"])
    found = out_of_fold(result.predictions, rows, CLASSES)
    assert found.folds.tolist() == [[0] * 20]


def test_a_network_trains_on_copies_as_long_as_their_recordings(
    train: Callable[..., RunResult], augmented: pd.DataFrame
) -> None:
    predictions = train(augmented, "cleaned_lfeb_attention_lstm_donor_grouped").predictions
    assert sorted(predictions["recording_id"]) == sorted(augmented["recording_id"])
