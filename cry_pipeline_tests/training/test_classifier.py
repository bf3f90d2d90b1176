"""Batches, class weights, loss and schedule against their formulas."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from cry_pipeline.catalog import LfebAttentionLstmSpec
from cry_pipeline.training.batches import Batches
from cry_pipeline.training.classifier import Classifier, class_weights, cosine, logit_offsets

SPEC = LfebAttentionLstmSpec.model_validate({"kind": "lfeb_attention_lstm", "epochs": 3, "learning_rate": 0.01})


def batches(size: int = 4, seed: int | None = 0) -> Batches:
    """Ten recordings of 1 to 10 columns; each image's value and label are its position."""
    lengths = torch.arange(1, 11)
    images = torch.arange(10.0)[:, None, None, None] * torch.ones(10, 3, 2, 10)
    return Batches(images, lengths, torch.arange(10), size, seed)


def test_an_epoch_has_each_recording_once_with_its_own_length_and_label() -> None:
    seen = list(batches())
    assert sorted(torch.cat([labels for *_, labels in seen]).tolist()) == list(range(10))
    for images, lengths, labels in seen:
        assert images[:, 0, 0, 0].tolist() == labels.tolist()
        assert lengths.tolist() == (labels + 1).tolist()
        assert images.shape[-1] == lengths.max()


def test_batches_are_even_so_that_no_small_rest_gets_a_step() -> None:
    assert [len(labels) for *_, labels in batches(4)] == [4, 3, 3]
    assert [len(labels) for *_, labels in batches(10)] == [10]
    assert len(batches(4)) == 3


def test_orders_differ_between_epochs_and_repeat_with_the_seed() -> None:
    def order(epochs: Batches) -> list[int]:
        return [label for *_, labels in epochs for label in labels.tolist()]

    first, second = batches(seed=5), batches(seed=5)
    orders = [order(first), order(first)]
    assert orders[0] != orders[1]
    assert orders == [order(second), order(second)]
    assert order(batches(seed=None)) == list(range(10))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    codes = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=codes.numpy())
    torch.testing.assert_close(class_weights(codes, 3, "balanced").double(), torch.from_numpy(expected))
    assert class_weights(codes, 3, "none").tolist() == [1, 1, 1]


def test_loss_is_the_weighted_sum_over_recordings_not_over_weights() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 1.5], [0.0, 0.5]])
    labels = torch.tensor([0, 0, 1])

    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return logits

    classifier = Classifier(Fixed(), torch.tensor([0.5, 3.0]), SPEC, batches=1)
    loss = classifier.training_step((torch.zeros(3, 3, 2, 2), torch.full((3,), 2), labels), 0)
    each = -logits.log_softmax(dim=1)[torch.arange(3), labels]
    assert loss.item() == pytest.approx(float((each * torch.tensor([0.5, 0.5, 3.0])).sum() / 3))
    assert classifier.take_train_loss() == pytest.approx(loss.item())


def test_learning_rate_rises_to_the_specs_and_falls_to_nearly_nothing() -> None:
    configured = Classifier(nn.Linear(2, 2), torch.ones(2), SPEC, batches=5).configure_optimizers()
    optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(SPEC.epochs * 5):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert max(rates) == pytest.approx(SPEC.learning_rate, rel=0.05)
    assert rates[0] < SPEC.learning_rate / 20
    assert rates[-1] < SPEC.learning_rate / 20


def test_cosine_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    rates = [cosine(step, 100) for step in range(100)]
    np.testing.assert_allclose(np.diff(rates[:10]), 1 / 11)
    assert rates[54] == pytest.approx(0.5, abs=0.02)
    assert np.argmax(rates) == 10
    assert rates[-1] < 0.001
    configured = Classifier(nn.Linear(2, 2), torch.ones(2), SPEC.model_copy(update={"schedule": "cosine"}), batches=5)
    assert configured.configure_optimizers()["optimizer"].param_groups[0]["lr"] == pytest.approx(0.01 / 3)


class _Fixed(nn.Module):
    """Gives the same logits whatever it sees."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_smoothed_labels_cost_what_torch_says() -> None:
    logits, labels = torch.tensor([[2.0, 0.0, 1.0], [1.0, 1.5, -1.0]]), torch.tensor([0, 1])
    smooth = SPEC.model_copy(update={"label_smoothing": 0.2})
    classifier = Classifier(_Fixed(logits), torch.ones(3), smooth, batches=1)
    loss = classifier.training_step((torch.zeros(2, 3, 2, 2), torch.full((2,), 2), labels), 0)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, labels, label_smoothing=0.2))


def test_logit_adjustment_adds_log_frequencies_in_the_loss_only() -> None:
    codes = torch.tensor([0, 0, 0, 1])
    offsets = logit_offsets(codes, 2, strength=2.0)
    torch.testing.assert_close(offsets, 2 * torch.tensor([0.75, 0.25]).log())
    logits = torch.tensor([[0.3, -0.1]])
    classifier = Classifier(_Fixed(logits), torch.ones(2), SPEC, 1, offsets)
    loss = classifier.training_step((torch.zeros(1, 3, 2, 2), torch.tensor([2]), torch.tensor([1])), 0)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits + offsets, torch.tensor([1])))
    assert (logit_offsets(codes, 2, strength=0.0) == 0).all()
