"""Fitting a network: who is learned from, when it stops, and that it is the same every time."""

import logging
import os
import signal
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cry_pipeline.catalog import AugmentationSpec, LfebAttentionLstmSpec
from cry_pipeline.features.hybrid import RowStandardiser
from cry_pipeline.folds.splitting import inner_split
from cry_pipeline.training import trainer as trainer_module
from cry_pipeline.training.augmentation import Augmentation
from cry_pipeline.training.classifier import Classifier
from cry_pipeline.training.datasets import Rows, TrainingDataError
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm
from cry_pipeline.training.resolved import Resolved
from cry_pipeline.training.run_images import images_of
from cry_pipeline.training.trainer import FittedNetwork, NetworkModel, TrainingError
from cry_pipeline_tests.training.made_up import CLASSES

SETTINGS = FitSettings(seed=3)
MODEL = NetworkModel(LfebAttentionLstm, LfebAttentionLstmSpec)


def _standardised(standardiser: RowStandardiser, rows: Rows, spec: LfebAttentionLstmSpec) -> torch.Tensor:
    images = images_of(rows, spec)
    return standardiser.apply(images.images, images.lengths)


def _weights(fitted: FittedNetwork) -> dict[str, torch.Tensor]:
    return fitted.network.state_dict()


def test_the_same_seed_gives_equal_bits_and_another_seed_does_not(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    torch.manual_seed(1)
    first = MODEL.fit(spec, rows, SETTINGS).predict_probabilities(rows)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, MODEL.fit(spec, rows, SETTINGS).predict_probabilities(rows))
    other = MODEL.fit(spec, rows, FitSettings(seed=4)).predict_probabilities(rows)
    assert np.abs(first - other).max() > 1e-3


def test_fitting_leaves_the_callers_random_numbers_and_threads_alone(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    MODEL.fit(spec, rows, SETTINGS)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


def test_a_planted_difference_between_classes_is_learned(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    longer = spec.model_copy(update={"epochs": 20, "patience": 20, "learning_rate": 1e-2, "dropout": 0.0})
    fitted = MODEL.fit(longer, rows, SETTINGS)
    rates = [epoch.learning_rate for epoch in fitted.history]
    assert rates[-1] < longer.learning_rate / 100 < longer.learning_rate / 2 < max(rates)
    _, unseen = inner_split(rows.table, SETTINGS.seed)
    validation = rows.take(unseen)
    assert (fitted.predict_probabilities(validation).argmax(axis=1) == validation.codes).mean() > 0.8


def test_only_the_inner_fit_part_is_learned_from_and_standardised_by(
    rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: dict[str, Any] = {}

    def spy(trainer: Any, classifier: Classifier, fit: Any, validation: Any) -> None:
        batches.update(fit=fit, validation=validation)
        assert trainer.gradient_clip_val == spec.gradient_norm
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer_module.pl.Trainer, "fit", spy)
    with pytest.raises(KeyboardInterrupt):
        MODEL.fit(spec, rows, SETTINGS)
    fit, validation = (rows.take(ids) for ids in inner_split(rows.table, SETTINGS.seed))
    assert not set(fit.table["donor"]) & set(validation.table["donor"])
    standardiser = RowStandardiser.fit(images_of(fit, spec).images, images_of(fit, spec).lengths)
    for name, part in (("fit", fit), ("validation", validation)):
        torch.testing.assert_close(batches[name].images, _standardised(standardiser, part, spec))
        assert batches[name].labels.tolist() == part.codes.tolist()
    assert batches["fit"].generator.initial_seed() == SETTINGS.seed
    assert batches["validation"].generator is None


def test_weights_are_those_of_the_best_epoch_not_of_the_last(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    # Labels that have nothing to do with the features are learned by heart, at the cost of validation.
    labels = np.random.default_rng(0).permutation(rows.table["label"].to_numpy(copy=True))
    rows = replace(rows, table=rows.table.assign(label=labels))
    hasty = spec.model_copy(update={"epochs": 12, "patience": 12, "learning_rate": 2e-2, "dropout": 0.0})
    fitted = MODEL.fit(hasty, rows, SETTINGS)
    losses = [epoch.validation_loss for epoch in fitted.history]
    assert fitted.notes["best_epoch"] == int(np.argmin(losses)) < len(losses) - 1
    fit, validation = (rows.take(ids) for ids in inner_split(rows.table, SETTINGS.seed))
    weights = trainer_module.class_weights(torch.from_numpy(fit.codes), len(CLASSES), "balanced").numpy()
    chosen = fitted.predict_probabilities(validation)[np.arange(len(validation)), validation.codes]
    assert float(np.mean(-np.log(chosen) * weights[validation.codes])) == pytest.approx(min(losses), rel=1e-4)


def test_training_stops_when_the_validation_loss_no_longer_falls(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    useless = spec.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.2})
    fitted = MODEL.fit(useless, rows, SETTINGS)
    assert len(fitted.history) == fitted.notes["best_epoch"] + 1 + 2 < 30
    assert [epoch.epoch for epoch in fitted.history] == list(range(len(fitted.history)))


def test_a_network_that_never_has_a_finite_loss_is_an_error(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    with pytest.raises(TrainingError, match="never finite; lower the model's learning_rate, now 1e\\+30"):
        MODEL.fit(spec.model_copy(update={"learning_rate": 1e30}), rows, SETTINGS)


def test_an_interrupt_is_an_interrupt_and_the_next_one_is_not_ignored(
    rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Classifier, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        MODEL.fit(spec, rows, SETTINGS)
    assert signal.getsignal(signal.SIGINT) is handler


def test_features_that_are_not_finite_are_refused(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    assert rows.features is not None
    rows.features.arrays["mel"][7, 3] = np.inf
    with pytest.raises(TrainingDataError, match="mel values are not finite"):
        MODEL.fit(spec, rows, SETTINGS)


def test_training_says_nothing_that_is_not_ours(
    rows: Rows, spec: LfebAttentionLstmSpec, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as said, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        MODEL.fit(spec, rows, SETTINGS)
    assert [str(warning.message) for warning in said] == []
    assert [record.message for record in caplog.records if "lightning" in record.name] == []
    assert capfd.readouterr().out == ""


def test_augmentation_is_for_training_batches_only(
    rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    augment = Augmentation.__call__

    def spy(self: Augmentation, images: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor) -> Any:
        seen.append(len(images))
        return augment(self, images, lengths, targets)

    monkeypatch.setattr(Augmentation, "__call__", spy)
    augmented = spec.model_copy(update={"augmentation": AugmentationSpec(mixup=0.2, noise=0.1, row_masks=1)})
    fitted = MODEL.fit(augmented, rows, SETTINGS)
    assert sum(seen) == fitted.notes["fit_recordings"] * len(fitted.history)
    plain = MODEL.fit(spec, rows, SETTINGS)
    assert not np.allclose(fitted.predict_probabilities(rows), plain.predict_probabilities(rows))


def test_deterministic_mode_and_the_chosen_device_reach_the_trainer(
    rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def spy(**options: Any) -> None:
        asked.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer_module.pl, "Trainer", spy)
    resolved = Resolved("gpu", "bf16-mixed")
    with pytest.raises(KeyboardInterrupt):
        MODEL.fit(spec, rows, replace(SETTINGS, deterministic=True, device=2, resolved=resolved))
    assert (asked["accelerator"], asked["devices"], asked["precision"]) == ("cuda", [2], "bf16-mixed")
    assert asked["deterministic"] is True


@pytest.mark.parametrize("before", [False, True])
def test_determinism_is_asked_of_a_training_and_not_of_the_process(
    before: bool, rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    during = []
    step = Classifier.training_step

    def spy(*arguments: Any) -> torch.Tensor:
        during.append(torch.are_deterministic_algorithms_enabled())
        return step(*arguments)

    monkeypatch.setattr(Classifier, "training_step", spy)
    torch.use_deterministic_algorithms(before)
    try:
        MODEL.fit(spec, rows, replace(SETTINGS, deterministic=not before))
        assert torch.are_deterministic_algorithms_enabled() is before
        assert set(during) == {not before}
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_network_of_one_plane_sees_that_plane_alone(rows: Rows, spec: LfebAttentionLstmSpec) -> None:
    mel = spec.model_copy(update={"planes": ("mel",)})
    fitted = MODEL.fit(mel, rows, SETTINGS)
    assert fitted.standardiser.mean.shape == (1, mel.bins)
    assert rows.features is not None
    only = {"mel": rows.features.arrays["mel"]}
    alone = replace(rows, features=replace(rows.features, arrays=only))
    np.testing.assert_array_equal(fitted.predict_probabilities(alone), fitted.predict_probabilities(rows))
