"""The LightningModule that every network is trained in, and the batches it is fed.

Belongs here: loss, optimiser, learning-rate schedule, batching. Does not: a network's layers (networks/),
who is trained and when to stop (trainer.py).
"""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from cry_pipeline.catalog.specs import LfebAttentionLstmSpec

Batch = tuple[Tensor, Tensor, Tensor]
"""Images ``[batch, channels, bins, columns]``, lengths ``[batch]``, labels ``[batch]``."""


class Batches:
    """Batches cut from tensors in memory by one indexing each; an iterable that Lightning takes as it is.

    Each pass over it is one epoch. Batches differ by at most one recording in size, so that no small rest
    gets a step of its own, and are as wide as their longest recording.

    Args:
        images: ``[recordings, channels, bins, columns]``, zero-padded.
        lengths: valid columns ``[recordings]``, int64.
        labels: class codes ``[recordings]``, int64.
        size: recordings in a batch, at most.
        shuffle_seed: seed of the orders of all epochs; None for the given order.
    """

    def __init__(self, images: Tensor, lengths: Tensor, labels: Tensor, size: int, shuffle_seed: int | None) -> None:
        self.images, self.lengths, self.labels = images, lengths, labels
        self.count = -(-len(labels) // size)
        self.generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        total = len(self.labels)
        order = torch.arange(total) if self.generator is None else torch.randperm(total, generator=self.generator)
        for index in order.tensor_split(self.count):
            lengths = self.lengths[index]
            yield self.images[index][..., : int(lengths.max())], lengths, self.labels[index]


class Classifier(pl.LightningModule):
    """Cross-entropy, AdamW and OneCycle around a network.

    Args:
        network: ``forward(images, lengths) -> logits``.
        class_weights: weight of a recording of each class ``[classes]``, see :func:`class_weights`.
        spec: learning rate, weight decay and epochs.
        batches: optimiser steps in an epoch.
    """

    class_weights: Tensor
    train_loss: Tensor

    def __init__(self, network: nn.Module, class_weights: Tensor, spec: LfebAttentionLstmSpec, batches: int) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.steps = spec.epochs * batches
        self.register_buffer("class_weights", class_weights)
        self.register_buffer("train_loss", torch.zeros(2), persistent=False)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the batch's loss, and add it to the epoch's mean."""
        loss = self._loss(batch)
        # Summed here: self.log() in every step would cost more than it tells.
        self.train_loss += torch.stack([loss.detach() * len(batch[2]), loss.new_tensor(len(batch[2]))])
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``validation_loss``, the mean over the inner validation recordings."""
        self.log("validation_loss", self._loss(batch), on_epoch=True, batch_size=len(batch[2]))

    def take_train_loss(self) -> float:
        """Return the mean training loss since this was last asked."""
        total, recordings = self.train_loss.tolist()
        self.train_loss.zero_()
        return total / recordings

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises to ``spec.learning_rate`` and falls to nearly 0 within ``spec.epochs``."""
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.spec.learning_rate, weight_decay=self.spec.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=self.spec.learning_rate, total_steps=self.steps
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, batch: Batch) -> Tensor:
        images, lengths, labels = batch
        losses = functional.cross_entropy(self.network(images, lengths), labels, reduction="none")
        # Divided by the number of recordings, not by the sum of their weights as torch's "mean" does: that
        # would give a batch without rare classes the full pull of one with them.
        return (losses * self.class_weights[labels]).mean()


def class_weights(codes: Tensor, classes: int, balance: str) -> Tensor:
    """Return float32 weights ``[classes]`` with mean 1 over the recordings with ``codes``.

    ``balanced``: recordings / (classes · recordings of the class), as scikit-learn's; ``none``: ones.
    """
    if balance == "none":
        return torch.ones(classes)
    counts = torch.bincount(codes, minlength=classes)
    return len(codes) / (classes * counts.clamp(min=1).float())
